"""A verdict: what a verifier says of one completion, and why. The shape that every verifier of this package gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

Status = Literal[
    # judged: the score is a number
    "correct",
    "wrong",
    "partial",  # some of several tests passed; the score is between
    "no_answer",  # nothing that the convention calls an answer
    "unparsable",  # an answer that cannot be read
    "too_long",
    "timeout",
    "memory",
    "output_limit",
    "runtime_error",
    "compile_error",
    # not judged: the score is None
    "bad_gold",  # the gold answer, or the tests, cannot be used
    "infra_error",  # the machinery failed: no worker, no sandbox, no disk
]
STATUSES: tuple[Status, ...] = get_args(Status)
UNSCORED: frozenset[Status] = frozenset({"bad_gold", "infra_error"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of one completion.

    Args:
        score: in [0, 1]; None = could not be judged, which is not 0: the completion is left out of every baseline.
        status: one of `STATUSES`; the score is None exactly for those in `UNSCORED`.
        answer: the answer that was found in the completion, as it stands there; None where there is none.
        reason: a sentence for a person who wonders why.
        seconds: wall-clock time that the judgement took.

    Raises:
        ValueError: a score that does not fit the status, or outside [0, 1].
    """

    score: float | None
    status: Status
    answer: str | None = None
    reason: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {', '.join(STATUSES)}.")
        if (self.score is None) != (self.status in UNSCORED):
            raise ValueError(f"score {self.score!r} with status {self.status!r}: None is for {sorted(UNSCORED)} alone.")
        if self.score is not None and not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise ValueError(f"score {self.score!r} is not in [0, 1].")
        if self.score == 1.0 and self.status != "correct":
            raise ValueError(f"score 1 with status {self.status!r}: full marks are 'correct'.")

    @property
    def scored(self) -> bool:
        """Whether the completion was judged at all."""
        return self.score is not None


@runtime_checkable
class Verifier(Protocol):
    """What turns completions into verdicts. An instance can be pickled; it is safe to call from any thread.

    Attributes:
        name: what tables and logs call it.
        columns: the columns of the data that it needs, e.g. `("answer",)`.
        optional_columns: those that it uses where they are.
    """

    name: str
    columns: tuple[str, ...]
    optional_columns: tuple[str, ...]

    def check_gold(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """For each row why its gold answer cannot be used, or None where it can. Called once, before any training."""
        ...

    def verify(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """One verdict for each completion, in their order; `rows[i]` holds the columns of completion i's prompt.

        Raises nothing for whatever stands in a completion or a row: that is in the verdict.
        """
        ...
