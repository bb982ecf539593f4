"""OlympiadBench (arXiv 2402.14008): the open-ended English competition problems of mathematics without images.

674 on the hub; the copy in Qwen2.5-Math has 675. `final_answer` is a list of one text, which may hold several answers
(`is_multiple_answer`), a tolerance (`error`) and a unit: the scorer uses them. A `context` stands before the question.
Prompt: Qwen2.5-Math's instruction in the user's turn (template `boxed`). Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Item, Part, Row, RowError, Shape, Split
from riskpo.tasks.shapes import questions, source_id, text

_KEEP = ("is_multiple_answer", "unit", "error", "answer_type")


def _published(row: Row) -> Item:
    final = row.get("final_answer")
    if not isinstance(final, list) or not final or not all(isinstance(answer, str) for answer in final):
        raise RowError(f"final_answer must be a list of texts, got {final!r:.60}")
    context = row.get("context")
    question = text(row, "question") if not context else f"{context}\n\n{text(row, 'question')}"
    kept = {column: row[column] for column in _KEEP if row.get(column) is not None}
    return Item(question, ", ".join(final), source_id(row, "id"), kept)


TASK = DataTask(
    name="olympiadbench",
    about="open-ended olympiad problems, English, no images",
    splits={
        "test": Split(674, ("olympiadbench",), (Part("OE_TO_maths_en_COMP", "train"),)),
        "half": Split(338, ("olympiadbench_en_text",)),
    },
    licence="Apache-2.0",
    scorer="math:boxed",
    role="benchmark",
    hub="Hothan/OlympiadBench",
    shapes=(
        Shape("Hothan/OlympiadBench: question, final_answer", ("question", "final_answer"), _published),
        questions("plain: question, answer", "question", keep=_KEEP),
    ),
    template="boxed",
)
