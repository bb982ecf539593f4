"""`riskpo tasks`: which tasks there are, what a row looks like, what is wrong with a data set, files for others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riskpo.cli.quiet import quieten

EPILOG = """\
examples:
  riskpo tasks                                                       the table
  riskpo tasks show gsm8k --data-dir data                            template and a row
  riskpo tasks check dapo-math-17k --data-dir data                   repeats, conflicts, overlaps with the benchmarks
  riskpo tasks export math --format verl --output math.parquet --data-dir data --decontaminate

Rows come from --data-file, else from the folder --data-dir (or RISKPO_DATA_DIR), else from the hub (docs/tasks.md).
"""
_FORMATS = ("verl", "trl", "jsonl")


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        help="list, show, check and export data sets and benchmarks",
        description="Data sets and benchmarks: list them, show a row, look one over, write one for another engine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "what", nargs="?", default="list", choices=("list", "show", "check", "export"), help="(default: list)"
    )
    parser.add_argument("task", nargs="?", metavar="NAME", help="the task; `all` with check")
    parser.add_argument("--split", metavar="NAME", help="default: the first one; check: every one at hand")
    parser.add_argument("--data-dir", "--data_dir", metavar="DIR", help="folder with the data files under their names")
    parser.add_argument("--data-file", "--data_file", metavar="FILE", help="the data file itself")
    parser.add_argument("--revision", metavar="REV", help="of the hub's data set (default: the newest)")
    parser.add_argument("--template", metavar="NAME", help="prompt template (default: the task's)")
    parser.add_argument(
        "--system-prompt", "--system_prompt", metavar="TEXT", help='instead of the template\'s; "": none'
    )
    parser.add_argument("--row", type=int, default=1, metavar="N", help="show: which row, from 1 (default: 1)")
    parser.add_argument("--clean", action="store_true", help="export: without known wrong golds, conflicts and repeats")
    parser.add_argument(
        "--decontaminate", action="store_true", help="export: the same, and without benchmark questions"
    )
    parser.add_argument(
        "--format", choices=_FORMATS, help="export: verl (parquet), trl (parquet or JSONL), jsonl (plain)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="export: the file to write")
    parser.add_argument("--overwrite", action="store_true", help="export: replace a file that is there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="check: also write everything that was found")


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status."""
    from riskpo.errors import ConfigError, unknown_name

    if flags:
        known = [f"--{name.replace('_', '-')}" for name in vars(options) if name not in ("what", "verb", "task")]
        raise ConfigError(unknown_name("option", flags[0].split("=")[0], known))
    if options.what == "list" and options.task is not None:
        raise ConfigError("riskpo tasks list takes no name; riskpo tasks show NAME shows one task.")
    if options.what != "list" and options.task is None:
        raise ConfigError(f"riskpo tasks {options.what} needs the NAME of a task: riskpo tasks lists them.")
    if options.what == "export":
        quieten()  # the bar of the writer of parquet
    return {"list": _list, "show": _show, "check": _check, "export": _export}[options.what](options)


_WIDE = 150  # columns where nobody looks: a table in a file needs no folding


def _console() -> Any:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def _list(options: argparse.Namespace) -> int:
    from riskpo.reports.tasks import print_tasks
    from riskpo.tasks.registry import DATA_TASKS, TASKS

    del options
    console = _console()
    print_tasks([*DATA_TASKS.values(), *TASKS.values()], console)
    console.print("and gym:NAME, the procedural tasks of reasoning-gym (an extra). No hub id was run against the hub.")
    return 0


def _load(options: argparse.Namespace, task: Any, split: str | None) -> Any:
    from riskpo.tasks.loading import load

    return load(task, split, data_file=options.data_file, data_dir=options.data_dir, revision=options.revision)


def _show(options: argparse.Namespace) -> int:
    from riskpo.errors import ConfigError
    from riskpo.reports.tasks import print_row, print_task, print_template
    from riskpo.tasks.base import DataTask
    from riskpo.tasks.registry import get_task

    console, task = _console(), get_task(options.task)
    if not isinstance(task, DataTask):
        print_task(task, console)
        row = task.rows(task.find_split(options.split), 1, 1)[0]  # type: ignore[attr-defined]
        for column, value in row.items():
            console.print(f"  {column}: {value!r}", markup=False, highlight=False, soft_wrap=True)
        return 0
    template = task.find_template(options.template)
    loaded = None
    if _at_hand(options, task):
        loaded = _load(options, task, options.split)
        if not 1 <= options.row <= len(loaded.items):
            raise ConfigError(f"--row must be in 1..{len(loaded.items)}, got {options.row}.")
    print_task(task, console)
    print_template(template, task.scorer_for(template), console)
    if loaded is None:
        console.print(
            "\nno row shown: give --data-dir, --data-file or --revision (main: from the hub).", highlight=False
        )
    else:
        print_row(loaded, template, options.row - 1, options.system_prompt, console)
    return 0


