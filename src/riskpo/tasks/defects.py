r"""Rows that are known to be wrong, with the reason. `--clean` and `--decontaminate` leave out what this file lists.

A row is known by its question, blanks ignored (`riskpo.tasks.overlap.fingerprint`), and its gold, so that it is found
in any copy of the data set; the id is that of the copy in which it was seen.
"""

from __future__ import annotations

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
        right: the right gold where a loader itself cannot find it; it is put in its place when the row is read.
    """

    task: str
    row: str
    question: str
    gold: str
    reason: str
    right: str | None = None


def _dapo(number: str, question: str, gold: str, reason: str) -> Defect:
    return Defect("dapo-math-17k", f"dapo-{number}", question, gold, reason)


_BEYOND = "an integer beyond 2^53 that was stored as a float and so rounded; right is "
_AGAINST = "contradicts MATH, which has the same question and the gold "

DEFECTS: tuple[Defect, ...] = (
    _dapo("01000", "565bb781b621040f", "105263157894736848", _BEYOND + "105263157894736842"),
    _dapo("05195", "15042f705d1409e2", "105263157894736848", _BEYOND + "105263157894736842"),
    _dapo("03224", "6c89baac799d4c69", "20000000000000000000000", _BEYOND + "19999999999999999999999"),
    _dapo("08136", "4e4e1ca73bb2ea10", "2000000000000000000000", _BEYOND + "19999999999999999999999"),
    _dapo("12110", "ce402c03c9dc74d2", "22099999999999998951424", _BEYOND + "a number whose digits add up to 209"),
    _dapo("05785", "80d291a4747edc25", "-1", _AGAINST + "554"),
    _dapo("05885", "a02d79d17ccad78f", "-1", _AGAINST + "230"),
    _dapo("05915", "0cb89c74088d2524", "-1", _AGAINST + "683"),
    _dapo("05937", "02301a40105ec762", "-1", _AGAINST + "913"),
    _dapo("06059", "a3605ccc455df4d1", "17", _AGAINST + "177"),
    _dapo("01462", "e5c0b73a9ee09e08", "168672", _AGAINST + "88352"),
    _dapo("07249", "16d13f4d01e72bca", "0", _AGAINST + r"2+2\sqrt{2}+2\sqrt{3}"),
    _dapo("09250", "2abf2341a1ad5370", "12", _AGAINST + "6"),
    Defect("math", "math-train-07036", "120414ab942f4db3", "", "the gold is empty in copies that keep no solutions"),
    Defect("math", "math-train-07436", "eb4661ad9ea0c182", "", "the gold is empty in copies that keep no solutions"),
    Defect(
        "math",
        "math-test-04060",
        "2abf2341a1ad5370",
        "12",
        r"a question about boxes, whose solution does not box its answer: the last \boxed{} is an intermediate value",
        right="6",
    ),
)


def defects_of(task: str) -> dict[tuple[str, str], Defect]:
    """The known rows of a task, by fingerprint and gold."""
    return {(defect.question, defect.gold): defect for defect in DEFECTS if defect.task == task}
