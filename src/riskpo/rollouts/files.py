"""Tables of rollouts as they stand in files: parquet or JSON lines, every value with the place it came from."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpo.errors import DataError

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz")


class _Missing:
    """Stands where a JSON object lacks a key: other than null, which is a value."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


@dataclass(frozen=True)
class Table:
    """The rows of one file.

    Args:
        path: the file.
        columns: name to values, MISSING where a row lacks the key.
        places: the number of each row: its line, or its index from 1.
        unit: `line` or `row`.
    """

    path: Path
    columns: dict[str, Sequence[Any]]
    places: Sequence[int]
    unit: str

    def where(self, row: int) -> str:
        """A row's place in words."""
        return f"{self.path}, {self.unit} {self.places[row]}"


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files behind paths: a file itself, or a folder's: its `completions/`, else those right in it.

    Files of a folder come in the order of the numbers in their names (verl writes 2.jsonl and 10.jsonl).

    Raises:
        DataError: a path that does not exist, a folder without such files, a file of another kind.
    """
    files = []
    for path in paths:
        if path.is_dir():
            inside = path / "completions" if (path / "completions").is_dir() else path
            found = [file for file in inside.iterdir() if file.is_file() and file.name.endswith(SUFFIXES)]
            if not found:
                raise DataError(
                    f"{inside} holds no rollouts: expected files named *.parquet (completions of a run) or *.jsonl "
                    "(verl's rollout_data_dir). Completions are logged with log_completions=True."
                )
            files += sorted(found, key=lambda file: ([int(n) for n in re.findall(r"\d+", file.name)], file.name))
        elif not path.exists():
            raise DataError(f"{path} does not exist: give a run's folder, or *.parquet or *.jsonl files.")
        elif not path.name.endswith(SUFFIXES):
            raise DataError(f"cannot tell the format of {path}: name it *.parquet, *.jsonl or *.jsonl.gz.")
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def without_half(files: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Files of a run that may be writing, or was killed: the others, and the last one if it is not whole."""
    if files and not is_whole(files[-1]):
        return list(files[:-1]), files[-1]
    return list(files), None


def is_whole(path: Path) -> bool:
    """Whether a file of completions was written to its end; the end of a parquet file says where all else is."""
    if path.suffix != ".parquet":
        return True
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 4, 0))
        return size >= 12 and file.read(4) == b"PAR1"


def read_table(path: Path) -> Table:
    """The rows of a file, at least one.

    Raises:
        DataError: a file that is empty or not what its name says; the message names the line.
    """
    table = _read_parquet(path) if path.suffix == ".parquet" else _read_lines(path)
    if not table.places:
        raise DataError(f"{path} holds no rows.")
    return table


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        with path.open("rb") as file:  # a handle: a path would be searched for partitions in folder names
            columns = pyarrow.parquet.read_table(file).to_pydict()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} could not be read as parquet: {error}") from error
    rows = len(next(iter(columns.values()))) if columns else 0
    return Table(path, columns, range(1, rows + 1), "row")


def _read_lines(path: Path) -> Table:
    rows, places = [], []
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(_object(line, f"{path}, line {number}"))
                    places.append(number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} could not be read as text after line {number}: {error}") from error
    names = dict.fromkeys(name for row in rows for name in row)
    return Table(path, {name: [row.get(name, MISSING) for row in rows] for name in names}, places, "line")


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}).") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object, got {type(row).__name__}.")
    return row
