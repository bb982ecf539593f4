"""The folder of a run. Two runs never share one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from riskpo.atomic import read_json
from riskpo.errors import ResumeError, RunExistsError

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")

# What a run writes before its first step has ended.
_FIRST_FILES = ("config.yaml", "arguments.json", "environment.json", "data.json", "metrics.jsonl")
_FIRST_FOLDERS = ("eval", "completions")


def reserve(explicit: Path | None, runs_dir: Path, name: str) -> Path:
    """Creates the run's folder: the explicit one, or the first free of `runs_dir/name`, `runs_dir/name-2`, ...

    Raises:
        RunExistsError: an explicit folder that exists and holds anything.
    """
    if explicit is not None:
        check_free(explicit)
        explicit.mkdir(parents=True, exist_ok=True)
        return explicit
    runs_dir.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = runs_dir / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()  # atomic: of two runs that start at once, each gets its own
        except FileExistsError:
            number += 1
        else:
            return folder


def check_free(folder: Path) -> None:
    """Raises RunExistsError when a folder cannot become a new run's."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        try:
            last_checkpoint(folder)
        except ResumeError:
            otherwise = "or remove it: it holds no checkpoint to go on from."
        else:
            otherwise = f"or continue that run with: riskpo train --resume {folder}"
        raise RunExistsError(
            f"{folder} exists already, and two runs never share a folder: choose another --output_dir, {otherwise}"
        )


def discard(folder: Path, keep: bool) -> None:
    """Removes what a run has written that failed before its first step had ended; other files stay.

    Args:
        folder: the run's folder.
        keep: whether the folder itself stays, which was there before.
    """
    if any(_CHECKPOINT.fullmatch(path.name) for path in folder.iterdir()):
        return
    for name in _FIRST_FILES:
        (folder / name).unlink(missing_ok=True)
    for name in _FIRST_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    if not keep and not any(folder.iterdir()):
        folder.rmdir()


def last_checkpoint(
    folder: Path, resumable: Callable[[int], bool] = lambda step: True, say: Callable[[str], None] = lambda line: None
) -> Path:
    """The checkpoint of the highest step that was saved completely and can be resumed.

    Args:
        folder: the run's.
        resumable: whether a checkpoint of this step can be resumed exactly.
        say: told, a line each, which higher ones are passed over.

    Raises:
        ResumeError: no such run, or no checkpoint in it that can be resumed.
    """
    if not (folder / "config.yaml").is_file():
        raise ResumeError(f"{folder} is not the folder of a run: it has no config.yaml.")
    found = {int(match.group(1)): path for path in folder.iterdir() if (match := _CHECKPOINT.fullmatch(path.name))}
    complete = False
    for step, path in sorted(found.items(), reverse=True):
        if not _is_complete(path):
            say(f"{path.name} was not saved completely: passed over.")
        elif not resumable(step):
            complete = True
            say(f"{path.name} was saved in the middle of a generation, which cannot be resumed exactly: passed over.")
        else:
            return path
    if complete:
        raise ResumeError(f"every complete checkpoint in {folder} was saved in the middle of a generation: start anew.")
    raise ResumeError(
        f"{folder} holds no complete checkpoint to resume from: start the run anew. (Smaller --save_steps save sooner.)"
    )


def _is_complete(checkpoint: Path) -> bool:
    """The trainer writes trainer_state.json after model, optimizer and random states; a kill may leave half of it."""
    try:
        return isinstance(read_json(checkpoint / "trainer_state.json"), dict)
    except (OSError, ValueError):
        return False
