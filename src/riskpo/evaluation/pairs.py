"""Two evaluations of one task, question by question: what `compare` compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from riskpo.errors import DataError
from riskpo.evaluation.intervals import pass_variances
from riskpo.evaluation.passk import count, pass_at_ks

Floats = NDArray[np.float64]
Scores = Mapping[str, Sequence[float | None]]
"""A question's id to the scores of its samples, None where one could not be judged."""


@dataclass(frozen=True)
class Pairs:
    """Values of two models on the same M questions.

    Args:
        a_Q: one value a question, in [0, 1].
        b_Q: of the other model, on the same questions.
        exact: the differences a - b as fractions, where they are known exactly.
        within_Q: unbiased variance of each difference over draws of samples; NaN where unknown.
        blocks: n / k, the harmonic mean over both models and the questions.
        samples: usable samples of a question and model, on average; None where there is no question.
        only_a: questions that only the first has.
        only_b: questions that only the second has.
        left_out: shared questions on which one of them has no value.

    Raises:
        DataError: fewer than 2 questions, or values of different number or outside [0, 1].
    """

    a_Q: Floats
    b_Q: Floats
    exact: tuple[Fraction, ...] | None
    within_Q: Floats
    blocks: float
    samples: float | None
    only_a: int = 0
    only_b: int = 0
    left_out: int = 0

    def __post_init__(self) -> None:
        if not len(self.a_Q) == len(self.b_Q) == len(self.within_Q):
            raise DataError(f"{len(self.a_Q)} and {len(self.b_Q)} values, {len(self.within_Q)} variances: one each.")
        if len(self.a_Q) < 2:
            raise DataError(
                f"a comparison needs at least 2 questions on which both have a value; there are {len(self.a_Q)} "
                f"({self.left_out} shared ones without, {self.only_a} and {self.only_b} that one side alone has)."
            )
        values = np.concatenate([self.a_Q, self.b_Q])
        if not ((values >= -1e-9) & (values <= 1 + 1e-9)).all():
            raise DataError("a comparison needs values in [0, 1] without NaN.")

    @property
    def within(self) -> float | None:
        """Variance that sampling gives a difference, on average; None unless all questions say it."""
        return None if np.isnan(self.within_Q).any() else float(self.within_Q.mean())


def pass_pairs(a: Scores, b: Scores, k: int = 1) -> Pairs:
    """pass@k of two models on the questions that both have.

    Raises:
        DataError: no shared question, or fewer than 2 with k usable samples on both sides.
    """
    shared = _shared(a, b)
    counts_a, counts_b = (count([scores[name] for name in shared]) for scores in (a, b))
    values = [pass_at_ks(counts.correct_Q, counts.usable_Q, [k])[:, 0] for counts in (counts_a, counts_b)]
    there = ~np.isnan(values[0]) & ~np.isnan(values[1])
    variances = [pass_variances(counts.correct_Q, counts.usable_Q, k)[there] for counts in (counts_a, counts_b)]
    right_a, usable_a, right_b, usable_b = (
        array[there] for counts in (counts_a, counts_b) for array in (counts.correct_Q, counts.usable_Q)
    )
    usable = np.concatenate([usable_a, usable_b])
    exact = None
    if k == 1:
        columns = (array.tolist() for array in (right_a, usable_a, right_b, usable_b))
        exact = tuple(Fraction(c, n) - Fraction(d, m) for c, n, d, m in zip(*columns, strict=True))
    return Pairs(
        values[0][there],
        values[1][there],
        exact,
        variances[0] + variances[1],
        float(1.0 / np.mean(k / usable)) if len(usable) else 1.0,
        float(usable.mean()) if len(usable) else None,
        len(a) - len(shared),
        len(b) - len(shared),
        int((~there).sum()),
    )


def _shared(a: Mapping[str, object], b: Mapping[str, object]) -> list[str]:
    shared = [name for name in a if name in b]
    if not shared:
        raise DataError(
            f"the evaluations share no question ({len(a)} and {len(b)}): a comparison is paired by question id. "
            "Evaluate both on the same task, split and revision."
        )
    return shared
