"""Peers that centre and scale the reward itself: GRPO and its kin, REINFORCE with a sign, MaxRL, RS-GRPO, QAE.

All are (rewards_PG, config) to advantages_PG, for the loss -(1/(P G)) sum A log pi over a step's responses. n is the
number of a prompt's scorable responses. "Unbiased" means that the expectation of (1/n) sum_j A_j grad log pi(y_j) over
a prompt's n responses is the gradient of the objective named; tests/risk/test_peers_unbiased.py enumerates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from riskpo.risk.per_prompt import centred, count, right, share, std, zero_unscorable

if TYPE_CHECKING:
    from riskpo.risk.config import RiskConfig

# A level that equals a share of the responses must not miss it by rounding; a mean within the slack that the declared
# reward range has (`risk_advantages`) is none.
_ROUNDING = 1e-9
_SLACK = 1e-6


def dr_grpo(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """Reward minus the prompt's mean (Dr. GRPO, arXiv 2503.20783).

    Unbiased for (n - 1)/n times the mean reward: a response is part of its own baseline.
    """
    return zero_unscorable(centred(rewards_PG), rewards_PG)


def grpo(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """(r - mean)/(std + std_eps) with the prompt's unbiased standard deviation (GRPO, arXiv 2402.03300).

    Not unbiased: the divisor is estimated from the responses it divides. For 0/1 rewards of accuracy p the expected
    gradient tends to grad p / sqrt(p (1 - p)), the gradient of 2 arcsin sqrt(p), as n grows (derived here; general
    recipe: arXiv 2510.23049).
    """
    centred_PG = centred(rewards_PG)
    return zero_unscorable(centred_PG / (std(centred_PG) + config.std_eps), rewards_PG)


def rloo(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """Reward minus the mean of the prompt's other responses (RLOO, arXiv 2402.14740): n/(n - 1) (r - mean).

    Unbiased for the mean reward. A prompt of one scorable response gets 0.
    """
    n_P1 = count(rewards_PG)
    return zero_unscorable(centred(rewards_PG) * (n_P1 / (n_P1 - 1.0).clamp(min=1.0)), rewards_PG)


def reinforce_pp(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """(r - mean)/(std + std_eps) over all scorable responses of the step (REINFORCE++, arXiv 2501.03262).

    The paper's token returns with gamma = 1 and no KL term in the reward, where every token's return is the response's
    reward; a response counts once, while the token-level code counts it once a token. Not unbiased: mean and standard
    deviation include the response. It tends to the gradient of the mean reward over the standard deviation as the
    step grows. A prompt whose responses all score the same does get an advantage.
    """
    centred_1N = centred(rewards_PG.reshape(1, -1))
    whitened_1N = centred_1N / (std(centred_1N) + config.std_eps)
    return zero_unscorable(whitened_1N.reshape(rewards_PG.shape), rewards_PG)


def reinforce_pp_baseline(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """(r - prompt mean)/(std + std_eps), std over the step's centred rewards (REINFORCE++-baseline, arXiv 2501.03262).

    The second centring, of the paper's global whitening, takes off 0. Sequence level, gamma = 1, no KL, as in
    `reinforce_pp`. Not unbiased: the divisor is estimated from the responses it divides. It tends to (n - 1)/n times
    the gradient of the mean reward, over the standard deviation, as the step grows.
    """
    centred_PG = centred(rewards_PG)
    return zero_unscorable(centred_PG / (std(centred_PG.reshape(1, -1)) + config.std_eps), rewards_PG)


def gpg(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """alpha (r - prompt mean), alpha = P/(P - M), M prompts of equal rewards (GPG, arXiv 2504.02546, F_norm = 1).

    P and M count prompts with a scorable response; M = P gives 0. Not unbiased: alpha depends on the rewards. Its
    direction is the mean's: alpha is one number a step. The paper's resampling until a share of the prompts is mixed is
    a matter of the data, not of the advantage.
    """
    centred_PG = zero_unscorable(centred(rewards_PG), rewards_PG)
    mixed = int((centred_PG != 0.0).any(1).sum())
    return centred_PG * (len(rewards_PG) / max(mixed, 1))


def rs_grpo(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """(1/beta)(e^{beta r}/mean_j e^{beta r_j} - 1), beta = entropic_beta; r - mean for 0 (RS-GRPO, arXiv 2509.24261).

    beta is in units of 1/reward: on rewards of +-1 a given beta weighs twice as much as on 0/1. Not unbiased: the
    denominator is estimated from the responses it divides. It tends to the gradient of (1/beta) log E e^{beta r} as n
    grows; for beta = 0 it is `dr_grpo`.
    """
    beta = config.entropic_beta
    if abs(beta) * config.reward_width < 1e-16:  # the two are equal to rounding
        return dr_grpo(rewards_PG, config)
    # Measured from the prompt's dominating reward, nothing overflows and equal rewards give 0; by expm1, small beta
    # keeps its digits.
    far = -torch.inf if beta > 0.0 else torch.inf
    filled_PG = rewards_PG.nan_to_num(nan=far)
    top_P1 = filled_PG.amax(1, keepdim=True) if beta > 0.0 else filled_PG.amin(1, keepdim=True)
    excess_PG = torch.expm1(beta * (rewards_PG - top_P1))
    mean_P1 = excess_PG.nanmean(1, keepdim=True)
    return zero_unscorable((excess_PG - mean_P1) / beta / (1.0 + mean_P1), rewards_PG)


def qae(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """(r - b)/(std + std_eps), b = inf{x : F(x) >= K} of the prompt's rewards, K = quantile_baseline (QAE, 2509.22611).

    The paper's right-continuous quantile: for 0/1 rewards b is 0 where the accuracy is at most 1 - K, else 1, so that
    either the wrong or the right responses get exactly 0 (an interpolated quantile lies between and loses that). std as
    in `grpo`. Not unbiased: baseline and divisor include the response.
    """
    sorted_PG = rewards_PG.sort(dim=1).values  # NaN comes last
    rank_P1 = (config.quantile_baseline * count(rewards_PG) - _ROUNDING).ceil().clamp(min=1.0).long()
    above_PG = rewards_PG - sorted_PG.gather(1, rank_P1 - 1)
    return zero_unscorable(above_PG / (std(centred(rewards_PG)) + config.std_eps), rewards_PG)


def maxrl(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """(x - mean)/mean, x the reward normalised to [0, 1] by reward_range; 0 where the mean is 0 (MaxRL, 2602.02710).

    For right/wrong rewards of accuracy p unbiased for -sum_{j=1}^{n-1} (1 - p)^j / j, the first n - 1 terms of log p.
    (The paper's n terms belong to the form without the -1, the mean of grad log pi over right responses; a -1 only
    where something is right costs a term: derived here, checked by enumeration.) Not unbiased for graded rewards.
    """
    share_PG = share(rewards_PG, config)
    mean_P1 = share_PG.nanmean(1, keepdim=True)
    advantages_PG = torch.where(mean_P1 > _SLACK, centred(share_PG) / mean_P1, torch.zeros_like(share_PG))
    return zero_unscorable(advantages_PG, rewards_PG)


def w_reinforce(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """positive_weight (the paper's lambda, 0.1) if right, -1 if wrong (W-REINFORCE, arXiv 2506.01347).

    Right is the upper end of reward_range. No baseline: prompts of equal rewards get an advantage. Unbiased for
    (1 + positive_weight) times the accuracy: on one prompt, and before any clipping, the sign changes the noise alone.
    """
    return _signed(rewards_PG, config, config.positive_weight, -1.0)


def nsr(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """0 if right, -1 if wrong (NSR, arXiv 2506.01347): `w_reinforce` of weight 0. Unbiased for the accuracy."""
    return _signed(rewards_PG, config, 0.0, -1.0)


def psr(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """1 if right, 0 if wrong (PSR, arXiv 2506.01347). No baseline, as in `w_reinforce`. Unbiased for the accuracy."""
    return _signed(rewards_PG, config, 1.0, 0.0)


def _signed(rewards_PG: Tensor, config: RiskConfig, if_right: float, if_wrong: float) -> Tensor:
    # Full tensors: `where` of two Python numbers is float32.
    rights_PG, wrongs_PG = torch.full_like(rewards_PG, if_right), torch.full_like(rewards_PG, if_wrong)
    return zero_unscorable(torch.where(right(rewards_PG, config) == 1.0, rights_PG, wrongs_PG), rewards_PG)
