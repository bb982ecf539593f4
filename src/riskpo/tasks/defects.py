r"""Rows that are known to be wrong, with the reason. `--clean` and `--decontaminate` leave out what this file lists.

A row is known by its question, blanks ignored (`riskpo.tasks.overlap.fingerprint`), and its gold, so that it is found in
any copy of the data set; the id is that of the copy in which it was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """A known row.

    Args:
        task: the data set.
        row: its id in the copy where it was seen.
        question: fingerprint of its question.
        gold: the gold that is wrong; "" where it is missing.
        reason: why it is wrong.
        right: the right gold, where it was read out of the solution and may stand in for a missing one.
    """

    task: str
    row: str
    question: str
    gold: str
    reason: str
    right: str | None = None


DEFECTS: tuple[Defect, ...] = ()


def defects_of(task: str) -> dict[tuple[str, str], Defect]:
    """The known rows of a task, by fingerprint and gold."""
    return {(defect.question, defect.gold): defect for defect in DEFECTS if defect.task == task}


def count_by_reason(defects: Iterable[Defect]) -> dict[str, int]:
    """How many there are of each reason."""
    counts: dict[str, int] = {}
    for defect in defects:
        counts[defect.reason] = counts.get(defect.reason, 0) + 1
    return counts
