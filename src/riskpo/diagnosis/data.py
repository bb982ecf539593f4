"""What is wrong with training data: empty prompts, missing golds, repeats, conflicts, benchmark questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from riskpo.diagnosis.finding import Diagnosis, Finding, Level, Outcome, Skipped, diagnosis
from riskpo.errors import DataError
from riskpo.rewards.judge import Row, gold_text, prompt_text
from riskpo.tasks.base import Item
from riskpo.tasks.files import load_rows
from riskpo.tasks.loading import Loaded, load
from riskpo.tasks.overlap import Benchmark, group
from riskpo.tasks.registry import get_data_task
from riskpo.tasks.source import data_folder
from riskpo.tasks.survey import Overlap, Survey, load_benchmarks, overlaps_with, survey

PAGE = "docs/doctor.md#data"
_TESTS = {"tests", "test", "test_list"}
_SHOWN = 5


@dataclass(frozen=True)
class Seen:
    """What was seen of a data set; rows by their names.

    Args:
        rows: how many; distinct: different questions, blanks ignored.
        empty: rows whose prompt says nothing.
        missing: rows without a gold answer and without tests; None: there is no such column.
        conflicts: the rows of each question that carries different golds.
        defects: rows whose gold is known to be wrong, with the reason; None: not a known data set.
        overlaps: with the benchmarks; None: none at hand.
    """

    rows: int
    distinct: int
    empty: tuple[str, ...]
    missing: tuple[str, ...] | None
    conflicts: tuple[tuple[str, ...], ...]
    defects: tuple[tuple[str, str], ...] | None
    overlaps: tuple[Overlap, ...] | None


def seen_in_task(loaded: Loaded, found: Survey) -> Seen:
    """What a survey of a task's split saw."""
    return Seen(
        found.rows,
        found.distinct,
        tuple(str(item.source_id) for item in loaded.items if not item.question.strip()),
        tuple(str(item.source_id) for item in loaded.items if _lacks_gold(item)),
        found.conflicts,
        found.defects,
        found.overlaps or None,
    )


def seen_in_rows(rows: Sequence[Row], answer: str, benchmarks: Sequence[Benchmark]) -> Seen:
    """What is in the rows of a file.

    Args:
        rows: with `prompt` (or `question`) and, where there are any, golds in the column `answer` or tests.
        answer: the column of gold answers.
        benchmarks: what their questions are compared with.
    """
    items = [Item(prompt_text(row), gold_text(row, answer), f"row {number}", row) for number, row in enumerate(rows, 1)]
    graded = any(answer in row or _TESTS & row.keys() for row in rows)
    asked = [item for item in items if item.question.strip()]
    groups = group(asked)
    golds = [item for item in asked if not _lacks_gold(item)]  # no gold is none that differs
    return Seen(
        len(items),
        groups.distinct,
        tuple(str(item.source_id) for item in items if not item.question.strip()),
        tuple(str(item.source_id) for item in items if _lacks_gold(item)) if graded else None,
        tuple(tuple(str(golds[position].source_id) for position in rows) for rows in group(golds).conflicts),
        None,
        overlaps_with(asked, benchmarks) if benchmarks else None,
    )


def seen_in_file(path: str, answer: str | None, data_dir: str | None) -> Seen:
    """What is in a file of rows.

    Args:
        path: .jsonl, .json or .parquet.
        answer: the column of gold answers, which must be there; None: `answer` where there is one.
        data_dir: the folder of the benchmarks' files; None: that of RISKPO_DATA_DIR.

    Raises:
        DataError: a file that is none, or lacks a column.
    """
    data = load_rows(path)
    names = data.column_names
    if not {"prompt", "question"} & {*names}:
        raise DataError(f"{path} has neither the column prompt nor question; it has {', '.join(names)}.")
    if answer is not None and answer not in names:
        raise DataError(f"--answer {answer}: {path} has no such column; it has {', '.join(names)}.")
    benchmarks = [benchmark for _, benchmark in _benchmarks("text", data_dir)]
    return seen_in_rows(data.to_list(), answer or "answer", benchmarks)


def seen_in_split(name: str, split: str | None, data_file: str | None, data_dir: str | None) -> tuple[Seen, str]:
    """What is in a split of a task, and what that is called; nothing is downloaded.

    Raises:
        ConfigError, DataError: no such task or split, or no file of it at hand.
    """
    task = get_data_task(name)
    if data_folder(data_dir) is None and not data_file:
        raise DataError(
            f"no file of task {task.name} at hand: give --data-dir (or RISKPO_DATA_DIR) or --data-file. Nothing is "
            f"downloaded here; from the hub: riskpo tasks check {task.name}."
        )
    loaded = load(task, split, data_file=data_file, data_dir=data_dir)
    return seen_in_task(loaded, survey(loaded, _benchmarks(task.modality, data_dir))), f"{task.name}/{loaded.split}"


