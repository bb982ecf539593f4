"""From the records of a task to its scores: pass@k and avg@n with intervals, and what to distrust them for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from riskpo.errors import ConfigError
from riskpo.evaluation.intervals import (
    average_variances,
    pass_variances,
    question_interval,
    sampling_interval,
)
from riskpo.evaluation.passk import average, count, pass_at_ks
from riskpo.evaluation.records import Record


def default_ks(samples: int) -> list[int]:
    """1, 2, 4, ... up to the number of samples."""
    ks = [1]
    while ks[-1] * 2 <= samples:
        ks.append(ks[-1] * 2)
    return ks


def check_ks(ks: Sequence[int], samples: int) -> None:
    """Raises ConfigError for a k outside 1..samples."""
    wrong = [k for k in ks if not 1 <= k <= samples]
    if wrong:
        raise ConfigError(f"pass@k for k = {wrong} cannot be had from {samples} samples a question: 1 <= k <= samples.")


def task_results(
    records: Iterable[Record], questions: Sequence[str], samples: int, ks: Sequence[int]
) -> dict[str, Any]:
    """The scores of one task.

    Args:
        records: of all its samples.
        questions: the names of its questions.
        samples: of each.
        ks: of pass@k.

    Returns:
        `pass` by k: mean, interval over questions and over samples, and how many questions had too few usable samples;
        `avg`: the mean score likewise; the shares of samples that were `truncated`, `unscorable` and without an answer;
        the mean length in `tokens`; `correct` and `usable` samples of each question.
    """
    place = {name: index for index, name in enumerate(questions)}
    scores_QS = np.full((len(questions), samples), np.nan)
    total = truncated = silent = tokens = 0
    for record in records:
        if record.score is not None:
            scores_QS[place[record.question], record.sample] = record.score
        total += 1
        truncated += record.truncated
        silent += record.status == "no_answer"
        tokens += record.tokens
    counts = count(scores_QS)
    shares = {"truncated": truncated / total, "no_answer": silent / total}
    found: dict[str, Any] = {
        "questions": len(questions),
        "samples": samples,
        "unscorable": float(np.isnan(scores_QS).mean()),
        **shares,
        "tokens": tokens / total,
    }
    if np.isnan(scores_QS).all():
        return {**found, "pass": {}, "avg": None, "why": "not one sample could be scored."}
    passes_QK = pass_at_ks(counts.correct_Q, counts.usable_Q, ks)
    found["pass"] = {}
    for column, k in enumerate(ks):
        values_Q = passes_QK[:, column]
        if np.isnan(values_Q).all():
            continue
        # A question with n usable samples is as good as n / k draws of k of them.
        blocks_Q = np.maximum(counts.usable_Q / k, 1.0)
        variances_Q = pass_variances(counts.correct_Q, counts.usable_Q, k)
        found["pass"][str(k)] = {
            "mean": float(np.nanmean(values_Q)),
            "left_out": int(np.isnan(values_Q).sum()),
            "over_questions": question_interval(values_Q).as_dict(),
            "over_samples": sampling_interval(values_Q, variances_Q, blocks_Q).as_dict(),
        }
    means_Q = average(scores_QS)
    found["avg"] = {
        "mean": float(np.nanmean(means_Q)),
        "over_questions": question_interval(means_Q).as_dict(),
        "over_samples": sampling_interval(
            means_Q, average_variances(scores_QS), np.maximum(counts.usable_Q, 1)
        ).as_dict(),
    }
    found["correct"], found["usable"] = counts.correct_Q.tolist(), counts.usable_Q.tolist()
    return found
