"""pass@k without bias, and intervals over questions. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskpo.errors import ConfigError

Floats = NDArray[np.float64]
RESAMPLES = 10_000
_HELD_AT_ONCE = 4_000_000  # drawn questions: 32 MB


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
    # C(n-c, k) / C(n, k) as a product of k factors: no large numbers, and exactly 0 once n - c < k.
    wrong_Q1 = (samples - correct_Q)[:, None]
    drawn_k = np.arange(k)
    product: Floats = np.prod(np.clip(wrong_Q1 - drawn_k, 0, None) / (samples - drawn_k), axis=1)
    return 1.0 - product


@dataclass(frozen=True)
class Estimate:
    """A mean over questions with its 95 % interval."""

    mean: float
    low: float
    high: float


def over_questions(values_Q: Floats, seed: int = 0) -> Estimate:
    """Mean and 95 % percentile bootstrap over questions: how far another draw of questions would move the mean.

    The values' own sampling noise is part of their spread, so it is inside the interval.

    Args:
        values_Q: one value a question (or a difference of two models on the same question: a paired comparison).
        seed: seeds the resampling.
    """
    questions = len(values_Q)
    if questions == 0:
        raise ConfigError("an interval over questions needs at least one question.")
    rng = np.random.default_rng(seed)
    # In parts: resamples x questions would be gigabytes for a large set.
    rows = max(_HELD_AT_ONCE // questions, 1)
    parts = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    means = np.concatenate([values_Q[rng.integers(questions, size=(part, questions))].mean(axis=1) for part in parts])
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values_Q.mean()), float(low), float(high))
