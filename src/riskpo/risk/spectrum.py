"""Spectral risk measures: one small type for the mean, CVaR, RVaR, MVaR and their risk-seeking mirror."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from riskpo.errors import ConfigError
from riskpo.risk.quantiles import ScoreLaw


@dataclass(frozen=True)
class Spectrum:
    r"""A risk measure rho(F) = int_0^1 phi(u) F^-1(u) du with a piecewise-constant weight phi over quantile levels.

    RiskPO (arXiv 2510.00911, sec. 2-3) defines MVaR, RVaR and CVaR; that all of them, the mean and the upper tail are
    one family is derived here (tests/risk/test_spectrum.py checks each against its own integral).

    Args:
        levels: L strictly increasing quantile levels in (0, 1), where phi changes its value.
        weights: L + 1 finite weights >= 0, not all 0: phi below the first level, between levels, above the last.

    Raises:
        ConfigError: levels or weights outside these bounds.
    """

    levels: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.levels) + 1:
            raise ConfigError(
                f"a spectrum of {len(self.levels)} levels needs {len(self.levels) + 1} weights "
                f"(one per interval), got {len(self.weights)}."
            )
        if not all(math.isfinite(level) and 0.0 < level < 1.0 for level in self.levels):
            raise ConfigError(f"spectrum levels must lie strictly between 0 and 1, got {list(self.levels)}.")
        if any(low >= high for low, high in itertools.pairwise(self.levels)):
            raise ConfigError(f"spectrum levels must increase strictly, got {list(self.levels)}.")
        if not all(math.isfinite(weight) and weight >= 0.0 for weight in self.weights) or not any(self.weights):
            raise ConfigError(f"spectrum weights must be finite, >= 0 and not all 0, got {list(self.weights)}.")

    @classmethod
    def mean(cls) -> Spectrum:
        """The expectation E[R]: phi = 1."""
        return cls((), (1.0,))

    @classmethod
    def cvar(cls, level: float) -> Spectrum:
        """Conditional value-at-risk of the lower tail, (1/level) int_0^level F^-1(u) du (paper, sec. 2)."""
        return cls((level,), (_reciprocal(level, "level"), 0.0))

    @classmethod
    def rvar(cls, low: float, high: float) -> Spectrum:
        """Range value-at-risk, 1/(high-low) int_low^high F^-1(u) du (paper, sec. 2)."""
        return cls((low, high), (0.0, _reciprocal(high - low, "risk_high - risk_low"), 0.0))

    @classmethod
    def mvar(cls, low: float, high: float, tail_weight: float) -> Spectrum:
        """Mixed value-at-risk, (1+w) int_0^low F^-1 + int_low^high F^-1 (paper, sec. 3; it uses .2, .8 and w = .5)."""
        return cls((low, high), (1.0 + tail_weight, 1.0, 0.0))

    @classmethod
    def upper_tail(cls, low: float, high: float, tail_weight: float) -> Spectrum:
        """The risk-seeking mirror of MVaR: weights 0, 1, 1+w (derived here)."""
        return cls((low, high), (0.0, 1.0, 1.0 + tail_weight))

    def signal(self, scores: Tensor, quantiles_L: Tensor, width: float = 0.0) -> Tensor:
        """The signal A of a score: the function with slope A'(r) = phi(F(r)), zero at the top kink.

        By grad rho = E[A(R) grad log pi] (paper, sec. 3) this is what multiplies the log-probability. For MVaR it is
        A(R) = -(1+w) (q_a - R)^+ + clip(R, q_a, q_b) - q_b, the paper's: never positive, and exactly 0 for R >= q_b.
        The mean has no kink: its signal is the score itself.

        Args:
            scores: any shape, in units of reward.
            quantiles_L: the L quantiles F^-1(levels), increasing, in units of reward.
            width: 0 for the signal at the score; d > 0 for its mean E_U A(R + U) over U ~ Uniform(-d/2, d/2), in
                closed form (tie rule `continuous`; derived here, checked by finite differences).

        Returns:
            A tensor of the shape and dtype of `scores`.
        """
        quantiles = quantiles_L.to(scores).tolist()
        if not quantiles:
            return scores * self.weights[0]
        top = quantiles[-1]
        signal = self.weights[-1] * positive_part(scores - top, width) if self.weights[-1] else torch.zeros_like(scores)
        # From R up to the top kink, each unit of the segment (q_{k-1}, q_k) is worth the segment's weight; with
        # reach_k = (q_k - R)^+ the part of it above R is reach_k - reach_{k-1}, and reach_0 = 0 for q_0 = -infinity.
        reach_before = torch.zeros_like(scores)
        for quantile, weight in zip(quantiles, self.weights[:-1], strict=True):
            reach = positive_part(quantile - scores, width)
            signal = signal - weight * (reach - reach_before)
            reach_before = reach
        return signal

    def value(self, law: ScoreLaw) -> float:
        """rho of a discrete law, in units of reward; exact, atoms included."""
        edges = torch.tensor((0.0, *self.levels, 1.0), dtype=law.values_N.dtype)
        mass = law.lower_integral(edges).diff()
        return float((mass * torch.tensor(self.weights, dtype=mass.dtype)).sum())


def positive_part(distance: Tensor, width: float) -> Tensor:
    """E (distance + U)^+ with U ~ Uniform(-width/2, width/2); the plain positive part for width 0."""
    if width == 0.0:
        return distance.clamp(min=0.0)
    share = distance / width + 0.5  # how much of the box lies above zero, before clipping
    return width * (0.5 * share.clamp(0.0, 1.0).square() + (share - 1.0).clamp(min=0.0))


def _reciprocal(length: float, name: str) -> float:
    if not length > 0.0:
        raise ConfigError(f"{name} must be positive, got {length}.")
    return 1.0 / length
