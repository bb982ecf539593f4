"""What an estimator does: to the entropy, to uniform prompts, to a response's sign, to the noise of the gradient.

Axes: P prompts, G responses, D independent draws of a step, b bins of difficulty.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from riskpo.risk.per_prompt import uniform


def logp_covariances(logps_PG: Tensor, advantages_PG: Tensor, rewards_PG: Tensor) -> dict[str, float]:
    """Covariance of log pi(y|x) with the advantage, and with the advantage of the mean objective.

    A natural-gradient step of size eta changes the entropy by -eta Cov_{y ~ pi(.|x)}(log pi(y|x), A(x, y)) + O(eta^2)
    (paper, sec. 4, after arXiv 2505.22617): the larger the covariance, the faster the entropy falls. The covariance is
    taken over each prompt's scorable responses (unbiased, n - 1) and averaged over prompts with at least two. The
    correlations, mean covariance over the root of the mean variances, compare estimators of different scale.

    Args:
        logps_PG: log-probability of each response, summed over its tokens.
        advantages_PG: the estimator's advantages.
        rewards_PG: the rewards, NaN = unscorable; minus the prompt's mean they are the mean objective's advantages.

    Returns:
        `risk/cov_logp_advantage`, `risk/cov_logp_mean_advantage`, `risk/corr_logp_advantage`,
        `risk/corr_logp_mean_advantage`; empty when no prompt has two scorable responses. A correlation with a constant
        is undefined and left out.
    """
    logps_PG, advantages_PG, rewards_PG = (t.to("cpu", torch.float64) for t in (logps_PG, advantages_PG, rewards_PG))
    usable_PG = ~(rewards_PG.isnan() | logps_PG.isnan())
    kept_P = usable_PG.sum(1) >= 2
    if not kept_P.any():
        return {}
    usable_PG = usable_PG[kept_P]
    count_P1 = usable_PG.sum(1, keepdim=True)

    def centred(values_PG: Tensor) -> Tensor:
        values_PG = values_PG[kept_P].masked_fill(~usable_PG, 0.0)
        apart_PG = values_PG - values_PG.sum(1, keepdim=True) / count_P1
        rounding = 1e-12 * values_PG.abs().max()  # of equal values about their mean: no variance to divide by
        return apart_PG.masked_fill(~usable_PG | (apart_PG.abs() <= rounding), 0.0)

    def covariance(left_PG: Tensor, right_PG: Tensor) -> float:
        return float(((left_PG * right_PG).sum(1, keepdim=True) / (count_P1 - 1)).mean())

    logps = centred(logps_PG)
    metrics = {}
    for name, values in (("advantage", centred(advantages_PG)), ("mean_advantage", centred(rewards_PG))):
        metrics[f"risk/cov_logp_{name}"] = covariance(logps, values)
        spread = covariance(logps, logps) * covariance(values, values)
        if spread > 0.0:
            metrics[f"risk/corr_logp_{name}"] = metrics[f"risk/cov_logp_{name}"] / spread**0.5
    return metrics


def uniform_shares(rewards_PG: Tensor, advantages_PG: Tensor, reward_range: tuple[float, float]) -> dict[str, float]:
    """Prompts whose scorable responses all score the same, and what an estimator spends on them (derived here).

    Such a prompt says nothing about which response is better: an advantage on it is a push of the whole prompt, or
    luck.

    Args:
        rewards_PG: NaN = unscorable; a prompt without a scorable response is not counted.
        advantages_PG: finite, 0 where the reward is NaN.
        reward_range: the ends of the declared range.

    Returns:
        Sums, to be added up over steps: `prompts` (with a scorable response), `all_right` and `all_wrong` (uniform at
        an end of the range), `uniform` (at any value), `size` (sum of |A|) and `size_on_uniform`.
    """
    scorable_P = (~rewards_PG.isnan()).any(1)
    uniform_P = uniform(rewards_PG)
    reward_P = rewards_PG.nan_to_num(nan=-math.inf).amax(1)  # of a uniform prompt: the one that all of it have
    slack = 1e-6 * (reward_range[1] - reward_range[0])
    size_P = advantages_PG.abs().sum(1)
    return {
        "prompts": float(scorable_P.sum()),
        "uniform": float(uniform_P.sum()),
        "all_right": float((uniform_P & (reward_P >= reward_range[1] - slack)).sum()),
        "all_wrong": float((uniform_P & (reward_P <= reward_range[0] + slack)).sum()),
        "size": float(size_P.sum()),
        "size_on_uniform": float(size_P[uniform_P].sum()),
    }


def sign_flips(rewards_PG: Tensor, advantages_PG: Tensor, reward_range: tuple[float, float]) -> dict[str, float]:
    """Responses that an estimator moves the wrong way (derived here).

    Right is a reward at the upper end of the range, wrong one at the lower end; a graded reward between is neither. A
    constant added to all advantages of a prompt leaves its expected gradient alone, so what moves a response against
    the prompt's others is A minus the prompt's mean A; the raw sign is what the loss and its clipping see.

    Args:
        rewards_PG, advantages_PG, reward_range: as in `uniform_shares`.

    Returns:
        Counts, to be added up over steps: `right`, `wrong`; `right_down`, `wrong_up` (A minus the prompt's mean below,
        above 0); `right_negative`, `wrong_positive` (A itself below, above 0).
    """
    scorable_PG = ~rewards_PG.isnan()
    slack = 1e-6 * (reward_range[1] - reward_range[0])
    right_PG, wrong_PG = rewards_PG >= reward_range[1] - slack, rewards_PG <= reward_range[0] + slack
    count_P1 = scorable_PG.sum(1, keepdim=True).clamp(min=1)
    apart_PG = advantages_PG - (advantages_PG * scorable_PG).sum(1, keepdim=True) / count_P1
    rounding = 1e-9 * float(advantages_PG.abs().max()) if advantages_PG.numel() else 0.0
    counts = {
        "right": right_PG,
        "wrong": wrong_PG,
        "right_down": right_PG & (apart_PG < -rounding),
        "wrong_up": wrong_PG & (apart_PG > rounding),
        "right_negative": right_PG & (advantages_PG < -rounding),
        "wrong_positive": wrong_PG & (advantages_PG > rounding),
    }
    return {name: float(chosen_PG.sum()) for name, chosen_PG in counts.items()}


def logit_gradients(rewards_DPG: Tensor, advantages_DPG: Tensor, means_P: Tensor) -> Tensor:
    """gradients_DP: what an estimator adds to each prompt's logit, for each of D draws of a step.

    A prompt's responses are drawn from a law with expected reward mean_P; tilting it by exp(theta r) has the score
    r - mean_P, for 0/1 rewards the gradient of log pi with respect to the logit of the pass rate. The gradient is the
    mean of A (r - mean_P) over the prompt's scorable responses; 0 for a prompt without any.

    Args:
        rewards_DPG: NaN = unscorable.
        advantages_DPG: finite.
        means_P: the expected rewards, known because the responses were drawn from them.
    """
    products_DPG = (advantages_DPG * (rewards_DPG - means_P[:, None])).nan_to_num(nan=0.0)
    return products_DPG.sum(2) / (~rewards_DPG.isnan()).sum(2).clamp(min=1)


def signal_and_noise(gradients_DP: Tensor) -> tuple[float, float]:
    """|E g|^2 and tr Cov g of a random gradient, both unbiased, from D >= 2 independent draws.

    Their ratio's root is the signal-to-noise ratio. The squared norm of a mean of D draws is too large by tr Cov / D,
    which is taken off: the first number can come out below 0 where there is hardly any signal.
    """
    draws = len(gradients_DP)
    noise = float(gradients_DP.var(0, correction=1).sum())
    return float(gradients_DP.mean(0).square().sum()) - noise / draws, noise


def sums_by_bin(values_P: Tensor, places_P: Tensor, edges: tuple[float, ...]) -> Tensor:
    """sums_b of values over the bins [edge_b, edge_b+1) that places lie in; the last bin holds its upper edge too."""
    inner = torch.tensor(edges[1:-1], dtype=places_P.dtype)
    index_P = torch.bucketize(places_P, inner, right=True)
    return values_P.new_zeros(len(edges) - 1).index_add_(0, index_P, values_P)
