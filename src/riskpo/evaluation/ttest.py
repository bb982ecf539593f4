"""The power of a t test: how often a true difference is found. Exact, by the noncentral t distribution.

Where the mean of N normal differences is d and their standard deviation s, T = mean sqrt(N) / S has the noncentral t
distribution with N - 1 degrees of freedom and noncentrality d sqrt(N) / s (Johnson, Kotz and Balakrishnan, Continuous
Univariate Distributions 2, chapter 31). A two-sided test finds it with probability P(|T| > t).
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from riskpo.evaluation.student import t_quantile

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(60)  # the rule of Gauss and Legendre, for each piece
_WIDE = 10.0  # standard deviations of either factor, beyond which nothing is left in double precision
_STEPS = 100  # of the bisection


def t_test_power(noncentrality: float, degrees: int, alpha: float) -> float:
    """The probability that a two-sided t test at level alpha rejects, on either side.

    T = (Z + noncentrality) / R, R^2 a chi-squared divided by its degrees: given R = r the normal distribution says
    it, and the law of R is integrated over, in pieces so that neither factor is steep within one. Good to 1e-10.

    Args:
        noncentrality: the true mean in standard errors; its sign does not matter.
        degrees: of freedom, at least 1.
        alpha: level of the test, in (0, 1).

    Raises:
        ValueError: degrees or a level outside these ranges.
    """
    critical, shift = t_quantile(1 - alpha, degrees), abs(noncentrality)
    spread = 1 / math.sqrt(2 * degrees)
    low, high = max(1 - _WIDE * spread, 0.0), 1 + _WIDE * spread
    # Where P(Z + shift > critical r) goes from 1 to 0, and the same on the other side.
    turns = [(side * shift + off) / critical for side in (-1, 1) for off in (-_WIDE, _WIDE)]
    ends = [low, *sorted(turn for turn in turns if low < turn < high), high]
    total = 0.0
    for begin, end in itertools.pairwise(ends):
        r = begin + (end - begin) * (_POINTS + 1) / 2
        beyond = [_normal_above(critical * x - shift) + _normal_above(critical * x + shift) for x in r.tolist()]
        total += float(_WEIGHTS @ (_density(r, degrees) * beyond)) * (end - begin) / 2
    return min(max(total, 0.0), 1.0)


@lru_cache(maxsize=1024)
def found_noncentrality(degrees: int, alpha: float, power: float) -> float:
    """The smallest noncentrality that is found with this power.

    Args:
        degrees: of freedom, at least 1.
        alpha: level of the test, in (0, 1).
        power: above alpha, below 1.

    Raises:
        ValueError: a value outside these ranges.
    """
    if not alpha < power < 1:
        raise ValueError(f"power must be above the level {alpha} and below 1, got {power}.")
    low, high = 0.0, 2.0
    while t_test_power(high, degrees, alpha) < power:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_test_power(middle, degrees, alpha) < power else (low, middle)
    return high


def _density(r: NDArray[np.float64], degrees: int) -> NDArray[np.float64]:
    """Of the square root of a chi-squared divided by its degrees; r above 0."""
    half = degrees / 2
    constant = math.log(2) + half * math.log(half) - math.lgamma(half)
    return np.asarray(np.exp(constant + (degrees - 1) * np.log(r) - half * r**2))


def _normal_above(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
