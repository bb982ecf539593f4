"""A sample of MATH-Vision (arXiv 2402.14804): competition problems with an image, multiple choice or a number.

Local only: 160 geometry problems with one small image each. Prompt: MATH-V's (template `mathvision`).
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Item, Row, RowError, Shape, Split
from riskpo.tasks.shapes import gold, source_id, text


def _read(row: Row) -> Item:
    if not row.get("image"):
        raise RowError("the image is missing")
    options = row.get("options")
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise RowError(f"options must be a list of texts, got {type(options).__name__}")
    question = text(row, "question").replace("<image1>", "").strip()
    return Item(question, gold(row), source_id(row, "id"), {"options": options}, row["image"])


TASK = DataTask(
    name="mathvision-sample",
    about="160 geometry problems of MATH-Vision",
    splits={"sample": Split(160, ("mathvision_geometry_sample",))},
    licence="MIT",
    scorer="choice",
    role="benchmark",
    modality="image + text",
    hub=None,
    shapes=(Shape("plain: image, question, options, answer", ("image", "question", "options", "answer"), _read),),
    template="mathvision",
)
