"""95 % intervals of a score, each for the question it answers.

- `sampling_interval`: would other samples of the same model on these very questions give another score? For comparing
  with a number that was measured on the same questions.
- `question_interval`: would other questions of the same kind? The sampling noise is inside. This is the one to quote.
- `run_interval`: would training again with another seed? Neither of the others knows of that.

The formulas, and where they are from, are in bounds.py; experiments/interval_coverage.py counts how often they hold.
An interval that the data cannot give is refused: no bounds, and a sentence that says why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from riskpo.errors import DataError
from riskpo.evaluation.bounds import LEVEL, difference_bounds, question_bounds, sampling_bounds
from riskpo.evaluation.passk import none_of, scores_array
from riskpo.evaluation.student import t_quantile

Floats = NDArray[np.float64]
Source = Literal["samples", "questions", "runs"]
METHODS: dict[Source, str] = {
    "samples": "score interval, unbiased variance within questions",
    "questions": "score interval with the design effect of the questions, t quantile",
    "runs": "t interval over runs",
}
# Questions with too few samples for a variance of their own are counted at the largest one, if no more than this share.
_FEW = 0.1


@dataclass(frozen=True)
class Interval:
    """A mean and how far it may be off.

    Args:
        mean: the score, in [0, 1], or a change of one, in [-1, 1].
        low: the lower bound; None if the interval was refused.
        high: the upper bound; None if the interval was refused.
        source: what would be drawn again: samples, questions or runs.
        units: how many questions or runs it was made from.
        refused: why there are no bounds; "" where there are.
        level: the share of such intervals that hold the truth.
    """

    mean: float
    low: float | None
    high: float | None
    source: Source
    units: int
    refused: str = ""
    level: float = LEVEL

    @property
    def label(self) -> str:
        """What the bounds are of, for the head of a column."""
        over = {"samples": "samples, questions fixed", "questions": "questions", "runs": "training runs"}
        return f"{100 * self.level:g} % over {over[self.source]}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `refused` only where it was."""
        found: dict[str, Any] = {"mean": self.mean, "low": self.low, "high": self.high, "source": self.source}
        found |= {"units": self.units, "level": self.level, "method": METHODS[self.source]}
        return {**found, "refused": self.refused} if self.refused else found


def question_interval(values_Q: ArrayLike, level: float = LEVEL) -> Interval:
    """Over draws of questions: another benchmark of the same kind and size, sampled as often.

    Assumes that the questions are drawn independently. Several questions on one text or image are not: then it is too
    narrow.

    Args:
        values_Q: one value a question in [0, 1]: pass@k, avg@k, maj@k. NaN is left out.
        level: of the interval.

    Raises:
        DataError: no value, or one outside [0, 1].
    """
    values = _values(values_Q)
    mean, questions = float(values.mean()), len(values)
    if questions < 2:
        why = "one question says nothing about others: an interval over questions needs at least 2."
        return Interval(mean, None, None, "questions", questions, why, level)
    low, high = question_bounds(mean, values.var(), questions, level)
    return Interval(mean, float(low), float(high), "questions", questions, level=level)


def change_interval(before_Q: ArrayLike, after_Q: ArrayLike, blocks: float, level: float = LEVEL) -> Interval:
    """Of the change on the same questions, over draws of questions: `bounds.difference_bounds`.

    Args:
        before_Q: one value a question in [0, 1].
        after_Q: the same questions later, as many.
        blocks: n / k, at least 1.
        level: of the interval.

    Raises:
        DataError: no value, one outside [0, 1], or arrays of different lengths.
    """
    before, after = (np.asarray(values, dtype=np.float64) for values in (before_Q, after_Q))
    if before.shape != after.shape:
        raise DataError(f"values of shapes {before.shape} and {after.shape}: one each for every question.")
    there = ~np.isnan(before) & ~np.isnan(after)
    change = _values(after[there]) - _values(before[there])
    mean, questions = float(change.mean()), len(change)
    if questions < 2:
        why = "one question says nothing about others: an interval over questions needs at least 2."
        return Interval(mean, None, None, "questions", questions, why, level)
    low, high = difference_bounds(mean, change.var(), questions, blocks, level)
    return Interval(mean, float(low), float(high), "questions", questions, level=level)


def sampling_interval(
    values_Q: ArrayLike, variances_Q: ArrayLike, blocks_Q: ArrayLike, level: float = LEVEL
) -> Interval:
    """Over draws of samples, the questions fixed. See `pass_variances` and `average_variances`.

    A question whose own variance is unknown is counted at the largest that sampling can give it, k / (4 n); if more
    than one question in ten is, the interval is refused.

    Args:
        values_Q: one value a question in [0, 1]. Questions with NaN are left out.
        variances_Q: unbiased estimates of the values' variances; NaN where there is none.
        blocks_Q: n / k of each question, at least 1.
        level: of the interval.

    Raises:
        DataError: no value, one outside [0, 1], or arrays of different lengths.
    """
    given = np.asarray(values_Q, dtype=np.float64)
    variances, blocks = (np.asarray(array, dtype=np.float64) for array in (variances_Q, blocks_Q))
    if not given.shape == variances.shape == blocks.shape:
        raise DataError(f"values, variances and blocks of shapes {given.shape}, {variances.shape}, {blocks.shape}.")
    there = ~np.isnan(given)
    values, variances, blocks = _values(given), variances[there], blocks[there]
    mean, questions = float(values.mean()), len(values)
    unknown = np.isnan(variances)
    if unknown.mean() > _FEW:
        why = (
            f"{unknown.sum()} of {questions} questions have too few samples to say how much samples of a question "
            "differ: pass@k and avg@k need 2 k of them (2 for pass@1). An interval over questions is no substitute, "
            "but it holds this noise too."
        )
        return Interval(mean, None, None, "samples", questions, why, level)
    variances = np.where(unknown, 0.25 / blocks, variances)
    low, high = sampling_bounds(mean, variances.mean(), questions, 1.0 / np.mean(1.0 / blocks), level)
    return Interval(mean, float(low), float(high), "samples", questions, level=level)


