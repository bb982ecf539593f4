"""pass@k without bias, for one k or all, of questions with unscorable samples too; averages. NumPy only.

A sample that could not be scored (None, NaN) is no wrong answer: it is left out, and a question has as many samples as
were scored. A question with fewer than k of them has no pass@k; it is left out of the mean and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from riskpo.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROUNDING = 1e-6  # a score within this of 1 is full marks


def pass_at_k(correct_Q: NDArray[np.int64], samples: int, k: int) -> Floats:
    """The unbiased estimate 1 - C(n - c, k) / C(n, k) for each question (Chen et al., arXiv 2107.03374, eq. 1).

    Args:
        correct_Q: c, how many of a question's samples are right.
        samples: n, samples per question.
        k: at most n.

    Returns:
        pass@k per question, in [0, 1].

    Raises:
        ConfigError: k outside 1..n.
    """
    if not 1 <= k <= samples:
        raise ConfigError(f"pass@{k} needs at least {k} samples per question (and k >= 1); there are {samples}.")
    return 1.0 - none_of(samples - np.asarray(correct_Q), np.full(len(correct_Q), samples), [k])[:, 0]


def pass_at_ks(correct_Q: ArrayLike, usable_Q: ArrayLike, ks: Sequence[int] | None = None) -> Floats:
    """pass@k for several k at once.

    Args:
        correct_Q: how many of a question's samples are right.
        usable_Q: how many of them could be scored, n_q.
        ks: which k; all from 1 to the largest n_q if not given.

    Returns:
        (questions, ks), in [0, 1]; NaN where a question has fewer than k usable samples.

    Raises:
        ConfigError: a k below 1.
        DataError: more right than usable samples, or a negative number.
    """
    correct, usable = np.asarray(correct_Q, dtype=np.int64), np.asarray(usable_Q, dtype=np.int64)
    if correct.shape != usable.shape or correct.ndim != 1:
        raise DataError(f"counts of right and usable samples of shapes {correct.shape} and {usable.shape}: one each.")
    if ((correct < 0) | (correct > usable)).any():
        q = int(((correct < 0) | (correct > usable)).argmax())
        raise DataError(f"question {q} has {correct[q]} right of {usable[q]} usable samples.")
    chosen = list(range(1, int(usable.max(initial=0)) + 1)) if ks is None else list(ks)
    if any(k < 1 for k in chosen):
        raise ConfigError(f"pass@k needs k >= 1; given {chosen}.")
    return 1.0 - none_of(usable - correct, usable, chosen)


def none_of(wrong_Q: Ints, usable_Q: Ints, ks: Sequence[int]) -> Floats:
    """C(w, k) / C(n, k): the share of the subsets of k samples that are all wrong.

    As a running product of k factors (w - i) / (n - i): no large numbers, exactly 0 once w < k.

    Args:
        wrong_Q: w, the wrong samples of a question.
        usable_Q: n, all its usable samples.
        ks: sizes of the subsets, at least 1.

    Returns:
        (questions, ks), in [0, 1]; NaN where n < k.
    """
    if not ks:
        return np.empty((len(wrong_Q), 0))
    drawn_K = np.arange(max(ks))
    remaining = np.clip(usable_Q[:, None] - drawn_K, 1, None)  # the 1 stands where the result is NaN
    products = np.cumprod(np.clip(wrong_Q[:, None] - drawn_K, 0, None) / remaining, axis=1)
    shares: Floats = products[:, np.asarray(ks) - 1]
    shares[usable_Q[:, None] < np.asarray(ks)] = np.nan
    return shares


@dataclass(frozen=True)
class Counts:
    """What is left of scores for pass@k.

    Args:
        correct_Q: samples with full marks, for each question.
        usable_Q: samples that could be scored.
    """

    correct_Q: Ints
    usable_Q: Ints


def scores_array(scores: Sequence[Sequence[float | None]] | Floats) -> Floats:
    """Scores as an array (questions, samples), NaN for what could not be scored or, in ragged lists, is not there.

    Raises:
        DataError: a score outside [0, 1], or no question.
    """
    if len(scores) == 0:
        raise DataError("an evaluation needs at least one question; there is none.")
    width = max((len(row) for row in scores), default=0)
    scores_QS = np.full((len(scores), width), np.nan)
    for q, row in enumerate(scores):
        scores_QS[q, : len(row)] = [np.nan if score is None else score for score in row]
    outside = (scores_QS < -_ROUNDING) | (scores_QS > 1 + _ROUNDING) | np.isinf(scores_QS)
    if outside.any():
        q, s = (int(i) for i in np.argwhere(outside)[0])
        raise DataError(f"question {q}, sample {s} has score {scores_QS[q, s]}; scores are in [0, 1], or None.")
    clipped: Floats = np.clip(scores_QS, 0.0, 1.0)
    return clipped


def count(scores: Sequence[Sequence[float | None]] | Floats) -> Counts:
    """Counts right and usable samples: full marks are right, partial credit is not, None and NaN are neither."""
    scores_QS = scores_array(scores)
    correct_Q: Ints = (scores_QS >= 1.0 - _ROUNDING).sum(axis=1)
    usable_Q: Ints = (~np.isnan(scores_QS)).sum(axis=1)
    return Counts(correct_Q, usable_Q)


def average(scores: Sequence[Sequence[float | None]] | Floats) -> Floats:
    """avg@n: each question's mean score over its usable samples; NaN where there is none.

    The mean over all subsets of k samples is the same number for every k: avg@k for k < n says nothing more than
    avg@n. With scores of 0 and 1 it is pass@1.
    """
    scores_QS = scores_array(scores)
    usable_Q = (~np.isnan(scores_QS)).sum(axis=1)
    means: Floats = np.nansum(scores_QS, axis=1) / np.maximum(usable_Q, 1)
    means[usable_Q == 0] = np.nan
    return means
