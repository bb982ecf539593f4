"""Geometry3K (arXiv 2105.04165): a question and a diagram; the answer is the text of the right choice.

Prompt: verl's (template `geo3k`), with the image before the text; scored as MATH's, since the choices are not shown.
Two shapes: the hub's (`images`, `problem` with the mark `<image>`, `answer`) and one with a path beside the file.
Not run against the hub.
"""

from __future__ import annotations

from riskpo.tasks.base import DataTask, Item, Part, Row, RowError, Shape, Split
from riskpo.tasks.shapes import gold, source_id, text


def with_images(row: Row) -> Item:
    """The hub's shape: exactly one image a row."""
    images = row.get("images")
    if not isinstance(images, list) or len(images) != 1 or images[0] is None:
        raise RowError("images must be a list of one image")
    question = text(row, "problem").replace("<image>", "").strip()
    return Item(question, gold(row), source_id(row, "id"), image=images[0])


def with_path(row: Row) -> Item:
    """A path beside the file."""
    if not row.get("image"):
        raise RowError("the image is missing")
    return Item(text(row, "question"), gold(row), source_id(row, "id"), image=row["image"])


TASK = DataTask(
    name="geometry3k",
    about="plane geometry with a diagram",
    splits={
        "train": Split(2101, ("geometry3k_train",), (Part(None, "train"),)),
        "validation": Split(300, ("geometry3k_validation",), (Part(None, "validation"),)),
        "test": Split(601, ("geometry3k_test",), (Part(None, "test"),)),
        "sample": Split(10, ("geometry3k_sample",)),
    },
    licence="MIT",
    scorer="math:boxed",
    role="train, benchmark",
    modality="image + text",
    hub="hiyouga/geometry3k",
    shapes=(
        Shape("hiyouga/geometry3k: images, problem, answer", ("images", "problem", "answer"), with_images),
        Shape("plain: image, question, answer", ("image", "question", "answer"), with_path),
    ),
    template="geo3k",
)
