"""A task's scores from the scores of its samples: pass@k, avg@n and maj@k, with intervals and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskpo.errors import DataError
from riskpo.evaluation.intervals import (
    Interval,
    average_variances,
    pass_variances,
    question_interval,
    sampling_interval,
)
from riskpo.evaluation.majority import majority_at_k
from riskpo.evaluation.passk import average, count, pass_at_ks

Floats = NDArray[np.float64]
Marks = Sequence[Sequence[float | None]] | Floats


@dataclass(frozen=True)
class Score:
    """A score of one model on one task.

    Args:
        metric: "pass@8", "avg@32", "maj@8".
        mean: over the questions that count, each weighing the same.
        questions: how many count.
        left_out: how many do not, as they have too few usable samples. None is never 0.
        over_questions: the interval over draws of questions.
        over_samples: the interval over draws of samples, the questions fixed.
    """

    metric: str
    mean: float
    questions: int
    left_out: int
    over_questions: Interval
    over_samples: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "metric": self.metric,
            "mean": self.mean,
            "questions": self.questions,
            "left_out": self.left_out,
            "over_questions": self.over_questions.as_dict(),
            "over_samples": self.over_samples.as_dict(),
        }


def pass_scores(scores: Marks, ks: Sequence[int]) -> list[Score]:
    """pass@k for each k.

    Args:
        scores: of each question's samples, in [0, 1]; None or NaN where one could not be judged.
        ks: each at least 1.

    Raises:
        ConfigError: a k below 1.
        DataError: a k for which no question has enough usable samples, or scores outside [0, 1].
    """
    counts = count(scores)
    values_QK = pass_at_ks(counts.correct_Q, counts.usable_Q, ks)
    return [
        _score(f"pass@{k}", values, (pass_variances(counts.correct_Q, counts.usable_Q, k), counts.usable_Q / k))
        for k, values in zip(ks, values_QK.T, strict=True)
    ]


def average_score(scores: Marks) -> Score:
    """avg@n, the mean of the samples' scores; partial credit counts. n in the name is the most samples of a question.

    Raises:
        DataError: no usable sample, or scores outside [0, 1].
    """
    usable_Q = count(scores).usable_Q
    return _score(
        f"avg@{int(usable_Q.max())}", average(scores), (average_variances(scores), usable_Q.astype(np.float64))
    )


def majority_scores(
    answers: Sequence[Sequence[str | None]],
    scores: Sequence[Sequence[float | None]],
    ks: Sequence[int],
    key: Callable[[str], str] = str.strip,
) -> list[Score]:
    """maj@k for each k. Its interval over samples is refused: the variance has no unbiased estimate in closed form.

    Args:
        answers: what was extracted from each question's samples; None where nothing was.
        scores: as for `pass_scores`.
        ks: each at least 1.
        key: see `majority_at_k`.

    Raises:
        ConfigError: a k below 1, or more than 1024 samples.
        DataError: a k for which no question has enough usable samples, or lists of different lengths.
    """
    values_QK = majority_at_k(answers, scores, ks, key)
    why = "the variance of a majority over draws of samples has no unbiased estimate here: see the one over questions."
    return [_score(f"maj@{k}", values, why) for k, values in zip(ks, values_QK.T, strict=True)]


def _score(metric: str, values_Q: Floats, sampling: tuple[Floats, Floats] | str) -> Score:
    """`sampling`: the values' variances and n / k, or why there is no interval over samples."""
    there = ~np.isnan(values_Q)
    questions = int(there.sum())
    if not questions:
        raise DataError(f"{metric}: no question has as many usable samples; ask for a smaller k, or sample more.")
    by_questions = question_interval(values_Q)
    if isinstance(sampling, str):
        by_samples = Interval(by_questions.mean, None, None, "samples", questions, sampling)
    else:
        by_samples = sampling_interval(values_Q, *sampling)
    return Score(metric, by_questions.mean, questions, int((~there).sum()), by_questions, by_samples)