def _benchmarks(modality: str, data_dir: str | None) -> list[tuple[Loaded, Benchmark]]:
    if data_folder(data_dir) is None:
        return []
    try:
        return load_benchmarks(modality, data_dir)[0]
    except DataError:  # none of this modality in the folder
        return []


def _lacks_gold(item: Item) -> bool:
    return not (item.answer or "").strip() and not any(item.fields.get(name) for name in _TESTS)


def check_data(seen: Seen, subject: str) -> Diagnosis:
    """Every check on a data set."""
    facts = {"rows": str(seen.rows), "different questions": str(seen.distinct)}
    if seen.overlaps is not None:
        facts["compared with"] = ", ".join(overlap.benchmark for overlap in seen.overlaps)
    return diagnosis("data", subject, [(code, check(seen)) for code, check in CHECKS.items()], facts)


def empty_prompts(seen: Seen) -> Outcome:
    """Prompts that say nothing."""
    if not seen.empty:
        return None
    evidence = f"{len(seen.empty)} of {seen.rows} prompts are empty ({_some(seen.empty)})."
    return Finding("error", "empty_prompts", evidence, "Remove these rows: riskpo train refuses them.", PAGE)


def missing_golds(seen: Seen) -> Outcome:
    """Rows that no response can be right on."""
    if seen.missing is None:
        return Skipped("missing_golds", "a column of gold answers (--answer), or tests")
    if not seen.missing:
        return None
    level: Level = "error" if len(seen.missing) > seen.rows / 2 else "warning"
    evidence = f"{len(seen.missing)} of {seen.rows} rows have no gold answer and no tests ({_some(seen.missing)})."
    return Finding(level, "missing_golds", evidence, "Mend or drop these rows.", PAGE)


def repeats(seen: Seen) -> Outcome:
    """Questions that stand there more than once."""
    count = seen.rows - len(seen.empty) - seen.distinct
    if not count:
        return None
    evidence = f"{count} of {seen.rows} rows repeat the question of an earlier one, blanks ignored."
    change = "Drop them (a task: --task_clean true), or set allow_duplicate_prompts: they weigh more than once."
    return Finding("note", "repeats", evidence, change, PAGE)


def conflicts(seen: Seen) -> Outcome:
    """One question, several golds."""
    if seen.missing is None:
        return Skipped("conflicts", "a column of gold answers (--answer), or tests")
    if not seen.conflicts:
        return None
    groups = "; ".join(_some(rows) for rows in seen.conflicts[:_SHOWN]) + "; ..." * (len(seen.conflicts) > _SHOWN)
    evidence = f"{len(seen.conflicts)} questions carry golds that differ ({groups})."
    return Finding("warning", "conflicts", evidence, "At least one of each is wrong: drop or mend them.", PAGE)


def known_defects(seen: Seen) -> Outcome:
    """Rows that are listed as wrong (riskpo.tasks.defects)."""
    if seen.defects is None:
        return Skipped("known_defects", "the name of a task")
    if not seen.defects:
        return None
    shown = "; ".join(f"{row}: {reason}" for row, reason in seen.defects[:_SHOWN])
    more = "; ..." if len(seen.defects) > _SHOWN else ""
    evidence = f"{len(seen.defects)} rows are known to have a wrong gold ({shown}{more})."
    return Finding("warning", "known_defects", evidence, "--task_clean true leaves them out.", PAGE)


def benchmark_questions(seen: Seen) -> Outcome:
    """Questions of benchmarks in the training set."""
    if seen.overlaps is None:
        return Skipped("benchmark_questions", "the benchmarks' files (--data-dir, RISKPO_DATA_DIR)")
    shared = [overlap for overlap in seen.overlaps if overlap.same or overlap.near]
    if not shared:
        return None
    what = ", ".join(f"{one.benchmark} {one.asked} equal and {one.near} nearly" for one in shared)
    equal = any(overlap.same for overlap in shared)
    evidence = f"Questions of benchmarks are in this data set: {what}."
    change = "Leave them out before a number on these benchmarks is worth anything (a task: --task_decontaminate true)."
    return Finding("warning" if equal else "note", "benchmark_questions", evidence, change, PAGE)


CHECKS: dict[str, Callable[[Seen], Outcome]] = {
    "empty_prompts": empty_prompts,
    "missing_golds": missing_golds,
    "repeats": repeats,
    "conflicts": conflicts,
    "known_defects": known_defects,
    "benchmark_questions": benchmark_questions,
}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
