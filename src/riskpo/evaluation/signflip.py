"""A test of paired differences that assumes nothing of their distribution: flip the signs, see how rare this sum is.

If two models are alike on the questions, each difference D_q is as likely as -D_q, whatever its size (Fisher 1935). p
is the share of the 2^M assignments of signs whose sum is at least as far from 0. With one sample a question the
differences are -1, 0 and 1, and this is McNemar's exact test: the zeros drop out, the others are fair coins.

The unit is the question, so it agrees with intervals over questions. To shuffle the samples within a question instead
would test that the models are equal on these very questions: more powerful, and no statement about others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MOST_STEPS = 200_000_000  # of the convolution: about half a second
_MOST_ENUMERATED = 20  # differences that are not 0: a million sums
DRAWS = 100_000
_HELD_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class SignFlip:
    """What the test found.

    Args:
        p: two-sided, in (0, 1].
        exact: whether every assignment of signs was counted.
        error: the standard error of p where assignments were drawn; 0 where all were counted.
        differing: how many differences are not 0. With fewer than 6 no p is below 0.05.
    """

    p: float
    exact: bool
    error: float
    differing: int

    @property
    def name(self) -> str:
        """How a table calls it."""
        return "exact sign-flip test" if self.exact else f"sign-flip test, {DRAWS} draws, p +- {self.error:.1g}"


def sign_flip_test(differences: Sequence[Fraction] | Sequence[float], seed: int = 0) -> SignFlip:
    """The two-sided p of a sum of paired differences.

    Fractions of one denominator (counts of right answers) lie on a grid, where the distribution of the sum is a
    convolution: exact for thousands of questions. Up to 20 other differences are enumerated. Beyond, signs are drawn,
    and p is (1 + as far) / (1 + draws), which keeps the level of the test.

    Args:
        differences: one a question; fractions where they are known exactly.
        seed: of the draws.
    """
    sizes = [abs(difference) for difference in differences if difference != 0]
    if not sizes:
        return SignFlip(1.0, True, 0.0, 0)
    on_grid = _grid(differences)
    if on_grid is not None:
        return SignFlip(_by_convolution(*on_grid), True, 0.0, len(sizes))
    values = np.array([float(difference) for difference in differences])
    values = values[values != 0] / np.abs(values).max()
    sizes_D = np.abs(values)
    # Equal sums may differ in their last digits; they count as equal.
    threshold = abs(values.sum()) - 1e-9 * sizes_D.sum()
    if len(sizes) <= _MOST_ENUMERATED:
        sums = np.zeros(1)
        for size in sizes_D:
            sums = np.concatenate([sums - size, sums + size])
        return SignFlip(float(np.mean(np.abs(sums) >= threshold)), True, 0.0, len(sizes))
    p = _by_draws(sizes_D, threshold, np.random.default_rng(seed))
    return SignFlip(p, False, math.sqrt(p * (1 - p) / DRAWS), len(sizes))


def _grid(differences: Sequence[Fraction] | Sequence[float]) -> tuple[list[int], int] | None:
    """Sizes and the observed sum as whole numbers; None where the grid is too fine, or there is none."""
    fractions = [difference for difference in differences if isinstance(difference, Fraction) and difference != 0]
    if len(fractions) < sum(difference != 0 for difference in differences):
        return None
    unit = math.lcm(*(fraction.denominator for fraction in fractions))
    whole = [int(fraction * unit) for fraction in fractions]
    common = math.gcd(*whole)
    sizes = [abs(number) // common for number in whole]
    if len(sizes) * sum(sizes) > _MOST_STEPS:
        return None
    return sizes, abs(sum(whole)) // common


def _by_convolution(sizes: list[int], observed: int) -> float:
    """Of sum +-d, as 2 sum b d - sum d with fair coins b."""
    reach = sum(sizes)
    chances = np.zeros(reach + 1)
    chances[0] = 1.0
    reached = 0
    for size in sorted(sizes):
        moved = 0.5 * chances[: reached + 1]
        chances[: reached + 1] = moved
        chances[size : reached + size + 1] += moved
        reached += size
    far = np.abs(2 * np.arange(reach + 1) - reach) >= observed
    # Nothing is rarer than one assignment and its mirror image, also where the doubles run out.
    return min(max(float(chances[far].sum()), 5e-324), 1.0)


def _by_draws(sizes_D: Floats, threshold: float, rng: np.random.Generator) -> float:
    """Equal sizes together: their sum is a binomial number."""
    values_U, counts_U = np.unique(np.round(sizes_D, 12), return_counts=True)
    rows = max(_HELD_AT_ONCE // len(values_U), 1)
    far = 0
    for start in range(0, DRAWS, rows):
        heads = rng.binomial(counts_U, 0.5, size=(min(rows, DRAWS - start), len(values_U)))
        far += int(np.count_nonzero(np.abs((2 * heads - counts_U) @ values_U) >= threshold))
    return (1 + far) / (1 + DRAWS)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): all those below 0.05 are right together with 95 %."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected
