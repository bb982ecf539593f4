"""The process of one cell: done already, goes on from its last checkpoint, or starts anew.

    python -m riskpo.comparison.cell [--parent PID] FOLDER -- COMMAND ... -- FLAG ...

becomes `COMMAND --resume FOLDER` or `COMMAND FLAG ... --output_dir FOLDER`. Whether it is the one or the other is seen
when it starts, so that the same line can be given to a cluster again and again. A lock beside the folder keeps a
second process out for as long as this one, which becomes the run, or anything it has started lives.
"""

from __future__ import annotations

import os
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


def cell_command(folder: Path, train: Sequence[str], flags: Sequence[str], parent: int | None = None) -> list[str]:
    """The command of a cell.

    Args:
        folder: of the run.
        train: the command that trains, to which flags are added.
        flags: of a new run; a resumed one knows its own.
        parent: a process without which the cell shall stop, saving what it has.
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
    """Runs the cell. Returns only where there is nothing to run."""
    parent, argv = (int(argv[1]), argv[2:]) if argv[0] == "--parent" else (None, argv)
    if parent is not None:
        _end_with(parent)
    first = argv.index("--")
    second = argv.index("--", first + 1)
    folder, train, flags = Path(argv[0]), list(argv[first + 1 : second]), list(argv[second + 1 :])
    if not _take(folder):
        print(f"another process is running {folder}.", flush=True)
        return BUSY
    step = next_step(folder, can_resume)
    if step == "done":
        print(f"{folder} is done.", flush=True)
        return 0
    command = [*train, "--resume", str(folder)] if step == "resume" else [*train, *flags, "--output_dir", str(folder)]
    os.execvp(command[0], command)


def _take(folder: Path) -> bool:
    """Locks the cell for this process and what it becomes; False where another process keeps it too long."""
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
                return False
            time.sleep(0.2)
        else:
            return True


def _end_with(parent: int) -> None:
    """Asks Linux for SIGTERM when the parent is killed, upon which a run saves and stops. Elsewhere it runs to its end,
    and its lock keeps others away from it."""
    import signal

    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, see prctl(2); it outlives exec
        ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it is gone already
        sys.exit(BUSY)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RiskPOError as error:
        print(f"riskpo: error: {error}", file=sys.stderr)
        sys.exit(2)
