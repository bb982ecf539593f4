"""GSM8K (arXiv 2110.14168): school word problems. The gold follows `####` in the worked solution.

Prompt: verl's, which asks for `####` (template `gsm8k`); scored strictly by it (`math:gsm8k-strict`). With the template
`boxed` the same questions are asked and scored as MATH's. Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Item, Part, Row, RowError, Shape, Split
from riskpo.tasks.shapes import gold, questions, source_id, text


def _worked(row: Row) -> Item:
    solution = text(row, "answer")
    if "####" not in solution:
        raise RowError("answer has no #### before its number")
    return Item(text(row, "question"), solution.rsplit("####", 1)[1].strip(), source_id(row, "id"))


def _plain_or_worked(row: Row) -> Item:
    """`answer` is the number where `solution` is there, too."""
    if "####" in gold(row):
        return _worked(row)
    return Item(text(row, "question"), gold(row), source_id(row, "id"))


TASK = DataTask(
    name="gsm8k",
    about="school word problems",
    splits={
        "train": Split(7473, ("gsm8k_train",), (Part("main", "train"),)),
        "test": Split(1319, ("gsm8k_test",), (Part("main", "test"),)),
    },
    licence="MIT",
    scorer="math:gsm8k-strict",
    role="train, benchmark",
    hub="openai/gsm8k",
    shapes=(
        Shape("plain: question, answer, solution", ("question", "answer", "solution"), _plain_or_worked),
        Shape("openai/gsm8k: question, answer with ####", ("question", "answer"), _worked),
        questions("problem, answer", "problem"),
    ),
    template="gsm8k",
)