def run_interval(scores_R: Sequence[float], level: float = LEVEL) -> Interval:
    """Over training runs that differ in the seed alone: mean -+ t s / sqrt(R), cut to [0, 1].

    Assumes that the runs' scores are roughly normal. The noise of each evaluation is inside, that of the choice of
    questions is not, as all runs share them.

    Args:
        scores_R: one score a run, in [0, 1].
        level: of the interval.

    Raises:
        DataError: no score, or one outside [0, 1].
    """
    scores = _values(scores_R)
    mean, runs = float(scores.mean()), len(scores)
    if runs < 2:
        why = "one run says nothing about other seeds: an interval over runs needs at least 2, and 2 give a wide one."
        return Interval(mean, None, None, "runs", runs, why, level)
    spread = float(scores.std(ddof=1))
    if spread < 1e-12:
        why = f"all {runs} runs have the same score, so their spread cannot be told: more runs, questions or samples."
        return Interval(mean, None, None, "runs", runs, why, level)
    half = t_quantile(level, runs - 1) * spread / math.sqrt(runs)
    return Interval(mean, max(mean - half, 0.0), min(mean + half, 1.0), "runs", runs, level=level)


def weighted_bounds(
    means_T: ArrayLike, lows_T: ArrayLike, highs_T: ArrayLike, weights_T: ArrayLike
) -> tuple[Floats, Floats]:
    """Bounds of a weighted mean of independent estimates from the bounds of each (Zou and Donner, Stat. Med. 2008).

    Each estimate's distance to its lower bound stands for q standard errors on that side, so those of the mean are the
    root of the sum of (weight x distance)^2, and the same above. Exact for normal estimates; keeps the skew of others.

    Args:
        means_T: estimates; further axes may follow the tasks.
        lows_T: their lower bounds.
        highs_T: their upper bounds.
        weights_T: one a task, positive.
    """
    means, lows, highs, weights = (
        np.asarray(array, dtype=np.float64) for array in (means_T, lows_T, highs_T, weights_T)
    )
    mean = np.tensordot(weights, means, axes=1)
    below, above = (np.sqrt(np.tensordot(weights**2, (means - side) ** 2, axes=1)) for side in (lows, highs))
    return mean - below, mean + above


def pass_variances(correct_Q: ArrayLike, usable_Q: ArrayLike, k: int) -> Floats:
    """An unbiased estimate of the variance of each question's pass@k over draws of its samples.

    With u_j = C(w, j) / C(n, j), w the wrong ones: pass@k is 1 - u_k; u_2k is unbiased for the square of what u_k
    estimates, so u_k^2 - u_2k is unbiased for the variance; it is never below 0. For k = 1: p (1 - p) / (n - 1). There
    is no unbiased estimate below 2 k samples, as that square is a polynomial of degree 2 k in p.

    Args:
        correct_Q: right samples of each question.
        usable_Q: samples that could be scored, n.
        k: of pass@k.

    Returns:
        One variance a question; NaN where n < 2 k.
    """
    correct, usable = np.asarray(correct_Q, dtype=np.int64), np.asarray(usable_Q, dtype=np.int64)
    none_QK = none_of(usable - correct, usable, [k, 2 * k])
    return np.maximum(none_QK[:, 0] ** 2 - none_QK[:, 1], 0.0)


def average_variances(scores: Sequence[Sequence[float | None]] | Floats) -> Floats:
    """The variance of each question's mean score, s^2 / n over its usable samples; NaN with fewer than 2."""
    scores_QS = scores_array(scores)
    there_QS = ~np.isnan(scores_QS)
    usable_Q = there_QS.sum(axis=1)
    means_Q = np.nansum(scores_QS, axis=1) / np.maximum(usable_Q, 1)
    squares_Q = np.where(there_QS, (scores_QS - means_Q[:, None]) ** 2, 0.0).sum(axis=1)
    return np.where(usable_Q > 1, squares_Q / np.maximum(usable_Q * (usable_Q - 1), 1), np.nan)


def _values(given: ArrayLike) -> Floats:
    values = np.asarray(given, dtype=np.float64)
    values = values[~np.isnan(values)]
    if values.size == 0:
        raise DataError("an interval needs at least one value that is not NaN.")
    if ((values < -1e-9) | (values > 1 + 1e-9)).any():
        raise DataError(f"values in [0, 1] are needed; given from {values.min():g} to {values.max():g}.")
    return np.clip(values, 0.0, 1.0)
