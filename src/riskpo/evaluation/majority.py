"""maj@k: is the answer that most of k samples give the right one? Over all subsets of k of a question's samples.

The vote of the first k of n samples would be a noisy guess; the mean over all C(n, k) subsets, computed exactly, is the
unbiased estimate with the least variance (a U-statistic), as for pass@k. A tie counts as the expected value of a fair
draw among the tied answers. At k = n it is the vote of all samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.passk import count

Floats = NDArray[np.float64]
# C(n, n / 2) is beyond a double soon after.
_MOST_SAMPLES = 1024


def majority_at_k(
    answers: Sequence[Sequence[str | None]],
    scores: Sequence[Sequence[float | None]],
    ks: Sequence[int],
    key: Callable[[str], str] = str.strip,
) -> Floats:
    """The chance that the majority of k of a question's samples, drawn without replacement, is right.

    A sample whose score is None could not be judged and is left out. One that was judged but has no answer is drawn
    like any other and does not vote; if no one votes, the vote is wrong. Samples give the same answer if `key` makes
    the same text of them; if some of one answer were judged right and others wrong, it counts by its share.

    Args:
        answers: the extracted answer of each question's samples (`Verdict.answer`).
        scores: their scores, full marks (within 1e-6 of 1) being right.
        ks: sizes of the vote.
        key: maps an answer to what is compared; `1/2` and `0.5` are two answers unless it makes them one.

    Returns:
        (questions, ks), in [0, 1]; NaN where a question has fewer than k usable samples.

    Raises:
        ConfigError: a k below 1, or more than 1024 samples.
        DataError: answers and scores of different lengths.
    """
    if any(k < 1 for k in ks):
        raise ConfigError(f"maj@k needs k >= 1; given {list(ks)}.")
    if len(answers) != len(scores):
        raise DataError(f"answers of {len(answers)} questions and scores of {len(scores)}.")
    values_QK = np.full((len(answers), len(ks)), np.nan)
    for q, (texts, marks) in enumerate(zip(answers, scores, strict=True)):
        if len(texts) != len(marks):
            raise DataError(f"question {q} has {len(texts)} answers and {len(marks)} scores.")
        votes, rights, silent = _tally(texts, marks, key)
        usable = sum(votes) + silent
        if usable > _MOST_SAMPLES:
            raise ConfigError(f"maj@k counts subsets of at most {_MOST_SAMPLES} samples; question {q} has {usable}.")
        for column, k in enumerate(ks):
            if k <= usable:
                values_QK[q, column] = vote_of_subsets(votes, rights, silent, k)
    return values_QK


def vote_of_subsets(votes: Sequence[int], rights: Sequence[float], silent: int, k: int) -> float:
    """The expected share of right answers among the most frequent ones of k samples.

    For each m, how often the winners have, from 1 to k: subsets are counted class by class, by how many samples they
    have (r) and how many answers stand at exactly m (t), none above; beside the ways, the sum of the tied answers'
    shares. Answers given less than m times in all can never stand at m: with the silent samples they are one pool.
    About n k^2 log k steps.

    Args:
        votes: how many samples gave each answer, each at least 1.
        rights: what each answer is worth, in [0, 1].
        silent: samples that do not vote.
        k: the size of the vote, at most all of them.
    """
    if not votes:
        return 0.0
    samples = sum(votes) + silent
    scale = 1.0 / math.comb(samples, k)
    total = 0.0
    # No subset has winners with fewer: all its votes have to go somewhere, and so have those of the largest class.
    fewest = max(1, math.ceil((k - silent) / len(votes)), max(votes) - (samples - k))
    for m in range(fewest, min(k, max(votes)) + 1):
        pool = samples - sum(a for a in votes if a >= m)
        ways_RT = np.zeros((k + 1, k // m + 1))
        ways_RT[:, 0] = [math.comb(pool, r) * scale for r in range(k + 1)]
        worth_RT = np.zeros_like(ways_RT)
        for a, right in zip(votes, rights, strict=True):
            if a < m:
                continue
            next_ways, next_worth = np.zeros_like(ways_RT), np.zeros_like(ways_RT)
            for drawn in range(m):
                factor = float(math.comb(a, drawn))
                next_ways[drawn:] += factor * ways_RT[: k + 1 - drawn]
                next_worth[drawn:] += factor * worth_RT[: k + 1 - drawn]
            factor = float(math.comb(a, m))
            next_ways[m:, 1:] += factor * ways_RT[: k + 1 - m, :-1]
            next_worth[m:, 1:] += factor * (worth_RT + right * ways_RT)[: k + 1 - m, :-1]
            ways_RT, worth_RT = next_ways, next_worth
        total += float((worth_RT[k, 1:] / np.arange(1, k // m + 1)).sum())
    return min(max(total, 0.0), 1.0)


def _tally(
    texts: Sequence[str | None], marks: Sequence[float | None], key: Callable[[str], str]
) -> tuple[list[int], list[float], int]:
    """Votes and worth of each answer, and how many usable samples have none."""
    classes: dict[str, list[float | None]] = {}
    silent = 0
    for text, mark in zip(texts, marks, strict=True):
        if mark is None or math.isnan(mark):
            continue
        if text is None:
            silent += 1
        else:
            classes.setdefault(key(text), []).append(mark)
    if not classes:
        return [], [], silent
    counts = count(list(classes.values()))
    votes, worth = counts.usable_Q.tolist(), (counts.correct_Q / counts.usable_Q).tolist()
    return votes, worth, silent
