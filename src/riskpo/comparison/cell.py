"""The process of one cell: done already, goes on from its last checkpoint, or starts anew.

    python -m riskpo.comparison.cell [--parent PID] FOLDER -- COMMAND ... -- FLAG ...

runs `COMMAND --resume FOLDER` or `COMMAND FLAG ... --output_dir FOLDER`. Whether it is the one or the other is seen
when it starts, so that the same line can be given to a cluster again and again. A lock beside the folder keeps a
second process out for as long as the run lives, whatever became of this process.

With a parent it watches over the run: when the parent is gone, the run is asked to save and stop. (Linux could do so
by itself, but signals once for every thread of the parent, and a run takes the second for an order to stop at once.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

from riskpo.atomic import read_json
from riskpo.comparison.grid import clear, state_of
from riskpo.engines.generations import resumable_steps
from riskpo.errors import ResumeError, RiskPOError
from riskpo.runs.folder import last_checkpoint

BUSY = 75  # exit status: another process has the cell
WAIT_SECONDS = 120  # for one that is just saving what it has
_POLL_SECONDS = 0.1


def cell_command(folder: Path, train: Sequence[str], flags: Sequence[str], parent: int | None = None) -> list[str]:
    """The command of a cell.

    Args:
        folder: of the run.
        train: the command that trains, to which flags are added.
        flags: of a new run; a resumed one knows its own.
        parent: the process that starts it, and without which the run shall save what it has and stop.
    """
    tied = [] if parent is None else ["--parent", str(parent)]
    return [sys.executable, "-m", "riskpo.comparison.cell", *tied, str(folder), "--", *train, "--", *flags]


def next_step(folder: Path, resumable: Callable[[Path], bool]) -> str:
    """`done`, `resume` or `new`; what cannot go on is removed.

    Raises:
        RunExistsError: the folder holds something that no run writes.
    """
    state = state_of(folder)
    if state == "done":
        return "done"
    if state == "begun":
        if resumable(folder):
            return "resume"
        clear(folder)
    return "new"


def can_resume(folder: Path) -> bool:
    """Whether a run has a complete checkpoint between two generations, as far as its arguments can tell."""
    kept = folder / "arguments.json"
    resumable = resumable_steps(SimpleNamespace(**read_json(kept))) if kept.is_file() else lambda step: True
    try:
        last_checkpoint(folder, resumable)
    except ResumeError:
        return False
    return True


def main(argv: Sequence[str]) -> int:
    """Runs the cell. Returns the exit status; without a parent, this process becomes the run."""
    parent, argv = (int(argv[1]), argv[2:]) if argv[0] == "--parent" else (None, argv)
    first = argv.index("--")
    second = argv.index("--", first + 1)
    folder, train, flags = Path(argv[0]), list(argv[first + 1 : second]), list(argv[second + 1 :])
    lock = _take(folder)
    if lock is None:
        print(f"another process is running {folder}.", flush=True)
        return BUSY
    step = next_step(folder, can_resume)
    if step == "done":
        print(f"{folder} is done.", flush=True)
        return 0
    command = [*train, "--resume", str(folder)] if step == "resume" else [*train, *flags, "--output_dir", str(folder)]
    if parent is not None:
        return _watched(command, parent, lock)
    os.execvp(command[0], command)


def _take(folder: Path) -> int | None:
    """Locks the cell for this process and the run; None where another process keeps it too long."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                return None
            time.sleep(_POLL_SECONDS)
        else:
            return lock


def _watched(command: Sequence[str], parent: int, lock: int) -> int:
    """Runs the command; on SIGTERM, or when the parent is gone, asks it once to stop. Returns its exit status."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    if os.getppid() != parent:
        return BUSY
    process, told = subprocess.Popen(command, pass_fds=(lock,)), False
    while (status := process.poll()) is None:
        if not told and (asked or os.getppid() != parent):
            process.terminate()
            told = True
        time.sleep(_POLL_SECONDS)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RiskPOError as error:
        print(f"riskpo: error: {error}", file=sys.stderr)
        sys.exit(2)
