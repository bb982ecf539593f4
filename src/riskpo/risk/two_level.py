"""Two levels of risk: an inner objective over a prompt's responses, an outer spectrum over prompts or bundles of them.

Axes: P prompts, G responses, M groups, B prompts per group, S levels of the reward grid (a: a response's own level,
b: a level put in its place).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from riskpo.risk.bundles import Groups, collect
from riskpo.risk.quantiles import ScoreLaw

if TYPE_CHECKING:
    from riskpo.risk.config import RiskConfig

Inner = Callable[[Tensor], Tensor]
_HELD_AT_ONCE = 4_000_000  # numbers in a table of counts: 32 MB


def inner_objective(config: RiskConfig) -> Inner:
    """The inner objective as a function of a prompt's counts: counts_...S to values_..., in units of reward.

    Each lies between the lowest and the highest reward. `mean`: of the n responses. `entropic`: (1/beta) log mean
    exp(beta r) (RS-GRPO, arXiv 2509.24261). `pass_at_k`: the expected best of k responses drawn without replacement;
    for 0/1 rewards 1 - C(n-c, k)/C(n, k), unbiased for pass@k (arXiv 2107.03374; max@k for graded rewards, PKPO, arXiv
    2505.15201); NaN for a prompt of fewer than k. `upper_tail`: the mean of the best share of responses, fractions of a
    response included.
    """
    values_S = config.grid.low + config.grid.spacing * torch.arange(config.grid.size, dtype=torch.float64)
    if config.inner == "mean":
        return lambda counts: (counts * values_S).sum(-1) / counts.sum(-1)
    if config.inner == "entropic":
        return lambda counts: _entropic(counts, values_S, config.entropic_beta)
    if config.inner == "pass_at_k":
        return lambda counts: _best_of_k(counts, values_S, config.k)
    return lambda counts: _upper_mean(counts, values_S, config.inner_share)


def _entropic(counts: Tensor, values_S: Tensor, beta: float) -> Tensor:
    n = counts.sum(-1)
    if abs(beta) * float(values_S[-1] - values_S[0]) > 1.0:
        return (torch.logsumexp(counts.log() + beta * values_S, dim=-1) - n.log()) / beta
    # Near beta = 0 the logarithm is of nearly 1: what it differs by keeps its digits.
    if abs(beta) < 1e-12:
        return (counts * values_S).sum(-1) / n
    low = float(values_S[0])
    return low + torch.log1p((counts * torch.expm1(beta * (values_S - low))).sum(-1) / n) / beta


def _best_of_k(counts: Tensor, values_S: Tensor, k: int) -> Tensor:
    at_most = counts.cumsum(-1)  # responses at or below each level
    n = at_most[..., -1:]
    drawn_k = torch.arange(k, dtype=counts.dtype)
    # P(best of k <= level) = C(at_most, k) / C(n, k), as a product of k factors.
    factors = (at_most[..., None] - drawn_k).clamp(min=0.0) / (n[..., None] - drawn_k)
    cdf = factors.prod(-1)
    best = (torch.diff(cdf, dim=-1, prepend=torch.zeros_like(n)) * values_S).sum(-1)
    return best.masked_fill(n.squeeze(-1) < k, math.nan)


def _upper_mean(counts: Tensor, values_S: Tensor, share: float) -> Tensor:
    n = counts.sum(-1, keepdim=True)
    above = n - counts.cumsum(-1)  # responses above each level
    used = torch.minimum(counts, (share * n - above).clamp(min=0.0))
    return (used * values_S).sum(-1) / (share * n.squeeze(-1))


class TwoLevelUnits:
    r"""A step's prompts, scored by their inner value; a group's score is the sum over its B prompts.

    The objective is rho(law of U), U = sum over B prompts of u(r_1 .. r_n), for the n responses at hand: the
    finite-n form of the outer measure of the inner objective, to which it tends as n grows. Response j of a prompt
    gets, with baseline `loo`,

        n [ A(U) - mean over j' != j of A(U with r_j replaced by r_j') ]:

    the score function estimator n A(U) grad log pi(y_j), minus a baseline that does not depend on y_j. For 0/1 rewards
    this is weight_j (r_j - leave-one-out mean), weight_j = n [A(u(c_-j + 1)) - A(u(c_-j))] (derived here; exact against
    finite differences in tests/risk/test_two_level.py). `prompt` takes the mean over all j', (n - 1)/n of `loo`;
    `anchor` is n A(U), `batch` n (A(U) minus the step's mean A).

    With outer `mean` and inner `mean` this is reward minus mean (`prompt`: Dr. GRPO, `loo`: RLOO); with inner
    `pass_at_k` the gradient of pass@k (PKPO); with inner `entropic` RS-GRPO's objective, whose plug-in weights it tends
    to; with inner `mean` and outer MVaR, risk over prompts.

    Args:
        rewards_PG: on the grid; NaN = unscorable; every prompt has at least one scorable response.
        groups: the composition.
        config: names the inner objective and the grid.
    """

    def __init__(self, rewards_PG: Tensor, groups: Groups, config: RiskConfig) -> None:
        size = config.grid.size
        self._groups = groups
        self._scorable_PG = ~rewards_PG.isnan()
        self._index_PG = config.grid.index(rewards_PG).nan_to_num_(0.0).long()
        weight_PG = self._scorable_PG.to(rewards_PG.dtype)
        self._counts_PS = weight_PG.new_zeros((len(rewards_PG), size)).scatter_add_(1, self._index_PG, weight_PG)
        inner = inner_objective(config)
        values_P = inner(self._counts_PS)
        self._changed_PSS = self._replaced(inner)
        values_MB = values_P[groups.members_MB]
        self.scores_M = values_MB.sum(1)
        self._others_MB = self.scores_M[:, None] - values_MB

    def _replaced(self, inner: Inner) -> Tensor:
        """changed_PSS: the inner value with one response of level a replaced by one of level b; NaN where none is."""
        prompts, size = self._counts_PS.shape
        swap_SSS = torch.eye(size, dtype=torch.float64)[None, :, :] - torch.eye(size, dtype=torch.float64)[:, None, :]
        rows = max(_HELD_AT_ONCE // size**3, 1)
        parts = [inner(part[:, None, None, :] + swap_SSS) for part in torch.split(self._counts_PS, rows)]
        changed_PSS = torch.cat(parts) if prompts else self._counts_PS.new_empty((0, size, size))
        return changed_PSS.masked_fill(self._counts_PS[:, :, None] == 0.0, math.nan)

    def law(self) -> ScoreLaw:
        """The law of the scores of this step's groups."""
        return ScoreLaw.of_samples(self.scores_M)

    def mean_slope(self, signal: Callable[[Tensor], Tensor], low: float, high: float) -> float:
        """n E[A(U with r_j the highest reward) - A(U with r_j the lowest)] / (high - low) over this step's responses.

        For 0/1 rewards the mean of the weights that multiply grad p: 1 where inner and outer measure are the mean.
        """
        ends_MBS2 = self._others_MB[:, :, None, None] + self._changed_PSS[self._groups.members_MB][..., [0, -1]]
        rise_PS = collect(signal(ends_MBS2).diff(dim=-1).squeeze(-1), self._groups, len(self._counts_PS))
        total = (self._counts_PS.sum(1, keepdim=True) * self._counts_PS * rise_PS.nan_to_num(0.0)).sum()
        return float(total / self._counts_PS.sum()) / (high - low)

    def advantages(self, signal: Callable[[Tensor], Tensor], baseline: str) -> Tensor:
        """advantages_PG, baseline taken off; NaN where unscorable."""
        members, counts_PS = self._groups.members_MB, self._counts_PS
        n_P1 = counts_PS.sum(1, keepdim=True)
        signals_M = signal(self.scores_M)
        own_P = collect(signals_M[:, None].expand(members.shape), self._groups, len(counts_PS))
        if baseline in ("anchor", "batch"):
            if baseline == "batch":
                own_P = own_P - signals_M.mean()
            table_PS = (n_P1 * own_P[:, None]).expand(counts_PS.shape)
        else:
            changed_MBSS = self._others_MB[:, :, None, None] + self._changed_PSS[members]
            changed_PSS = collect(signal(changed_MBSS), self._groups, len(counts_PS))
            chances_PSS = counts_PS[:, None, :].expand(changed_PSS.shape)
            if baseline == "loo":
                chances_PSS = chances_PSS - torch.eye(counts_PS.shape[1], dtype=counts_PS.dtype)
            total_PS1 = (n_P1 - (1.0 if baseline == "loo" else 0.0)).clamp(min=1.0)[:, :, None]
            expected_PS = (chances_PSS / total_PS1 * changed_PSS).sum(2)
            alone = (n_P1 == 1.0) & (baseline == "loo")  # nobody to be compared with
            stays_PS = torch.diagonal(changed_PSS, dim1=1, dim2=2)
            table_PS = (n_P1 * (stays_PS - expected_PS)).masked_fill(alone, 0.0)
        return table_PS.gather(1, self._index_PG).masked_fill(~self._scorable_PG, math.nan)
