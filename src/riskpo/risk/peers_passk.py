r"""Peers whose objective is of k responses at once: the best of k (PKPO, pass@k training), any L-statistic (OrderGrad).

Conventions as in peers_mean.py. With a prompt's rewards in increasing order r_(1) <= .. <= r_(n) and gaps
d_l = r_(l+1) - r_(l), the averages over all C(n, k) subsets become sums of non-negative weights times gaps (derived
here; tests/risk/test_peers_subsets.py against the subsets one by one): equal rewards get exactly 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from riskpo.risk.peers_mean import rloo
from riskpo.risk.per_prompt import by_rank, count, right, zero_unscorable

if TYPE_CHECKING:
    from riskpo.risk.config import RiskConfig
    from riskpo.risk.spectrum import Spectrum


def pass_at_k(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    r"""Pass@k training in its analytic form (Chen et al., arXiv 2508.10751), of w wrong responses out of n:

        fail = C(w, k)/C(n, k),   sigma = sqrt(fail (1 - fail)),
        A = fail / sigma if right, (fail - C(w-1, k-1)/C(n-1, k-1)) / sigma if wrong.

    Where sigma is 0 (all wrong, or fewer than k wrong) every numerator is 0 and so is the advantage. It takes k < n: at
    k = n sigma always is 0. Right is the upper end of reward_range; the scale is free of the rewards'. Not unbiased:
    sigma is estimated from the responses it divides; k times the numerators is unbiased for (1 - k/n) times pass@k.
    """
    right_PG = right(rewards_PG, config)
    n_P1 = count(rewards_PG)
    wrong_P1 = n_P1 - right_PG.nansum(1, keepdim=True)
    fail_P1 = _subset_share(wrong_P1, n_P1, config.k)
    fail_given_wrong_P1 = _subset_share(wrong_P1 - 1.0, n_P1 - 1.0, config.k - 1)
    sigma_P1 = (fail_P1 * (1.0 - fail_P1)).sqrt()
    numerators_PG = torch.where(right_PG == 1.0, fail_P1, fail_P1 - fail_given_wrong_P1)
    # Whether subsets of both kinds exist is a matter of counts, not of a rounded sigma; never where n <= k.
    both_P1 = (wrong_P1 >= config.k) & (wrong_P1 < n_P1)
    advantages_PG = torch.where(both_P1, numerators_PG / sigma_P1, torch.zeros_like(numerators_PG))
    return zero_unscorable(advantages_PG, rewards_PG)


def pkpo(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    r"""n s_i with PKPO's recommended estimator of the gradient of the best of k (Walder & Karkhanis, arXiv 2505.15201):

        s_i = C(n, k)^{-1} sum over k-subsets I with i of [max_I r - max_{I without i} r].

    The paper's estimate is sum_i s_i grad log pi(y_i); under the loss (1/(P G)) sum A log pi that is A = n s_i,
    comparable with r - mean. A response counts where it is its subset's best, so with i the rank (ties in any order)

        A_i = k sum_{l<i} d_l C(l, k-1)/C(n-1, k-1),    O(n log n + n k).

    Unbiased for E max of k rewards (pass@k of right/wrong rewards), graded rewards included; needs n >= k, else 0. At
    k = 1 the rest of a subset is empty and the paper's baseline undefined: there the baseline is the mean of the
    others (`rloo`), which k = 2 already has. In units of reward.
    """
    k = config.k
    if k == 1:
        return rloo(rewards_PG, config)
    n_P1 = count(rewards_PG)

    def table(gaps_PL: Tensor) -> Tensor:
        below_L = torch.arange(1, gaps_PL.shape[1] + 1, dtype=gaps_PL.dtype)
        # Ranks below k have no k - 1 others below them: with n < k every step is 0.
        steps_PL = k * gaps_PL * _subset_share(below_L, n_P1 - 1.0, k - 1)
        return torch.nn.functional.pad(steps_PL.cumsum(1), (1, 0))

    return by_rank(rewards_PG, table)


def order_statistic(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    r"""OrderGrad's gradient of an L-statistic of K = config.k rewards (arXiv 2606.06096), phi the spectrum in use:

        J = E sum_j alpha_j R_(j:K),   alpha_j = int_{(j-1)/K}^{j/K} phi(u) du,

    the expected risk measure of K responses' empirical law, which tends to that of the policy's own law as K grows.
    With q_i the mean of the L-statistic over the K-subsets with i and v_i over those without it (the paper's
    leave-one-out baseline), A_i = K (q_i - v_i) = n (mean over all subsets - v_i). In gaps (derived here)

        A_i = sum_{l<i} l w_l d_l - sum_{l>=i} (n - l) w_l d_l,
        w_l = sum_j alpha_j C(l-1, j-1) C(n-1-l, K-j)/C(n-1, K),

    i the rank and w_l the weight of rank l among the other n - 1: the advantages sum to 0. Unbiased for J; needs
    n > K, else 0. K = 1 with the mean is `rloo`. In units of reward.
    """
    k = config.k
    alpha_K = _rank_coefficients(config.spectrum, k)
    n_U, which_P = torch.unique(count(rewards_PG).squeeze(1), return_inverse=True)
    n_P1 = n_U[which_P][:, None]

    def table(gaps_PL: Tensor) -> Tensor:
        rank_L = torch.arange(1, gaps_PL.shape[1] + 1, dtype=gaps_PL.dtype)
        weight_UL = _rank_weights(alpha_K, n_U[:, None], rank_L)
        steps_PL = (gaps_PL * weight_UL[which_P]).masked_fill(n_P1 <= k, 0.0)
        up_PL, down_PL = rank_L * steps_PL, (n_P1 - rank_L).clamp(min=0.0) * steps_PL
        gained_PG = torch.nn.functional.pad(up_PL.cumsum(1), (1, 0))
        missed_PG = torch.nn.functional.pad(down_PL.flip(1).cumsum(1).flip(1), (0, 1))
        return gained_PG - missed_PG

    return by_rank(rewards_PG, table)


def _subset_share(among: Tensor, n: Tensor, k: int) -> Tensor:
    """C(among, k)/C(n, k) for among <= n, as a product of k factors: no large numbers; 0 where among < k."""
    product = torch.ones_like(among + n)
    for drawn in range(k):
        product = product * ((among - drawn).clamp(min=0.0) / (n - drawn).clamp(min=1.0))
    return product


def _rank_coefficients(spectrum: Spectrum, k: int) -> Tensor:
    """alpha_K: the integral of the spectrum's weight over each of k equal parts of (0, 1)."""
    edges = torch.tensor((0.0, *spectrum.levels, 1.0), dtype=torch.float64)
    parts = torch.arange(k + 1, dtype=torch.float64) / k
    low, high = torch.maximum(parts[:-1, None], edges[:-1]), torch.minimum(parts[1:, None], edges[1:])
    return (high - low).clamp(min=0.0) @ torch.tensor(spectrum.weights, dtype=torch.float64)


def _rank_weights(alpha_K: Tensor, n_U1: Tensor, rank_L: Tensor) -> Tensor:
    """w_UL = sum_j alpha_j P(the j-th of a K-subset of n - 1 is the l-th of them all); NaN where n <= K."""
    k = len(alpha_K)
    weight_UL = torch.zeros_like(n_U1 + rank_L)
    for below, alpha in enumerate(alpha_K.tolist()):
        log_UL = _log_choose(rank_L - 1.0, below) + _log_choose(n_U1 - 1.0 - rank_L, k - 1 - below)
        weight_UL = weight_UL + alpha * torch.exp(log_UL - _log_choose(n_U1 - 1.0, k))
    return weight_UL


def _log_choose(n: Tensor, k: int) -> Tensor:
    """log C(n, k), -inf where 0."""
    enough = n.clamp(min=k)
    logs = (
        torch.lgamma(enough + 1.0) - torch.lgamma(torch.tensor(k + 1.0, dtype=n.dtype)) - torch.lgamma(enough - k + 1.0)
    )
    return logs.masked_fill(n < k, -torch.inf)
