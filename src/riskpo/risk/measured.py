"""Numbers with standard errors: ratios of sums over populations, signal-to-noise ratios, means over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Measured:
    """A number and its standard error; NaN where it cannot be told."""

    value: float
    error: float


NOT_MEASURED = Measured(math.nan, math.nan)


def ratio_of_sums(above_N: Tensor, below_N: Tensor) -> Measured:
    """sum above / sum below, with its delta-method standard error over the N populations that have any."""
    has_N = below_N > 0.0
    above_N, below_N, count = above_N[has_N], below_N[has_N], int(has_N.sum())
    if not count:
        return NOT_MEASURED
    value = float(above_N.sum() / below_N.sum())
    if count < 2:
        return Measured(value, math.nan)
    spread = float((above_N - value * below_N).square().sum()) * count / (count - 1)
    return Measured(value, math.sqrt(spread) / float(below_N.sum()))


def signal_to_noise(own_N2: Tensor, other_N2: Tensor | None = None) -> Measured:
    """Root of summed |E g|^2 over summed tr Cov g (see `signal_and_noise`), or its ratio to another's; jackknife error.

    Only populations that both have count. NaN where there is no noise (all advantages 0) or the other has no signal.
    """
    both = [own_N2] if other_N2 is None else [own_N2, other_N2]
    has_N = ~torch.cat(both, 1).isnan().any(1)
    count = int(has_N.sum())

    def value(kept_N: Tensor) -> float:
        roots = []
        for one_N2 in both:
            signal, noise = one_N2[kept_N].sum(0).tolist()
            roots.append(math.sqrt(max(signal, 0.0) / noise) if noise > 0.0 else math.nan)
        return roots[0] if len(roots) == 1 else (roots[0] / roots[1] if roots[1] else math.nan)

    if not count:
        return NOT_MEASURED
    whole = value(has_N)
    if count < 2:
        return Measured(whole, math.nan)
    left_out = []
    for n in has_N.nonzero().flatten().tolist():
        kept_N = has_N.clone()
        kept_N[n] = False
        left_out.append(value(kept_N))
    mean = sum(left_out) / count
    return Measured(whole, math.sqrt((count - 1) / count * sum((v - mean) ** 2 for v in left_out)))


def mean_over_steps(values: Sequence[float]) -> Measured:
    """The mean of independent values, with its standard error."""
    if not values:
        return NOT_MEASURED
    numbers = torch.tensor(values, dtype=torch.float64)
    error = float(numbers.std(correction=1)) / len(values) ** 0.5 if len(values) > 1 else math.nan
    return Measured(float(numbers.mean()), error)
