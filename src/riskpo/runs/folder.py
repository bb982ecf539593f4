"""The folder of a run. Two runs never share one."""

from __future__ import annotations

import re
from pathlib import Path

from riskpo.errors import ResumeError, RunExistsError

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


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
        raise RunExistsError(
            f"{folder} exists already, and two runs never share a folder: choose another --output_dir, or continue "
            f"that run with: riskpo train --resume {folder}"
        )


def last_checkpoint(folder: Path) -> Path:
    """The checkpoint of the highest step that was saved completely.

    Raises:
        ResumeError: no such run, or no checkpoint in it.
    """
    if not (folder / "config.yaml").is_file():
        raise ResumeError(f"{folder} is not the folder of a run: it has no config.yaml.")
    found = {}
    for path in folder.iterdir():
        match = _CHECKPOINT.fullmatch(path.name)
        # The trainer writes trainer_state.json after model, optimizer and random states.
        if match and (path / "trainer_state.json").is_file():
            found[int(match.group(1))] = path
    if not found:
        raise ResumeError(
            f"{folder} holds no complete checkpoint to resume from: start the run anew. (Smaller --save_steps save "
            "sooner.)"
        )
    return found[max(found)]
