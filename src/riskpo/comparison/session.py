"""A comparison from its design to its report: trials, choice, runs, table."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from riskpo.atomic import read_json, write_text
from riskpo.comparison.cell import cell_command
from riskpo.comparison.design import Asked, Design, threads_of
from riskpo.comparison.gpus import Shares, share_out, visible_gpus
from riskpo.comparison.grid import Cell, check_report, joined, keep_plan, read_plan, state_of
from riskpo.comparison.results import RunResult, read_run
from riskpo.comparison.runner import Outcome, Runner
from riskpo.comparison.summary import summarise
from riskpo.comparison.tuning import Choice, choose
from riskpo.evaluation.folder import locked
from riskpo.runs.launching import PATIENCE

Say = Callable[[str], None]
_LISTED = 20  # cells that are missing


@dataclass(frozen=True)
class Finished:
    """What a comparison has come to.

    Args:
        summary: the numbers, which are also in the report; None where it was stopped, or nothing is there to read.
        failed: the end of the log of each cell that failed.
        stopped: whether it was stopped.
        missing: lines that say what a job list has not done yet; empty where nothing is missing.
    """

    summary: dict[str, Any] | None
    failed: Mapping[str, str]
    stopped: bool
    missing: tuple[str, ...] = ()


def run_comparison(
    design: Design,
    jobs: int | None,
    say: Say,
    train: Sequence[str] | None = None,
    gpus: Sequence[str] | None = None,
) -> Finished:
    """Runs what is missing, reads what is there, and writes the report.

    Args:
        design: checked.
        jobs: how many runs at once; None: one, or none at all where a job list was written before.
        say: told a line now and then.
        train: the command that trains; None: `riskpo train`.
        gpus: that the runs share; None: those of this machine, or of CUDA_VISIBLE_DEVICES.

    Raises:
        ConfigError: more runs at once than the GPUs can hold processes.
        ResumeError: the folder holds cells with other options, or a report of more than is asked for.
        RunExistsError: it holds something else, or another process works in it.
    """
    shares = _shares(design, jobs or 1, gpus)
    with _taken(design, None if jobs is None else False) as plan:
        if plan.get("job_list"):
            say("a job list was written for this comparison: reading what is there (--jobs N runs the rest here).")
            return _read_job_list(design)
        if shares.note:
            say(shares.note)
        command = train or design.train_command(sys.executable)
        runner = Runner(command, jobs or 1, threads_of(jobs or 1), say, shares.slots)
        failed: dict[str, str] = {}
        for cells in (design.trials, lambda: design.finals(_rates(design, choices_of(design)))):
            outcome = _run(runner, cells(), design, say)
            failed |= outcome.failed
            if outcome.stopped:
                return Finished(None, failed, True)
        return Finished(_report(design), failed, False)


def reads_job_list(asked: Asked, jobs: int | None) -> bool:
    """Whether nothing is run here: a job list was written, and no number of runs at once is asked for."""
    return jobs is None and bool((read_plan(asked.place) or {}).get("job_list"))


def _read_job_list(design: Design) -> Finished:
    """What the lines of a job list have done so far, and what they have not."""
    trials, finals = design.trials(), design.finals(dict.fromkeys(design.labels, ""))
    missing = [cell for cell in (*trials, *finals) if state_of(cell.folder) != "done"]
    lines: list[str] = []
    if missing:
        counted = [(trials, "trials")] if trials else []
        said = " and ".join(
            f"{sum(cell in missing for cell in cells)} of {len(cells)} {what}"
            for cells, what in [*counted, (finals, "runs")]
        )
        lines = [f"missing: {said}"]
        lines += [f"{state_of(cell.folder):5}  {cell.folder}" for cell in missing[:_LISTED]]
        lines += [f"... and {len(missing) - _LISTED} more: --dry-run lists all"] if len(missing) > _LISTED else []
        lines.append(
            "begun: still running, stopped or failed; its log is beside it. Lines of the job list may be run again, "
            "--job-list writes those that are missing."
        )
    nothing = all(cell in missing for cell in finals)
    return Finished(None if nothing else _report(design), {}, False, tuple(lines))


def _shares(design: Design, jobs: int, gpus: Sequence[str] | None) -> Shares:
    """The GPUs of each run at once; a comparison on CPUs leaves them alone, and one run at a time has them all."""
    if jobs == 1 or design.first.training.use_cpu:
        return share_out((), jobs, 1)
    return share_out(visible_gpus(os.environ) if gpus is None else gpus, jobs, design.first.run.processes)


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
    with _taken(design, True):
        trials = [cell for cell in design.trials() if state_of(cell.folder) != "done"]
        finals = design.finals(_rates(design, choices_of(design)))
        cells = trials or [cell for cell in finals if state_of(cell.folder) != "done"]
        train = design.train_command(sys.executable)
        here = f"cd {shlex.quote(str(Path.cwd()))} && "
        if design.first.run.processes > 1:
            here += "".join(f"{name}={value} " for name, value in PATIENCE.items())
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
def _taken(design: Design, job_list: bool | None) -> Iterator[dict[str, Any]]:
    """The folder for this process alone, with what was asked written down.

    Args:
        design: of the comparison.
        job_list: whether its cells are run by the lines of a job list from now on; None: as before.
    """
    _check(design)  # before the lock makes the folder
    with locked(design.folder, "working on the comparison in"):
        _check(design)
        plan = joined(design.folder, {**design.record(), **({} if job_list is None else {"job_list": job_list})})
        keep_plan(design.folder, plan)
        yield plan


def _check(design: Design) -> None:
    """That what is asked goes with what the folder holds."""
    joined(design.folder, design.record())
    check_report(design.folder, design.labels, design.asked.seeds, design.asked.baseline)


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


def _report(design: Design) -> dict[str, Any]:
    """The numbers of what is there, written down; the caller holds the lock."""
    from riskpo.reports.comparison import write_comparison

    summary = summarise(design, finished_runs(design), choices_of(design))
    write_comparison(summary, design.folder)
    return summary


def describe(design: Design, jobs: int, gpus: Sequence[str] | None = None) -> list[str]:
    """What would be done: the plan, a line each, with the time that it takes where a finished cell tells it."""
    _check(design)
    lines = [f"{label}: {method}" for label, method in design.methods().items()]
    if design.rates:
        lines += [f"learning rates of {label}: {', '.join(rates)}" for label, rates in design.rates.items()]
        lines.append(f"trials: {' '.join(design.tuning)}, seed {design.trials()[0].seed}")
    else:
        rates = ", ".join(f"{label} {plan.training.learning_rate:g}" for label, plan in design.plans.items())
        lines.append(f"learning rates: each entry's own ({rates}), nothing is tuned")
    if note := _shares(design, jobs, gpus).note:
        lines.append(note)
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
