"""HumanEval (arXiv 2107.03374): functions from signature and docstring, judged by `check(candidate)`.

Prompt: EvalPlus's for instruction-tuned models (template `evalplus`), or the code as it stands for base models
(`completion`, scored by `code:bare`). Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Item, Part, Row, Shape, Split
from riskpo.tasks.shapes import source_id, text


def _reader(question: str, answer: str) -> Shape:
    def read(row: Row) -> Item:
        code = text(row, question)
        fields = {"question": code, "test": text(row, "test"), "entry_point": text(row, "entry_point")}
        return Item(code, text(row, answer), source_id(row, "task_id", "id"), fields)

    where = "openai/openai_humaneval" if question == "prompt" else "plain"
    return Shape(f"{where}: {question}, {answer}, test", (question, answer, "test", "entry_point"), read)


TASK = DataTask(
    name="humaneval",
    about="Python functions from docstrings",
    splits={"test": Split(164, ("humaneval",), (Part(None, "test"),))},
    licence="MIT",
    scorer="code",
    role="benchmark",
    hub="openai/openai_humaneval",
    shapes=(_reader("prompt", "canonical_solution"), _reader("question", "answer")),
    template="evalplus",
    ability="code",
)
