"""Where 95 % intervals of a score begin and end: three formulas, on arrays, so that a simulation can run the very same.

All three are score intervals in the manner of Wilson (JASA 1927): the set of true means m that the observed mean x is
within q standard errors of, where the standard error is that *at m*. A mean of values in [0, 1] has variance at most
m (1 - m) / N, as coins have; a share d of that, the design effect, is estimated from the spread, and

    (x - m)^2 <= q^2 d m (1 - m) / N

is solved for m. With d = 1 that is Wilson's interval; d < 1 is Wilson's at the effective size N / d of survey sampling
(Korn and Graubard, Survey Methodology 24, 1998; Franco et al., JSSAM 7, 2019). What makes it hold its level where
bootstraps and t do not: for hard benchmarks the spread grows with the mean, so a sample that happened to be low also
looks less spread than it should; here the spread is that of the mean under test.

Each design effect is estimated with a little of a worst case mixed in, so that no interval shrinks to a point where
outcomes are equal. How much was chosen by simulation on the populations of experiments/interval_coverage.py that its
targets name; the further ones there were looked at afterwards only. How often each holds stands in its result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from riskpo.evaluation.student import normal_quantile, t_quantile

Floats = NDArray[np.float64]
Bounds = tuple[Floats, Floats]
LEVEL = 0.95
# Weight, in questions, of a value at 0 and of one at 1 that the spread over questions is estimated with.
ATOM = 0.1


def wilson(mean: ArrayLike, effect: ArrayLike, size: ArrayLike, quantile: float) -> Bounds:
    """All m in [0, 1] with (mean - m)^2 <= quantile^2 effect m (1 - m) / size.

    Args:
        mean: in [0, 1].
        effect: the design effect d, in (0, 1].
        size: N, the number of independent values in the mean.
        quantile: of the standardised mean.
    """
    x = np.asarray(mean, dtype=np.float64)
    e = quantile**2 * np.asarray(effect, dtype=np.float64) / np.asarray(size, dtype=np.float64)
    centre = (x + e / 2) / (1 + e)
    half = np.sqrt(np.maximum(e * x * (1 - x) + e**2 / 4, 0.0)) / (1 + e)
    # Rounding must not push the bound off a mean of exactly 0 or 1.
    return np.minimum(np.maximum(centre - half, 0.0), x), np.maximum(np.minimum(centre + half, 1.0), x)


def question_bounds(mean: ArrayLike, variance: ArrayLike, questions: int, level: float = LEVEL) -> Bounds:
    """Over draws of questions. The values' sampling noise is part of their variance, so it is inside.

    d is the variance of the values, with `ATOM` of a question at 0 and at 1 added, by that of coins of the same mean.
    All equal at 0 or 1: d = 1, Wilson's interval for as many coins. The quantile is t's with M - 1 degrees.

    Args:
        mean: of the questions' values, in [0, 1].
        variance: of the values, the sum of squares divided by M (not M - 1).
        questions: M, at least 2.
        level: of the interval.
    """
    x, s2 = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    weight = questions + 2 * ATOM
    centre = (questions * x + ATOM) / weight
    spread = (questions * (s2 + (x - centre) ** 2) + ATOM * centre**2 + ATOM * (1 - centre) ** 2) / weight
    effect = spread / (centre * (1 - centre)) * questions / (questions - 1)
    return wilson(x, np.minimum(effect, 1.0), questions, t_quantile(level, questions - 1))


def sampling_bounds(
    mean: ArrayLike, variance: ArrayLike, questions: int, blocks: ArrayLike, level: float = LEVEL
) -> Bounds:
    """Over draws of samples, the questions fixed.

    The variance of an average over all subsets of k of n samples is at most k / n of v (1 - v), v being its mean
    (Hoeffding, Annals of Mathematical Statistics 1948), so the mean over questions is at least as steady as that of
    M n / k coins. d is what the estimated variances are of that bound, with one question at the bound mixed in.

    Args:
        mean: of the questions' values, in [0, 1].
        variance: the mean over questions of the (unbiased) variance of a question's value.
        questions: M.
        blocks: n / k, disjoint subsets of a question (the harmonic mean over questions).
        level: of the interval.
    """
    x, s2 = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    size = np.asarray(blocks, dtype=np.float64)
    coins = x * (1 - x)
    share = np.divide(s2 * size, coins, out=np.ones(np.broadcast(s2, size, coins).shape), where=coins > 1e-12)
    effect = np.minimum((questions * share + 1) / (questions + 1), 1.0)
    return wilson(x, effect, questions * size, normal_quantile((1 + level) / 2))


def difference_error(variance: ArrayLike, questions: int, blocks: ArrayLike) -> Floats:
    """The standard error of a mean of paired differences.

    The estimate from the M differences, with one question more whose difference varies as much as the sampling of two
    models alone can make it: k / (4 n) each. If all differences are equal they tell nothing of the spread, and that
    question counts as one with a single sample, 1/2.

    Args:
        variance: of the differences, the sum of squares divided by M.
        questions: M, at least 2.
        blocks: n / k, the harmonic mean over both models and the questions.
    """
    s2 = np.asarray(variance, dtype=np.float64)
    extra = np.where(s2 > 1e-15, 0.5 / np.asarray(blocks, dtype=np.float64), 0.5)
    return np.sqrt((questions * s2 + extra) / (questions - 1) / questions)


def difference_bounds(
    mean: ArrayLike, variance: ArrayLike, questions: int, blocks: ArrayLike, level: float = LEVEL
) -> Bounds:
    """Of a mean of paired differences in [-1, 1] over draws of questions: mean -+ t times `difference_error`.

    No score interval: differences lean to neither side as scores do, and their spread does not hang on their mean.

    Args:
        mean: of the differences.
        variance: of the differences, the sum of squares divided by M.
        questions: M, at least 2.
        blocks: n / k, the harmonic mean over both models and the questions.
        level: of the interval.
    """
    x = np.asarray(mean, dtype=np.float64)
    half = t_quantile(level, questions - 1) * difference_error(variance, questions, blocks)
    return np.clip(x - half, -1.0, 1.0), np.clip(x + half, -1.0, 1.0)
