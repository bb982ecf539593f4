"""What an estimator does to the policy's entropy: covariances of log-probability with the advantage."""

from __future__ import annotations

import torch
from torch import Tensor


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
