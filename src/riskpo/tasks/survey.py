"""Looking a data set over: rows, repeats, conflicts, known wrong golds, and what it shares with the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from riskpo.errors import DataError
from riskpo.tasks.base import DataTask, Item
from riskpo.tasks.defects import defects_of
from riskpo.tasks.loading import Loaded, load
from riskpo.tasks.overlap import WORDS, Benchmark, Mark, fingerprint, group, mark
from riskpo.tasks.registry import benchmark_splits
from riskpo.tasks.source import data_folder, has_file


@dataclass(frozen=True)
class Overlap:
    """What a split shares with a benchmark.

    Args:
        benchmark: `TASK/SPLIT`.
        same: rows of the split whose question is in the benchmark, blanks ignored.
        asked: rows of the benchmark whose question is in the split.
        near: further rows of the split that share half of the runs of 13 words of a question of the benchmark.
        touching: further rows that share at least one run.
    """

    benchmark: str
    same: int
    asked: int
    near: int
    touching: int


@dataclass(frozen=True)
class Survey:
    """What was found in a split.

    Args:
        task, split: which.
        record: where it came from.
        rows: how many.
        exact: different questions by exact text.
        distinct: different questions, blanks ignored (and images told apart).
        conflicts: the rows of each question that carries different golds.
        defects: rows whose gold is known to be wrong, with the reason.
        overlaps: with the benchmarks.
        notes: of the loader.
    """

    task: str
    split: str
    record: dict[str, Any]
    rows: int
    exact: int
    distinct: int
    conflicts: tuple[tuple[str, ...], ...]
    defects: tuple[tuple[str, str], ...]
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def survey(loaded: Loaded, benchmarks: Sequence[tuple[Loaded, Benchmark]]) -> Survey:
    """Looks a split over.

    Args:
        loaded: the split.
        benchmarks: what it is compared with; itself is left out.
    """
    items = loaded.items
    groups = group(items)
    known = defects_of(loaded.task.name)
    wrong = [
        (str(item.source_id), known[key].reason)
        for item in items
        if (key := (fingerprint(item.question), str(item.answer))) in known
    ]
    own = (loaded.task.name, loaded.split)
    others = [benchmark for other, benchmark in benchmarks if (other.task.name, other.split) != own]
    return Survey(
        loaded.task.name,
        loaded.split,
        loaded.record,
        len(items),
        len({(item.question, item.image if isinstance(item.image, str) else id(item.image)) for item in items}),
        groups.distinct,
        tuple(tuple(str(items[position].source_id) for position in rows) for rows in groups.conflicts),
        tuple(wrong),
        overlaps_with(items, others),
        loaded.notes,
    )


def overlaps_with(items: Sequence[Item], benchmarks: Sequence[Benchmark]) -> tuple[Overlap, ...]:
    """What items share with each of the benchmarks, which are compared by runs of one length."""
    marks = [mark(item, benchmarks[0].words if benchmarks else 0) for item in items]
    return tuple(_overlap(marks, benchmark) for benchmark in benchmarks)


def load_benchmarks(
    modality: str, data_dir: str | Path | None, words: int = WORDS
) -> tuple[list[tuple[Loaded, Benchmark]], list[str]]:
    """The benchmarks of a modality: with a data folder those whose files are in it, else all, from the hub.

    Args:
        modality: `text` or `image + text`.
        data_dir: the folder.
        words: the length of the runs that are compared.

    Returns:
        The benchmarks, and the names of those whose files are not in the folder: they are not compared with.

    Raises:
        DataError: none at all.
    """
    folder = data_folder(data_dir)
    found, missing = [], []
    for task, splits in benchmark_splits(modality):
        at_hand = [split for split in splits if folder is None or has_file(task, split, folder)]
        if not at_hand:
            missing.append(f"{task.name}/{splits[0]}")
            continue
        loaded = load(task, at_hand[0], data_dir=folder)
        found.append((loaded, Benchmark(f"{task.name}/{loaded.split}", loaded.items, words)))
    if not found:
        raise DataError(f"no benchmark of the modality {modality} has its file in {folder}: nothing to compare with.")
    return found, missing


def splits_at_hand(task: DataTask, data_dir: str | Path | None) -> list[str]:
    """The splits that can be loaded: with a data folder those whose files are in it, else those on the hub."""
    folder = data_folder(data_dir)
    if folder is None:
        return [name for name, split in task.splits.items() if split.hub and task.hub is not None]
    return [name for name in task.splits if has_file(task, name, folder)]


def _overlap(marks: Sequence[Mark], benchmark: Benchmark) -> Overlap:
    rest = [one for one in marks if not benchmark.holds(one)]
    near = sum(benchmark.overlaps(one) for one in rest)
    keys = {one.key for one in marks}
    return Overlap(
        benchmark.name,
        len(marks) - len(rest),
        sum(one.key in keys for one in benchmark.marks),
        near,
        sum(benchmark.touches(one) for one in rest) - near,
    )
