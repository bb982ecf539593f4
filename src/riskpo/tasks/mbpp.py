"""MBPP, sanitized (arXiv 2108.07732): short Python functions from a sentence and asserts.

Of the 427 problems those with task ids 11 to 510 are the test split, 601 to 974 the training split; a local file of all
is cut in the same way. Prompt: EvalPlus's (template `evalplus`), the sentence and the first assert as a docstring;
`completion` for base models. Not run against the hub.
"""

from __future__ import annotations

from collections.abc import Callable

from riskpo.tasks.base import DataTask, Item, Part, Row, RowError, Shape, Split
from riskpo.tasks.shapes import source_id, text


def _reader(question: str, answer: str) -> Shape:
    def read(row: Row) -> Item:
        fields = {column: _texts(row, column) for column in ("test_list", "test_imports")}
        if not fields["test_list"]:
            raise RowError("test_list is empty")
        return Item(text(row, question), text(row, answer), source_id(row, "task_id", "id"), fields)

    where = "google-research-datasets/mbpp" if question == "prompt" else "plain"
    return Shape(f"{where}: {question}, {answer}, test_list", (question, answer, "test_list"), read)


def _texts(row: Row, column: str) -> list[str]:
    values = row.get(column) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RowError(f"{column} must be a list of texts, got {type(values).__name__}")
    return values


def _between(first: int, last: int) -> Callable[[Row], bool]:
    return lambda row: isinstance(row.get("task_id"), int) and first <= row["task_id"] <= last


_PARTS = ("test", "train", "validation", "prompt")
TASK = DataTask(
    name="mbpp",
    about="short Python functions from a sentence, sanitized",
    splits={
        "test": Split(257, ("mbpp_test", "mbpp_sanitized"), (Part("sanitized", "test"),), _between(11, 510)),
        "train": Split(120, ("mbpp_train", "mbpp_sanitized"), (Part("sanitized", "train"),), _between(601, 974)),
        "all": Split(427, ("mbpp_sanitized",), tuple(Part("sanitized", split) for split in _PARTS)),
    },
    licence="CC BY 4.0",
    scorer="code",
    role="benchmark",
    hub="google-research-datasets/mbpp",
    shapes=(_reader("prompt", "code"), _reader("question", "answer")),
    template="evalplus",
    ability="code",
)
