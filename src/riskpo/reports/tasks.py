"""Tables of tasks and of what was found in a data set."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from riskpo.tasks.base import DataTask, Task
from riskpo.tasks.loading import Loaded
from riskpo.tasks.rows import rows_of
from riskpo.tasks.survey import Survey
from riskpo.tasks.templates import Template

_SHOWN = 6  # rows named in a line
_LONGEST = 1500  # characters of a value that is shown


def print_tasks(tasks: Iterable[Task], console: Console) -> None:
    """The table of tasks."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("task", "splits (rows)", "for", "modality", "scorer", "licence", "hub id or builtin"):
        table.add_column(column, overflow="fold", no_wrap=column in ("task", "modality"))
    for task in tasks:
        values = (task.name, splits_in_words(task), task.role, task.modality, task.scorer, task.licence, task.source)
        table.add_row(*map(escape, values))
    console.print(table)


def splits_in_words(task: Task) -> str:
    """`train 7473, test 1319`; no number where it depends."""
    return ", ".join(name if split.rows is None else f"{name} {split.rows}" for name, split in task.splits.items())


def print_task(task: Task, console: Console) -> None:
    """What a task says of itself."""
    lines = [
        f"{task.name}: {task.about}",
        f"splits: {splits_in_words(task)}",
        f"for: {task.role}; modality: {task.modality}; licence: {task.licence}; scorer: {task.scorer}",
        f"from: {task.source}",
    ]
    if isinstance(task, DataTask):
        lines += [f"  also of this shape on the hub: {', '.join(task.also)}"] if task.also else []
        lines += [
            f"  file of split {name}: {' or '.join(split.files)} (.jsonl, .jsonl.gz, .json, .json.gz, .parquet)"
            for name, split in task.splits.items()
        ]
        lines += [f"  shape: {shape.name}" for shape in task.shapes]
    _say("\n".join(lines), console)


def print_template(template: Template, scorer: str, console: Console) -> None:
    """A template as it is filled."""
    form = "conversation" if template.chat else "text, for base models"
    _say(f"\ntemplate {template.name} ({form}); {template.origin}; read by {scorer}", console)
    if template.system:
        _say(f"[system] {template.system}", console)
    _say(f"[{'user' if template.chat else 'text'}] {template.text}", console)


def print_row(loaded: Loaded, template: Template, index: int, system: str | None, console: Console) -> None:
    """One row as the trainer gets it."""
    one = rows_of(_only(loaded, index), template, system)[0]
    _say(f"\nrow {index + 1} of {len(loaded.items)}, {_origin(loaded.record)}, shape {loaded.shape}", console)
    for column, value in one.items():
        _say(f"  {column}: {_short(value)}", console)


def print_survey(found: Survey, console: Console) -> None:
    """What was found in a split."""
    repeats = found.rows - found.distinct
    lines = [
        f"{found.task}/{found.split}: {found.rows} rows, {_origin(found.record)}",
        f"  shape: {found.record['shape']}",
        f"  different questions: {found.exact} by exact text, {found.distinct} with blanks ignored ({repeats} repeats)",
    ]
    if found.conflicts:
        shown = "; ".join(", ".join(rows) for rows in found.conflicts[:_SHOWN])
        more = "; ..." if len(found.conflicts) > _SHOWN else ""
        lines.append(f"  questions with conflicting golds: {len(found.conflicts)} ({shown}{more})")
    lines += [f"  known wrong gold: {row}: {reason}" for row, reason in found.defects]
    lines += [f"  note: {note}" for note in found.notes]
    _say("\n".join(lines), console)
    shared = [one for one in found.overlaps if one.same or one.near or one.touching]
    if shared:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("also in", "rows", "of the benchmark's", "nearly (13-word runs)", "one run shared"):
            table.add_column(column, justify="left" if column == "also in" else "right")
        for one in shared:
            table.add_row(one.benchmark, *map(str, (one.same, one.asked, one.near, one.touching)))
        console.print(table)
    clear = [one.benchmark for one in found.overlaps if one not in shared]
    if clear:
        _say(f"  nothing shared with: {', '.join(clear)}", console)


def _only(loaded: Loaded, index: int) -> Loaded:
    from dataclasses import replace

    return replace(loaded, items=loaded.items[index : index + 1])


def _origin(record: dict[str, Any]) -> str:
    if "file" in record:
        return f"file {record['file']} (sha256 {record['sha256'][:12]})"
    return f"{record['hub']} at {record['commit']}"


def _short(value: Any) -> str:
    text = (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=lambda v: type(v).__name__)
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _say(text: str, console: Console) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
