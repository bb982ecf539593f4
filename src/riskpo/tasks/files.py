"""A user's own training set: a JSONL or parquet file, or a hub id, with the columns `prompt` and `answer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from riskpo.errors import DataError
from riskpo.tasks.checks import KINDS, kind_of

_KINDS_OF_JSON = {str: "text", bool: "truth value", int: "number", float: "number", list: "list", dict: "object"}
_LOADERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}


def is_local(name: str) -> bool:
    """Whether a data set's name is a path: it exists, or looks like a data file rather than a hub id."""
    return Path(name).exists() or _kind(Path(name)) is not None


def load_rows(name: str, split: str = "train", config: str | None = None, revision: str | None = None) -> Any:
    """The data set as a `datasets.Dataset`.

    Args:
        name: a path (.jsonl, .json, .parquet, each also .gz where plain text) or a hub id.
        split, config, revision: of a hub data set.

    Raises:
        DataError: a file that is missing, empty, of an unknown kind or not readable.
    """
    from datasets import Dataset, load_dataset

    if not is_local(name):
        return load_dataset(name, config, split=split, revision=revision)
    path = Path(name)
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a file in it, *.jsonl, *.json or *.parquet.")
    if not path.is_file():
        raise DataError(f"the data file {path} does not exist.")
    kind = _kind(path)
    if kind is None:
        raise DataError(f"cannot tell the format of {path}: name it *.jsonl, *.json or *.parquet (text also *.gz).")
    if path.stat().st_size == 0:
        raise DataError(f"the data file {path} is empty.")
    try:
        if path.name.removesuffix(".gz").endswith(".jsonl"):
            rows = _read_lines(path)
            columns = dict.fromkeys(column for row in rows for column in row)
            for column in columns:
                _check_kinds(path, column, [row.get(column) for row in rows])
            return Dataset.from_dict({column: [row.get(column) for row in rows] for column in columns})
        return load_dataset(kind, data_files=str(path), split="train")
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"the data file {path} could not be read as {kind}: {error}") from error


def _check_kinds(path: Path, column: str, values: list[Any]) -> None:
    """Whether a column holds values of one kind: a table has one type a column."""
    first: tuple[str, int] | None = None
    for number, value in enumerate(values, 1):
        if value is None:
            continue
        kind = _KINDS_OF_JSON[type(value)]
        first = first or (kind, number)
        if kind != first[0]:
            raise DataError(
                f"{path}, row {number}: `{column}` is a {kind}, that of row {first[1]} a {first[0]}: all must be of "
                "one kind."
            )


def _kind(path: Path) -> str | None:
    return _LOADERS.get(Path(path.name.removesuffix(".gz")).suffix)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows as they stand: the loader would turn an answer like "2020-01-01" into a date, and name no line."""
    import gzip

    rows: list[dict[str, Any]] = []
    first: tuple[str, int] | None = None  # kind and line of the first prompt
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error}).") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: expected an object, got {type(row).__name__}.")
            if "prompt" in row:
                kind = kind_of(row["prompt"])
                first = first or (kind, number)
                if kind not in KINDS:
                    raise DataError(f"{path}, line {number}: the prompt is neither a text nor a conversation: {kind}.")
                if kind != first[0]:
                    raise DataError(
                        f"{path}, line {number}: the prompt is a {kind}, that of line {first[1]} a {first[0]}: all "
                        "must be of one kind."
                    )
            rows.append(row)
    if not rows:
        raise DataError(f"the data file {path} holds no rows.")
    return rows
