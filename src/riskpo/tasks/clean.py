"""Leaving out what should not be trained on: known wrong golds, conflicts, repeats, and what benchmarks ask as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from riskpo.tasks.defects import defects_of
from riskpo.tasks.loading import Loaded
from riskpo.tasks.overlap import Benchmark, fingerprint, group, mark


@dataclass(frozen=True)
class Cleaned:
    """A split after cleaning.

    Args:
        loaded: what is left.
        dropped: how many rows each step left out, in the order of the steps.
    """

    loaded: Loaded
    dropped: dict[str, int]

    @property
    def in_words(self) -> str:
        """`left out 120 of 17917 rows: 15 conflicts, ...`."""
        total = sum(self.dropped.values())
        parts = ", ".join(f"{count} {what}" for what, count in self.dropped.items() if count)
        return f"left out {total} of {total + len(self.loaded.items)} rows" + (f": {parts}" if parts else "")


def clean(loaded: Loaded) -> Cleaned:
    """Without rows whose gold is known to be wrong, rows of questions with conflicting golds, and repeats but one."""
    known = defects_of(loaded.task.name)
    dropped: dict[str, int] = {}
    items = list(loaded.items)
    kept = [item for item in items if (fingerprint(item.question), str(item.answer)) not in known]
    dropped["with a known wrong gold"] = len(items) - len(kept)
    groups = group(kept)
    in_conflict = {position for positions in groups.conflicts for position in positions}
    dropped["of questions with conflicting golds"] = len(in_conflict)
    repeats = set(groups.repeats) - in_conflict
    dropped["that repeat another"] = len(repeats)
    left = [item for position, item in enumerate(kept) if position not in in_conflict | repeats]
    return Cleaned(replace(loaded, items=tuple(left)), dropped)


def decontaminate(loaded: Loaded, benchmarks: Sequence[Benchmark]) -> Cleaned:
    """`clean`, and without rows that a benchmark asks as well, in the same words or nearly.

    Args:
        loaded: the split.
        benchmarks: what it is compared with, one after the other, all with runs of the same length.
    """
    cleaned = clean(loaded)
    dropped = dict(cleaned.dropped)
    words = benchmarks[0].words if benchmarks else 0
    left = [(item, mark(item, words)) for item in cleaned.loaded.items]
    for benchmark in benchmarks:
        rest = [pair for pair in left if not benchmark.holds(pair[1])]
        dropped[f"also in {benchmark.name}"] = len(left) - len(rest)
        left = [pair for pair in rest if not benchmark.overlaps(pair[1])]
        dropped[f"nearly in {benchmark.name} ({words}-word runs)"] = len(rest) - len(left)
    return Cleaned(replace(cleaned.loaded, items=tuple(item for item, _ in left)), dropped)
