"""Rows as the trainer takes them: TRL's columns `prompt`, `answer`, `image`, and what the scorer needs."""

from __future__ import annotations

import random
from typing import Any

from riskpo.tasks.base import Row, Rows
from riskpo.tasks.loading import Loaded
from riskpo.tasks.templates import Template, render


def rows_of(loaded: Loaded, template: Template, system: str | None = None) -> Rows:
    """A row for each item: `prompt`, `answer` (where there are golds), `prompt_id`, `task`, the scorer's, `image`.

    Args:
        loaded: the split.
        template: the prompt's.
        system: a system message instead of the template's; "" takes it away.
    """
    columns = list(dict.fromkeys(column for item in loaded.items for column in item.fields))
    golds = any(item.answer is not None for item in loaded.items)
    images = any(item.image is not None for item in loaded.items)
    rows: Rows = []
    for item in loaded.items:
        row: dict[str, Any] = {"prompt": render(template, item.question, item.fields, item.image is not None, system)}
        if golds:
            row["answer"] = item.answer
        row |= {"prompt_id": loaded.prompt_id(item), "task": loaded.task.name}
        row |= {column: item.fields.get(column) for column in columns}
        if images:
            row["image"] = item.image
        rows.append(row)
    return rows


def drawn(rows: Rows, count: int, seed: int) -> Rows:
    """`count` of the rows in an order given by `seed`, the first ones not depending on how many; all of them where 0.

    Raises:
        ValueError: there are fewer.
    """
    if count > len(rows):
        raise ValueError(f"there are {len(rows)} rows, {count} wanted")
    order = list(range(len(rows)))
    random.Random(f"rows-{seed}").shuffle(order)
    return [rows[index] for index in order[: count or len(rows)]]


def as_dataset(rows: Rows) -> Any:
    """A `datasets.Dataset`; images are opened when a row is read, not before."""
    from datasets import Dataset, Image

    dataset = Dataset.from_list([dict(row) for row in rows])
    return dataset.cast_column("image", Image()) if "image" in dataset.column_names else dataset


def with_open_image(row: Row) -> dict[str, Any]:
    """A row whose image is a picture in memory."""
    from io import BytesIO

    from PIL import Image

    image = row.get("image")
    if image is None or isinstance(image, Image.Image):
        return dict(row)
    opened = Image.open(BytesIO(image["bytes"]) if isinstance(image, dict) else image)
    return {**row, "image": opened.convert("RGB")}
