"""Quantiles of the score law: the inverse distribution function, and the estimate tracked over training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Probabilities are sums of many small ones; a level that equals one of them must not miss it by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ScoreLaw:
    """A discrete law: N increasing values and their probabilities, both float64 on the CPU."""

    values_N: Tensor
    probs_N: Tensor

    @classmethod
    def of_samples(cls, scores: Tensor) -> ScoreLaw:
        """The empirical law of scores of any shape, each with the same weight."""
        values, counts = torch.unique_consecutive(scores.flatten().sort().values, return_counts=True)
        return cls(values, counts.to(values.dtype) / scores.numel())

    def mean(self) -> float:
        return float((self.values_N * self.probs_N).sum())

    def std(self) -> float:
        return float((self.probs_N * (self.values_N - self.mean()).square()).sum().sqrt())

    def lower_integral(self, levels: Tensor) -> Tensor:
        """int_0^u F^-1 for each level u in [0, 1]: every spectral risk measure is a sum of differences of these."""
        cdf_N = self.probs_N.cumsum(0).clamp(max=1.0)
        cdf_N[-1] = 1.0
        reached = torch.minimum(cdf_N, levels[:, None])  # how much of each level's mass lies at or below each atom
        below = torch.nn.functional.pad(reached[:, :-1], (1, 0))
        return (reached - below) @ self.values_N


def inverse_cdf(law: ScoreLaw, levels_L: Tensor, width: float = 0.0) -> Tensor:
    """F^-1(s) = inf{x : F(x) >= s} for each level s.

    Args:
        law: the law of the scores R.
        levels_L: levels in (0, 1).
        width: 0 for the law of R itself; the spacing d > 0 of a score grid for the law of R + U,
            U ~ Uniform(-d/2, d/2), which has no atoms (derived here).

    Returns:
        quantiles_L, in units of reward.
    """
    cdf_N = law.probs_N.cumsum(0)
    index_L = torch.searchsorted(cdf_N, levels_L - _ROUNDING).clamp(max=len(cdf_N) - 1)
    values_L = law.values_N[index_L]
    if width == 0.0:
        return values_L
    # Boxes around equal scores coincide, so an atom's whole mass is spread over one box; scores that should be equal
    # may differ by rounding, never by as much as a quarter of the grid.
    distance_LN = law.values_N[None, :] - values_L[:, None]
    mass_L = (law.probs_N * (distance_LN.abs() < width / 4)).sum(1)
    below_L = (law.probs_N * (distance_LN < -width / 4)).sum(1)
    return values_L + width * ((levels_L - below_L) / mass_L - 0.5).clamp(-0.5, 0.5)


def probability_below(law: ScoreLaw, quantiles_L: Tensor, width: float = 0.0) -> Tensor:
    """P(R < q) for each q, or P(R + U < q) with U ~ Uniform(-width/2, width/2) for width > 0."""
    if width == 0.0:
        edges = torch.searchsorted(law.values_N, quantiles_L, right=False)
        cdf = torch.cat([torch.zeros(1, dtype=law.probs_N.dtype), law.probs_N.cumsum(0)])
        return cdf[edges]
    share_LN = ((quantiles_L[:, None] - law.values_N[None, :]) / width + 0.5).clamp(0.0, 1.0)
    return (law.probs_N * share_LN).sum(1)


@dataclass(frozen=True)
class QuantileTracker:
    """The online quantile estimate q_s <- q_s + step (s - P(R < q_s)) (paper, sec. 3.3).

    Args:
        levels: the L levels, increasing, in (0, 1).
        step_size: in units of reward, so that scaling all rewards scales the tracked quantiles (derived here).
        width: 0 for the tie rule `step` (the paper's update as written); the spacing of the score grid for
            `continuous`, which tracks the quantiles of R + U instead (derived here).

    The tracker holds no state: quantiles go in and come out, so that a step can be replayed and a checkpoint is exact.
    """

    levels: tuple[float, ...]
    step_size: float
    width: float = 0.0

    def start(self, law: ScoreLaw) -> Tensor:
        """quantiles_L from the first step's scores: their inverse distribution function."""
        return inverse_cdf(law, self._levels_L(law), self.width)

    def update(self, quantiles_L: Tensor, law: ScoreLaw) -> Tensor:
        """quantiles_L after one step of tracking; sorted, so that levels never cross."""
        excess_L = self._levels_L(law) - probability_below(law, quantiles_L, self.width)
        return (quantiles_L + self.step_size * excess_L).sort().values

    def _levels_L(self, law: ScoreLaw) -> Tensor:
        return torch.tensor(self.levels, dtype=law.values_N.dtype)
