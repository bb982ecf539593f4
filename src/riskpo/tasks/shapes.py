"""Shapes that several tasks share, and what a reader may rely on: texts are texts, numbers take their shortest form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from riskpo.tasks.base import Item, Row, RowError, Shape


def text(row: Row, column: str) -> str:
    """A column that must be a text. Raises RowError."""
    value = row.get(column)
    if not isinstance(value, str):
        raise RowError(f"{column} must be a text, got {_kind(value)}")
    return value


def gold(row: Row, column: str = "answer") -> str:
    """A gold answer: a text as it stands, or a number. Raises RowError where there is none."""
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise RowError(f"{column} must be a text or a number, got {_kind(value)}")
    return value if isinstance(value, str) else _shortest(value)


def source_id(row: Row, *columns: str) -> str | None:
    """The first of the columns that names the row, as text; None where none does."""
    for column in columns:
        value = row.get(column)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def questions(
    name: str,
    question: str,
    answer: str = "answer",
    *,
    ids: tuple[str, ...] = ("id", "unique_id"),
    keep: tuple[str, ...] = (),
) -> Shape:
    """A shape with a column for the question and one for the gold answer.

    Args:
        name: where it is used.
        question, answer: the columns.
        ids: columns that may name the row.
        keep: columns that the scorer uses, where they are.
    """

    def read(row: Row) -> Item:
        kept = {column: row[column] for column in keep if row.get(column) is not None}
        return Item(text(row, question), gold(row, answer), source_id(row, *ids), kept)

    return Shape(name, (question, answer), read)


def verl_shape(unframed: Callable[[str], str]) -> Shape:
    """verl's parquet: `prompt` (messages), `reward_model.ground_truth`, `extra_info.index`.

    Args:
        unframed: takes the instruction off the user's message.
    """

    def read(row: Row) -> Item:
        prompt, reward, extra = row.get("prompt"), row.get("reward_model"), row.get("extra_info") or {}
        if not isinstance(prompt, list) or not prompt or not isinstance(prompt[-1], dict):
            raise RowError(f"prompt must be a list of messages, got {_kind(prompt)}")
        if not isinstance(reward, dict):
            raise RowError(f"reward_model must be a mapping, got {_kind(reward)}")
        return Item(unframed(text(prompt[-1], "content")), gold(reward, "ground_truth"), source_id(extra, "index"))

    return Shape("verl", ("prompt", "reward_model"), read)


def _shortest(value: float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _kind(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} ({str(value)[:40]!r})"
