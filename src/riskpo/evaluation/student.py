"""Quantiles of the normal and of Student's t distribution. No SciPy for two numbers."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

_STEPS = 200  # of the bisection; each halves the bracket, and the doubles run out long before
_MANY = 1000  # degrees, from which the series below has twelve digits


def normal_quantile(probability: float) -> float:
    """The standard normal's quantile.

    Raises:
        ValueError: a probability outside (0, 1).
    """
    return NormalDist().inv_cdf(probability)


def t_within(t: float, degrees: int) -> float:
    """P(|T| <= t) for whole degrees of freedom, as the finite sum of Abramowitz and Stegun 26.7.3 and 26.7.4.

    Args:
        t: at least 0.
        degrees: of freedom, at least 1.
    """
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    if degrees % 2:
        # theta + sin (cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ...), (degrees - 1) / 2 terms
        i = np.arange(1, (degrees - 1) // 2)
        factors = np.concatenate([[cosine], 2 * i / (2 * i + 1) * cosine**2])
        terms = math.fsum(np.cumprod(factors)) if degrees > 1 else 0.0
        return (angle + sine * terms) * 2 / math.pi
    # sin (1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ...), degrees / 2 terms
    i = np.arange(1, degrees // 2)
    return sine * math.fsum(np.cumprod(np.concatenate([[1.0], (2 * i - 1) / (2 * i) * cosine**2])))


@lru_cache(maxsize=1024)
def t_quantile(level: float, degrees: int) -> float:
    """The t with P(|T| <= t) = level: 2.0452 at 0.95 and 29.

    Args:
        level: of the two-sided interval, in (0, 1).
        degrees: of freedom, at least 1.

    Raises:
        ValueError: a level or degrees outside these ranges.
    """
    if not 0 < level < 1 or degrees < 1:
        raise ValueError(f"a t quantile needs a level in (0, 1) and degrees >= 1; given {level} and {degrees}.")
    if degrees > _MANY:
        return _expanded(normal_quantile((1 + level) / 2), degrees)
    low, high = 0.0, 2.0
    while t_within(high, degrees) < level:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_within(middle, degrees) < level else (low, middle)
    return high


def _expanded(x: float, degrees: int) -> float:
    """t from the normal's quantile: Abramowitz and Stegun 26.7.5."""
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + math.fsum(term / degrees**power for power, term in enumerate(terms, start=1))
