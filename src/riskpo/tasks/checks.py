"""What a training set must satisfy before anything expensive starts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from riskpo.errors import DataError

# What a prompt can be.
KINDS = ("text", "conversation")


def check_columns(given: Iterable[str], needed: Iterable[str], what: str) -> None:
    """Raises DataError when a needed column is missing."""
    given = list(given)
    missing = [column for column in needed if column not in given]
    if missing:
        raise DataError(f"{what} lacks the column(s) {missing}; it has {given}.")


def check_prompts(prompts: Iterable[Any], allow_duplicates: bool) -> None:
    """Every prompt is a text or a conversation that says something, and none repeats unless that is allowed.

    Args:
        prompts: texts, or conversations (lists of messages with `content`).
        allow_duplicates: whether equal prompts are accepted.

    Raises:
        DataError: naming the first rows at fault, counted from 1.
    """
    strange, empty, repeated = [], [], []
    first_row: dict[int, int] = {}
    for row, prompt in enumerate(prompts, 1):
        if kind_of(prompt) not in KINDS:
            strange.append(row)
        elif not _says_something(prompt):
            empty.append(row)
        key = hash(prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str))
        if first_row.setdefault(key, row) != row:
            repeated.append((first_row[key], row))
    if strange:
        raise DataError(
            f"{len(strange)} prompts are neither a text nor a conversation, a list of messages (rows "
            f"{_some(strange)}): mend or remove these rows."
        )
    if empty:
        raise DataError(f"{len(empty)} prompts are empty (rows {_some(empty)}): remove these rows.")
    if repeated and not allow_duplicates:
        raise DataError(
            f"{len(repeated)} prompts repeat an earlier one (rows {_some(repeated)}). Repeats weigh a prompt more than "
            "once and may carry conflicting answers: remove them, or set allow_duplicate_prompts=True."
        )


def check_size(rows: int, needed: int, how: str) -> None:
    """Raises DataError when a data set is smaller than one step (TRL would run 0 steps and say nothing)."""
    if rows < needed:
        raise DataError(
            f"the training set has {rows} prompts, but one step takes {needed} ({how}): not a single step would run. "
            "Add prompts or make the step smaller."
        )


def check_train_set(dataset: Any, needed: int, how: str, allow_duplicates: bool, columns: Iterable[str] = ()) -> None:
    """All of the above for a `datasets.Dataset` with the column `prompt` and further needed columns.

    Args:
        dataset: the training set. Rows with images may share their text: only text prompts count as repeats.
        needed: prompts per step.
        how: where that number comes from, for the message.
        allow_duplicates: whether text prompts may repeat.
        columns: further columns, needed by the reward.
    """
    check_columns(dataset.column_names, ["prompt", *columns], "the training set")
    check_size(len(dataset), needed, how)
    has_images = bool({"image", "images"} & set(dataset.column_names))
    check_prompts(dataset["prompt"][:], allow_duplicates or has_images)


def kind_of(prompt: Any) -> str:
    """`text`, `conversation` (a list of messages), or the name of any other type."""
    if isinstance(prompt, str):
        return KINDS[0]
    if isinstance(prompt, (list, tuple)) and all(isinstance(message, dict) for message in prompt):
        return KINDS[1]
    return "null" if prompt is None else type(prompt).__name__


def _says_something(prompt: Any) -> bool:
    if isinstance(prompt, str):
        return bool(prompt.strip())
    if isinstance(prompt, (list, tuple)):
        contents = (message.get("content") for message in prompt)
        return any(content.strip() if isinstance(content, str) else content for content in contents)
    return False


def _some(rows: list[Any], most: int = 5) -> str:
    return ", ".join(map(str, rows[:most])) + (", ..." if len(rows) > most else "")
