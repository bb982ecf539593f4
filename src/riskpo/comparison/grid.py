"""The cells of a comparison, each the folder of a run, and what is written down of the whole.

    compare/NAME/comparison-plan.json   what was asked: every entry's options in full, the learning rates
    compare/NAME/comparison.json        the report, with .md and .png beside it
    compare/NAME/ENTRY/seed-N/          a run
    compare/NAME/ENTRY/seed-N.log       what it printed
    compare/NAME/ENTRY/rate-R/          a trial of a learning rate

The state of a cell is what its folder holds, and nothing else: killed at any moment, a comparison goes on.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from riskpo.atomic import read_json, write_json
from riskpo.errors import ResumeError, RunExistsError

State = Literal["done", "begun", "new"]
PLAN = "comparison-plan.json"
REPORT = "comparison.json"
SEED, RATE = "seed-", "rate-"

_CHECKPOINT = re.compile(r"checkpoint-\d+|tmp-checkpoint-\d+")
# Everything that `riskpo train` writes into a run's folder.
_RUN_FILES = {
    "config.yaml",
    "arguments.json",
    "environment.json",
    "data.json",
    "task.json",
    "metrics.jsonl",
    "summary.json",
    "figure.png",
    "report.html",
}
_RUN_FOLDERS = {"eval", "completions", "model", "runs"}


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Args:
        folder: of the run.
        entry: the label of what is compared.
        seed: of the run.
        rate: its learning rate as it is written in options; "" where the recipe's own is kept.
        tuning: whether it is a trial of a learning rate.
        flags: of `riskpo train` behind the recipe, without the folder.
    """

    folder: Path
    entry: str
    seed: int
    rate: str
    tuning: bool
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        """`exact seed-0`, or `exact rate-6e-4`."""
        return f"{self.entry} {self.folder.name}"

    @property
    def log(self) -> Path:
        """What the run prints goes here."""
        return self.folder.with_name(f"{self.folder.name}.log")


def state_of(folder: Path) -> State:
    """Whether a cell's run has ended with its last evaluation, has begun, or not."""
    if (folder / "summary.json").is_file() and (folder / "eval" / "after.json").is_file():
        return "done"
    return "begun" if folder.is_dir() and any(folder.iterdir()) else "new"


def clear(folder: Path) -> None:
    """Removes what a run has left that cannot go on.

    Raises:
        RunExistsError: the folder holds something that no run writes; nothing is removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise RunExistsError(f"{folder} is no folder of its own: move it away.")
    strange = sorted(path.name for path in folder.iterdir() if not _of_run(path))
    if strange:
        raise RunExistsError(f"{folder} cannot be started anew: it holds {', '.join(strange)}. Move it away.")
    shutil.rmtree(folder)


def _of_run(path: Path) -> bool:
    name = path.name
    if path.is_dir():
        return name in _RUN_FOLDERS or _CHECKPOINT.fullmatch(name) is not None
    scratch = re.fullmatch(r"\.(.+)\.\d+", name)  # of a file that was being written, see riskpo.atomic
    return (scratch.group(1) if scratch else name) in _RUN_FILES


def read_plan(folder: Path) -> dict[str, Any] | None:
    """What was asked of a comparison so far; None where nothing was."""
    path = folder / PLAN
    return read_json(path) if path.is_file() else None


def check_folder(folder: Path) -> None:
    """Raises RunExistsError where a folder holds something and it is no comparison."""
    if folder.exists() and not folder.is_dir():
        raise RunExistsError(f"{folder} is a file: choose another --output_dir.")
    if not folder.is_dir() or (folder / PLAN).is_file():
        return
    if any(path.name != ".lock" for path in folder.iterdir()):
        raise RunExistsError(f"{folder} exists and is no comparison: choose another --output_dir.")


def joined(folder: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked before and what is asked now, as one plan.

    Entries, seeds and learning rates may be added or left out, but cells that are there must be of what is asked: the
    options of an entry may not change once one of its cells has begun, nor its learning rates once a run of it has that
    is no trial, nor what trials share once one has begun.

    Args:
        folder: of the comparison.
        asked: `entries`, by label with `options` (in full) and `rates`; `tuning`, the options of trials.

    Raises:
        ResumeError: what has changed.
        RunExistsError: the folder holds something that is no comparison.
    """
    check_folder(folder)
    now = json.loads(json.dumps(asked))  # as JSON would give it back, so that tuples are lists
    kept = read_plan(folder)
    if kept is None:
        return dict(now)
    for label in (label for label in now["entries"] if label in kept["entries"]):
        before, after = kept["entries"][label], now["entries"][label]
        if _begun(folder, [label], (SEED, RATE)):
            _same(folder, f"{label}: ", before["options"], after["options"])
        if before["rates"] != after["rates"] and _begun(folder, [label], (SEED,)):
            _same(folder, f"{label}: ", {"learning rates": before["rates"]}, {"learning rates": after["rates"]})
    if now["tuning"] and _begun(folder, kept["entries"], (RATE,)):
        _same(folder, "", {"trials' options": kept["tuning"]}, {"trials' options": now["tuning"]})
    tuning = now["tuning"] or kept["tuning"]
    return {**kept, **now, "tuning": tuning, "entries": {**kept["entries"], **now["entries"]}}


def check_report(folder: Path, labels: Sequence[str], seeds: int, baseline: str) -> None:
    """That no report of more than is asked for would be overwritten: it would be lost without a word.

    Args:
        folder: of the comparison.
        labels, seeds, baseline: of the report that is asked for.

    Raises:
        ResumeError: the one that is there has finished runs of other entries or seeds, or another baseline.
    """
    path = folder / REPORT
    kept = read_json(path) if path.is_file() else {"entries": {}}
    done = {label: entry["done"] for label, entry in kept["entries"].items() if entry["done"]}
    most = max((max(seeds_done) + 1 for seeds_done in done.values()), default=0)
    lost, ask = [], []
    if gone := [label for label in done if label not in labels]:
        lost.append(f"{', '.join(gone)} as well")
        ask.append("name them in --estimators")
    if most > seeds:
        lost.append(f"seeds up to {most - 1}, and --seeds {seeds} ends with {seeds - 1}")
        ask.append(f"--seeds {most}")
    if done and kept["baseline"] != baseline:
        lost.append(f"the baseline {kept['baseline']}, and not {baseline}")
        ask.append(f"--baseline {kept['baseline']}")
    if lost:
        raise ResumeError(
            f"{path} has {'; '.join(lost)}: this report would overwrite it. Ask for what is there "
            f"({', '.join(ask)}), or move that file away first; the runs stay."
        )


def _same(folder: Path, where: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing:
        said = "; ".join(f"{key}: was {before.get(key)!r:.80}, is {now.get(key)!r:.80}" for key in differing)
        raise ResumeError(
            f"{folder} holds cells with other options. {where}{said}. Repeat the command that began it, or choose "
            "another --output_dir."
        )


def _begun(folder: Path, labels: Iterable[str], kinds: Sequence[str]) -> bool:
    """Whether a cell of these entries and kinds has begun."""
    runs = [run for label in labels for kind in kinds for run in (folder / label).glob(f"{kind}*") if run.is_dir()]
    return any(state_of(run) != "new" for run in runs)


def keep_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Writes the plan down, whole or not at all."""
    write_json(folder / PLAN, plan)
