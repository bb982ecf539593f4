"""A comparison from its design to its report: trials, choice, runs, table."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from riskpo.atomic import read_json, write_text
from riskpo.comparison.cell import cell_command
from riskpo.comparison.design import Design, threads_of
from riskpo.comparison.grid import Cell, joined, keep_plan, state_of
from riskpo.comparison.results import RunResult, read_run
from riskpo.comparison.runner import Outcome, Runner
from riskpo.comparison.summary import summarise
from riskpo.comparison.tuning import Choice, choose
from riskpo.evaluation.folder import locked

Say = Callable[[str], None]


@dataclass(frozen=True)
class Finished:
    """What a comparison has come to.

    Args:
        summary: the numbers; None where it was stopped.
        failed: the end of the log of each cell that failed.
        stopped: whether it was stopped.
    """

    summary: dict[str, Any] | None
    failed: Mapping[str, str]
    stopped: bool


def run_comparison(design: Design, jobs: int | None, say: Say, train: Sequence[str] | None = None) -> Finished:
    """Runs what is missing and reads what is there.

    Args:
        design: checked.
        jobs: how many runs at once; None: one, or none at all where a job list was written before.
        say: told a line now and then.
        train: the command that trains; None: `riskpo train`.

    Raises:
        ResumeError: the folder holds cells with other options.
        RunExistsError: it holds something else, or another process works in it.
    """
    with _taken(design) as plan:
        elsewhere = bool(plan.get("job_list")) and jobs is None
        if elsewhere:
            say("a job list was written for this comparison: reading what is there (--jobs N runs the rest here).")
            return Finished(_read(design), {}, False)
        runner = Runner(train or design.train_command(sys.executable), jobs or 1, threads_of(jobs or 1), say)
        failed: dict[str, str] = {}
        for cells in (design.trials, lambda: design.finals(_rates(design, choices_of(design)))):
            outcome = _run(runner, cells(), design, say)
            failed |= outcome.failed
            if outcome.stopped:
                return Finished(None, failed, True)
        return Finished(_read(design), failed, False)


def _run(runner: Runner, cells: Sequence[Cell], design: Design, say: Say) -> Outcome:
    missing = [cell for cell in cells if state_of(cell.folder) != "done"]
    if not cells:
        return Outcome()
    say(f"{len(cells)} {'trials' if cells[0].tuning else 'runs'}, {len(cells) - len(missing)} of them done already")
    if not missing:
        return Outcome()
    _build_model(design, say)
    return runner.run(missing)


def _build_model(design: Design, say: Say) -> None:
    """Once, before several runs ask for it at once."""
    from riskpo.models.registry import PREFIX, resolve_model

    name = str(design.first.model.model_name_or_path)
    if name.startswith(PREFIX):
        say(f"model: {resolve_model(name, build=True)}")


def write_job_list(design: Design, path: Path, say: Say) -> int:
    """Writes a shell command for each cell that is not done: the trials, or, once they are there, the runs.

    Returns:
        How many lines were written.
    """
    with _taken(design, job_list=True):
        trials = [cell for cell in design.trials() if state_of(cell.folder) != "done"]
        finals = design.finals(_rates(design, choices_of(design)))
        cells = trials or [cell for cell in finals if state_of(cell.folder) != "done"]
        train = design.train_command(sys.executable)
        here = f"cd {shlex.quote(str(Path.cwd()))} && "
        lines = []
        for cell in cells:
            command = shlex.join(cell_command(cell.folder.absolute(), train, cell.flags))
            lines.append(f"{here}{command} >> {shlex.quote(str(cell.log.absolute()))} 2>&1\n")
            cell.log.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(lines))
    if trials:
        say(f"{path}: {len(lines)} trials. When they are done, this command again writes the runs.")
    else:
        say(f"{path}: {len(lines)} runs. The command without --job-list reads what is there.")
    return len(lines)


@contextlib.contextmanager
def _taken(design: Design, job_list: bool = False) -> Iterator[dict[str, Any]]:
    """The folder for this process alone, with what was asked written down."""
    joined(design.folder, design.record())  # before the lock makes the folder
    with locked(design.folder, "working on the comparison in"):
        plan = joined(design.folder, {**design.record(), **({"job_list": True} if job_list else {})})
        keep_plan(design.folder, plan)
        yield plan


def choices_of(design: Design) -> dict[str, Choice]:
    """What the trials say of each entry; empty where nothing is tuned."""
    found: dict[str, dict[str, tuple[Sequence[int], int]]] = {label: {} for label in design.rates}
    for cell in design.trials():
        if state_of(cell.folder) == "done":
            after = read_json(cell.folder / "eval" / "after.json")
            found[cell.entry][cell.rate] = (after["correct"], after["samples"])
    return {label: choose(rates, found[label]) for label, rates in design.rates.items()}


def _rates(design: Design, choices: Mapping[str, Choice]) -> dict[str, str | None]:
    """The learning rate of each entry: "" is its own; None: not chosen yet."""
    return {label: choices[label].chosen if choices else "" for label in design.labels}


def finished_runs(design: Design) -> dict[str, list[RunResult]]:
    """The results of every final cell that is done."""
    found: dict[str, list[RunResult]] = {label: [] for label in design.labels}
    for cell in design.finals(_rates(design, choices_of(design))):
        if state_of(cell.folder) == "done":
            found[cell.entry].append(read_run(cell.folder, cell.seed))
    return found


def _read(design: Design) -> dict[str, Any]:
    return summarise(design, finished_runs(design), choices_of(design))


def describe(design: Design, jobs: int) -> list[str]:
    """What would be done: the plan, a line each, with the time that it takes where a finished cell tells it."""
    joined(design.folder, design.record())
    lines = [f"{label}: {method}" for label, method in design.methods().items()]
    if design.rates:
        lines += [f"learning rates of {label}: {', '.join(rates)}" for label, rates in design.rates.items()]
        lines.append(f"trials: {' '.join(design.tuning)}, seed {design.trials()[0].seed}")
    else:
        lines.append("learning rates: each entry's own, nothing is tuned")
    trials, finals = design.trials(), design.finals(dict.fromkeys(design.labels, ""))
    missing = []
    for cell in [*trials, *finals]:
        state = state_of(cell.folder)
        lines.append(f"{state:5}  {cell.folder}")
        missing += [cell] if state != "done" else []
    lines.append(f"{len(trials)} trials and {len(finals)} runs, {len(missing)} of them to do, {jobs} at once")
    return [*lines, _time_left(missing, [*trials, *finals], jobs)]


def _time_left(missing: Sequence[Cell], cells: Sequence[Cell], jobs: int) -> str:
    """From the middle one of the finished cells; trials and runs apart where there are both."""
    seconds = 0.0
    for tuning in (True, False):
        wanted = sum(cell.tuning == tuning for cell in missing)
        done = [cell for cell in cells if state_of(cell.folder) == "done"]
        known = [cell for cell in done if cell.tuning == tuning] or done
        if wanted and not known:
            return "how long it takes is not known before a cell is finished"
        if wanted:
            seconds += wanted * median(read_json(cell.folder / "summary.json")["wall_seconds"] for cell in known)
    return f"about {seconds / jobs / 60:.0f} minutes, judged by the finished cells"