def _at_hand(options: argparse.Namespace, task: Any) -> bool:
    """Whether a row was asked for: showing a task downloads nothing unless told to."""
    from riskpo.tasks.source import data_folder

    return bool(options.data_file or options.revision or data_folder(options.data_dir))


def _check(options: argparse.Namespace) -> int:
    from riskpo.atomic import write_json
    from riskpo.errors import ConfigError, DataError
    from riskpo.reports.tasks import print_survey
    from riskpo.tasks.registry import DATA_TASKS, get_data_task
    from riskpo.tasks.survey import splits_at_hand, survey

    if options.task == "all" and (options.data_file or options.split or options.revision):
        raise ConfigError("check all takes neither --data-file nor --split nor --revision: they are one task's.")
    if options.json is not None and not options.json.parent.is_dir():
        raise ConfigError(f"--json {options.json}: the folder {options.json.parent} does not exist.")
    tasks = list(DATA_TASKS.values()) if options.task == "all" else [get_data_task(options.task)]
    console, found = _console(), []
    compared: dict[str, Any] = {}
    for task in tasks:
        if options.data_file or options.split:
            splits = [task.find_split(options.split)]
        else:
            splits = splits_at_hand(task, options.data_dir)
        if not splits and options.task != "all":
            raise DataError(
                f"no split of task {task.name} has its file in {options.data_dir}: riskpo tasks show {task.name}."
            )
        for split in splits:
            loaded = _load(options, task, split)
            if task.modality not in compared:
                compared[task.modality] = _benchmarks(task.modality, options, console)
            found.append(survey(loaded, compared[task.modality]))
            print_survey(found[-1], console)
    if not found:
        raise DataError(f"the data folder {options.data_dir} holds no file of any task.")
    if options.json is not None:
        write_json(options.json, [one.as_json() for one in found])
    return 0


def _benchmarks(modality: str, options: argparse.Namespace, console: Any) -> Any:
    """The benchmarks that a check compares with; none of a modality at hand is said, and no error of a check."""
    from riskpo.errors import DataError
    from riskpo.tasks.survey import load_benchmarks

    try:
        pairs, missing = load_benchmarks(modality, options.data_dir)
    except DataError as error:
        console.print(f"note: {error}", markup=False, highlight=False, soft_wrap=True)
        return []
    if missing:
        console.print(
            f"note: not compared with, no file: {', '.join(missing)}", markup=False, highlight=False, soft_wrap=True
        )
    return pairs


def _export(options: argparse.Namespace) -> int:
    from riskpo.errors import ConfigError
    from riskpo.tasks.clean import clean, decontaminate
    from riskpo.tasks.export import check_output, export
    from riskpo.tasks.registry import get_data_task
    from riskpo.tasks.survey import load_benchmarks

    if options.format is None or options.output is None:
        raise ConfigError("export needs --format (verl, trl, jsonl) and --output FILE.")
    task = get_data_task(options.task)
    template = task.find_template(options.template)
    check_output(options.format, options.output, options.overwrite)
    console, loaded, notes = _console(), _load(options, task, options.split), {}
    if options.clean or options.decontaminate:
        pairs, missing = load_benchmarks(task.modality, options.data_dir) if options.decontaminate else ([], [])
        others = [
            benchmark for other, benchmark in pairs if other.task.name != task.name or other.split != loaded.split
        ]
        cleaned = decontaminate(loaded, others) if options.decontaminate else clean(loaded)
        loaded = cleaned.loaded
        notes = {
            "dropped": cleaned.dropped,
            "compared_with": [one.name for one in others],
            "not_compared_with": missing,
        }
        console.print(cleaned.in_words, highlight=False, soft_wrap=True)
        if missing:
            console.print(f"note: not compared with, no file: {', '.join(missing)}", highlight=False, soft_wrap=True)
    for note in loaded.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    count = export(loaded, options.format, options.output, template, options.system_prompt, notes)
    console.print(f"{count} rows written to {options.output}", highlight=False, soft_wrap=True)
    return 0
