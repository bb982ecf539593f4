"""Cells as processes, several at once. One that fails is reported, and the others go on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import IO, Any

from riskpo.comparison.cell import BUSY, cell_command
from riskpo.comparison.gpus import VISIBLE
from riskpo.comparison.grid import Cell, state_of
from riskpo.runs.launching import PATIENCE

_POLL_SECONDS = 0.1
_TAIL_LINES, _TAIL_BYTES = 12, 20_000


@dataclass
class Outcome:
    """How it went.

    Args:
        failed: the end of the log of each cell that failed, by its name.
        stopped: whether it was asked to stop.
    """

    failed: dict[str, str] = field(default_factory=dict)
    stopped: bool = False


@dataclass
class _Running:
    cell: Cell
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    begun: float
    slot: int


class Runner:
    """Runs cells. Ctrl-C or SIGTERM: the runs save what they have and stop; a second one ends them at once.

    Args:
        train: the command that trains, to which a cell's flags are added.
        jobs: how many at once, at least 1.
        threads: CPU threads of each, where the recipe does not say.
        say: told a line now and then.
        gpus: CUDA_VISIBLE_DEVICES of each of the `jobs`; None: as it is for this process, for all of them.
    """

    def __init__(
        self,
        train: Sequence[str],
        jobs: int,
        threads: int,
        say: Callable[[str], None],
        gpus: Sequence[str | None] | None = None,
    ) -> None:
        self._train, self._say = list(train), say
        self._gpus = list(gpus or [None] * jobs)
        self._free = list(range(jobs))  # slots, the lowest is taken first
        self._environment = {**PATIENCE, "OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONUNBUFFERED": "1"}
        self._running: list[_Running] = []
        self._stopping = 0

    def run(self, cells: Sequence[Cell]) -> Outcome:
        """Runs those that are not done, in their order."""
        waiting = deque(cell for cell in cells if state_of(cell.folder) != "done")
        total, outcome = len(waiting), Outcome()
        previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self._running or (waiting and not self._stopping):
                while waiting and self._free and not self._stopping:
                    cell = waiting.popleft()
                    self._start(cell, total - len(waiting), total)
                time.sleep(_POLL_SECONDS)
                for one in [one for one in self._running if one.process.poll() is not None]:
                    self._ended(one, outcome)
        finally:
            self._end_all()
            for number, handler in previous.items():
                signal.signal(number, handler)
        outcome.stopped = self._stopping > 0
        return outcome

    def _start(self, cell: Cell, number: int, total: int) -> None:
        again = "goes on" if state_of(cell.folder) == "begun" else "starts"
        self._say(f"{number}/{total} {cell.name} {again}")
        cell.log.parent.mkdir(parents=True, exist_ok=True)
        log = cell.log.open("ab")
        command = cell_command(cell.folder, self._train, cell.flags, parent=os.getpid())
        slot = min(self._free)
        gpus = self._gpus[slot]
        # A session of its own, so that a terminal's Ctrl-C reaches this process alone, which passes it on once.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**self._environment, **({} if gpus is None else {VISIBLE: gpus})},
            start_new_session=True,
        )
        self._free.remove(slot)
        self._running.append(_Running(cell, process, log, time.monotonic(), slot))
        if self._stopping:  # asked between the question and the start
            process.terminate()

    def _ended(self, one: _Running, outcome: Outcome) -> None:
        self._running.remove(one)
        self._free.append(one.slot)
        one.log.close()
        status, cell = one.process.returncode, one.cell
        if state_of(cell.folder) == "done":  # also where it was asked to stop after its last evaluation
            self._say(f"{cell.name} done in {_duration(time.monotonic() - one.begun)}")
        elif self._stopping:
            self._say(f"{cell.name} stopped")
        else:
            why = "another process has it" if status == BUSY else f"status {status}"
            outcome.failed[cell.name] = _tail(cell.log)
            self._say(f"{cell.name} FAILED ({why}); the end of {cell.log}:\n{outcome.failed[cell.name]}")

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._stopping += 1
        if self._stopping == 1:
            self._say("Stopping: the runs save what they have (Ctrl-C again: at once).")
            for one in self._running:
                one.process.terminate()
            return
        for one in self._running:
            _kill(one.process)

    def _end_all(self) -> None:
        """After an error of this process: nothing is left behind."""
        for one in self._running:
            _kill(one.process)
            one.process.wait()
            one.log.close()
        self._running.clear()


def _kill(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(path: Any) -> str:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
