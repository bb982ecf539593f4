"""Where the rows of a split come from: a local file, or the hub at a commit that is written down. Nothing heavy loads
before a row is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpo.errors import DataError
from riskpo.tasks.base import DataTask, Part, Row

FOLDER = "RISKPO_DATA_DIR"
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_BATCH = 2000  # rows of a table that become Python objects at once

Placed = tuple[str, Row]


@dataclass(frozen=True)
class Source:
    """Where a split's rows are.

    Args:
        split: its name.
        path: the local file; None: the hub.
        repo: of the hub.
        parts: of the split on the hub.
        revision: asked for; None: the newest.
    """

    split: str
    path: Path | None
    repo: str | None = None
    parts: tuple[Part, ...] = ()
    revision: str | None = None


def data_folder(given: str | Path | None = None) -> Path | None:
    """The folder of data files: the given one, or what the environment variable RISKPO_DATA_DIR names, or None.

    Raises:
        DataError: it is no folder.
    """
    name = given or os.environ.get(FOLDER) or None
    if name is None:
        return None
    folder = Path(name)
    if not folder.is_dir():
        raise DataError(f"{'--data-dir' if given else FOLDER} {folder} is not a folder.")
    return folder


def locate(
    task: DataTask,
    split: str,
    *,
    data_file: str | Path | None = None,
    data_dir: str | Path | None = None,
    revision: str | None = None,
) -> Source:
    """Where a split is to be read from: `data_file`, else the data folder, else the hub.

    Where a data folder is given, the hub is not asked: a file that is missing there is an error, not a download.

    Raises:
        DataError: there is no such file, or several, or the split is nowhere to be had.
    """
    if data_file is not None:
        path = Path(data_file)
        if not path.is_file():
            raise DataError(f"the data file {path} does not exist.")
        _check_ending(path)
        return Source(split, path)
    folder = data_folder(data_dir)
    place = task.splits[split]
    if folder is not None:
        return Source(split, _file_in(folder, task, split))
    if task.hub is None or not place.hub:
        raise DataError(
            f"split {split} of task {task.name} is not on the hub: give its file by --data-file, or a folder with "
            f"{_names(place.files)} by --data-dir or {FOLDER}."
        )
    return Source(split, None, task.hub, place.hub, revision)


def has_file(task: DataTask, split: str, folder: Path) -> bool:
    """Whether a data folder holds the file of a split."""
    return any((folder / (name + ending)).is_file() for name in task.splits[split].files for ending in ENDINGS)


def read(source: Source, once: str | None = None) -> tuple[Iterator[Placed], dict[str, Any]]:
    """The rows with the place of each, in words, and what to write down of where they came from.

    Args:
        source: where.
        once: a flattened column (`extra_info.index`); of the rows that are equal in it only the first is read.

    Raises:
        DataError: while iterating: a file that cannot be read, naming the line; at once: a hub that cannot be reached.
    """
    if source.path is not None:
        record: dict[str, Any] = {"file": source.path.name, "sha256": checksum(source.path)}
        return _distinct(_file_rows(source.path, once), once), record
    assert source.repo is not None
    commit = resolve_commit(source.repo, source.revision)
    record = {"hub": source.repo, "commit": commit, "revision": source.revision}
    return _hub_rows(source, commit, once), record


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def resolve_commit(repo: str, revision: str | None = None) -> str:
    """The commit that a revision of a hub data set stands for now: what a run writes down, and what is then loaded.

    Raises:
        DataError: the hub cannot be reached, or has no such data set or revision.
    """
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(repo, revision=revision).sha
    except Exception as error:  # whatever the network and the client raise
        raise _unreachable(repo, error) from error
    return str(commit)


# --- files ---


def _file_in(folder: Path, task: DataTask, split: str) -> Path:
    names = task.splits[split].files
    for name in names:
        found = [path for ending in ENDINGS if (path := folder / (name + ending)).is_file()]
        if len(found) > 1:
            raise DataError(f"{folder} holds {' and '.join(path.name for path in found)}: which is meant? Remove one.")
        if found:
            return found[0]
    raise DataError(
        f"split {split} of task {task.name} needs a file {_names(names)} ({', '.join(ENDINGS)}) in the data folder "
        f"{folder}, and there is none. Without a data folder it is loaded from the hub ({task.source})."
    )


def _names(names: Iterable[str]) -> str:
    return " or ".join(f"{name}.*" for name in names)


def _check_ending(path: Path) -> None:
    if not path.name.endswith(ENDINGS):
        raise DataError(f"cannot tell the format of {path}: name it {', '.join('*' + ending for ending in ENDINGS)}.")


def _file_rows(path: Path, once: str | None) -> Iterator[Placed]:
    try:
        if path.name.endswith(".parquet"):
            yield from _parquet_rows(path, once)
        elif path.name.removesuffix(".gz").endswith(".jsonl"):
            yield from _lines(path)
        else:
            yield from _json_rows(path)
    except DataError:
        raise
    except (OSError, EOFError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"the data file {path} could not be read: {error}") from error


def _lines(path: Path) -> Iterator[Placed]:
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{place}: not JSON ({error}).") from error
            yield place, _object(row, place)


def _json_rows(path: Path) -> Iterator[Placed]:
    with _opened(path) as file:
        rows = json.load(file)
    if not isinstance(rows, list):
        raise DataError(f"{path} must hold a list of rows, got {type(rows).__name__}.")
    for number, row in enumerate(rows, 1):
        yield f"{path}, row {number}", _object(row, f"{path}, row {number}")


def _opened(path: Path) -> Any:
    import gzip

    return (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig")


def _object(row: Any, place: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected an object, got {type(row).__name__}.")
    return row


def _parquet_rows(path: Path, once: str | None) -> Iterator[Placed]:
    import pyarrow.parquet  # type: ignore[import-untyped]

    batches = pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=_BATCH)
    return _table_rows((pyarrow.Table.from_batches([batch]) for batch in batches), str(path), once)


def _table_rows(tables: Iterable[Any], place: str, once: str | None) -> Iterator[Placed]:
    """Rows of Arrow tables. Repeats are left out before they become Python objects: DAPO repeats each row 100 times."""
    seen: set[Any] = set()
    begin = 0
    for table in tables:
        count, chosen = table.num_rows, list(range(table.num_rows))
        if once is not None and once.split(".")[0] in table.column_names:
            keys = table.flatten().column(once).to_pylist()
            firsts = {key: index for index, key in reversed(list(enumerate(keys))) if key not in seen}
            seen |= firsts.keys()
            chosen = sorted(firsts.values())
            table = table.take(chosen)
        for index, row in zip(chosen, table.to_pylist(), strict=True):
            yield f"{place}, row {begin + index + 1}", row
        begin += count


def _distinct(rows: Iterator[Placed], once: str | None) -> Iterator[Placed]:
    """Rows of a text file without repeats of the same key; rows that lack it are left to the reader."""
    seen: set[Any] = set()
    for place, row in rows:
        key: Any = row
        for name in (once or "").split("."):
            key = key.get(name) if isinstance(key, dict) else None
        if isinstance(key, (str, int)):
            if key in seen:
                continue
            seen.add(key)
        yield place, row


# --- the hub ---


def _hub_rows(source: Source, commit: str, once: str | None) -> Iterator[Placed]:
    assert source.repo is not None
    for part in source.parts:
        place = f"{source.repo}@{commit[:8]}"
        if part.files:
            for name in part.files:
                for where, row in _lines(_download(source.repo, name, commit)):
                    yield f"{place}, {name}, {where.rsplit(', ', 1)[1]}", row
            continue
        dataset = _load(source.repo, part, commit)
        tables = dataset.with_format("arrow").iter(batch_size=_BATCH)
        where = ", ".join(filter(None, (place, part.config, part.split)))
        yield from _table_rows(tables, where, once)


def _load(repo: str, part: Part, commit: str) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(repo, part.config, split=part.split, revision=commit)
    except Exception as error:  # whatever the network and the library raise
        raise _unreachable(repo, error) from error


def _download(repo: str, name: str, commit: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, repo_type="dataset", revision=commit))
    except Exception as error:  # whatever the network and the client raise
        raise _unreachable(repo, error) from error


def _unreachable(repo: str, error: Exception) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(
        f"the hub data set {repo} could not be loaded: {reason} Without the hub, give its rows as a file: --data-file, "
        f"--data-dir or {FOLDER} (docs/tasks.md says the names)."
    )
