"""Files of a run as they are read: rows of metrics.jsonl, objects such as arguments.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpo.errors import DataError


@dataclass(frozen=True)
class Metrics:
    """What stands in a file of metrics.

    Args:
        rows: an object a line, in order.
        notes: sentences on what was passed over.
    """

    rows: list[dict[str, Any]]
    notes: list[str]


def read_metrics(path: Path, *, steps: bool = True) -> Metrics:
    """The rows of a metrics.jsonl. Blank lines are none; a last line without an end is left out, with a note.

    Args:
        path: the file; a missing one has no rows, and a note says so.
        steps: whether every row must have a whole number `step`.

    Raises:
        DataError: a file that cannot be read, or a line that is no such object; the message names file and line.
    """
    if not path.is_file():
        return Metrics([], [f"{path.name} is missing: nothing was logged yet"])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} could not be read: {error}") from error
    lines = text.split("\n")
    notes = []
    if lines[-1].strip():  # a run that is writing, or was killed while it did
        notes.append(f"the last line of {path.name} (line {len(lines)}) is not whole, and was left out")
    rows = [_row(line, f"{path}, line {number}", steps) for number, line in enumerate(lines[:-1], 1) if line.strip()]
    return Metrics(rows, notes if rows or notes else [f"{path.name} is empty: nothing was logged yet"])


def _row(line: str, where: str, steps: bool) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}).") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object, got {type(row).__name__}.")
    step = row.get("step")
    if steps and (not isinstance(step, int) or isinstance(step, bool)):
        raise DataError(f"{where}: expected an object with a whole number `step`, got {line:.80}.")
    return row


def read_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file.

    Raises:
        DataError: a file that cannot be read, is no JSON, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} could not be read: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} holds a {type(values).__name__}, expected an object.")
    return values
