"""The tasks of one caller of a pool, and what becomes of each."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from riskpo.rewards.worker_wire import Channel, encode

OutcomeStatus = Literal["done", "timeout", "memory", "error", "crash"]
STATUSES: tuple[OutcomeStatus, ...] = get_args(OutcomeStatus)
MOST_TASKS = 64  # of a chunk
_MOST_BYTES = 1 << 20  # of a chunk of more than one task


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task.

    Args:
        status: `done`; `timeout`; `memory` (more than the cap); `error` (the function raised, or the task or its result
            cannot be handed over); `crash` (worker after worker died on this task).
        value: what the function returned; None unless `done`.
        detail: an exception's type and message, or what killed the worker.
        seconds: wall-clock time of the task, where it ended by itself; the limit, where that ended it.
    """

    status: OutcomeStatus
    value: Any = None
    detail: str = ""
    seconds: float = 0.0


class Job:
    """The tasks of one caller.

    Args:
        tasks: the arguments of each.
        seconds: wall-clock time for each.
        total_seconds: for all; a task that has not begun by then is a timeout. None = no limit.
        max_bytes: of one encoded task.
    """

    def __init__(
        self, tasks: Sequence[tuple[Any, ...]], seconds: float, total_seconds: float | None, max_bytes: int
    ) -> None:
        self.seconds = seconds
        self.total_seconds = total_seconds
        self.end = None if total_seconds is None else time.monotonic() + total_seconds
        self.outcomes: list[Outcome | None] = [None] * len(tasks)
        self.payloads: list[bytes] = []
        self.pending: deque[int] = deque()
        self.queued = False
        self.left = len(tasks)
        self.finished = threading.Event()
        if not tasks:
            self.finished.set()
        self.error: str | None = None
        self.blame: Counter[int] = Counter()  # for the deaths of workers
        self.serving: set[Channel] = set()  # of the workers that are at it now
        self.starved: set[int] = set()  # ran out of memory in a worker that was not fresh: one that is decides
        self.chunk = 4  # tasks that a worker is given at once
        for index, task in enumerate(tasks):
            payload, problem = _encoded(task, max_bytes)
            self.payloads.append(payload)
            if problem:
                self.settle(index, Outcome("error", detail=problem))
            else:
                self.pending.append(index)

    def settle(self, index: int, outcome: Outcome) -> None:
        """Gives a task its only outcome."""
        if self.outcomes[index] is None:
            self.outcomes[index] = outcome
            self.left -= 1
            if not self.left:
                self.finished.set()

    def take(self, most: int) -> list[int]:
        """The next tasks of a chunk, at most `most` and at least one."""
        chunk = [self.pending.popleft()]
        size = len(self.payloads[chunk[0]])
        while self.pending and len(chunk) < min(most, self.chunk) and chunk[0] not in self.starved:
            following = self.pending[0]
            size += len(self.payloads[following])
            if size > _MOST_BYTES or following in self.starved:
                break
            chunk.append(self.pending.popleft())
        return chunk

    def expire(self) -> None:
        """Settles what has not begun, where the time for all is over."""
        if self.end is not None and time.monotonic() >= self.end:
            detail = f"not begun within the {self.total_seconds:g} s for all {len(self.outcomes)} tasks (total_seconds)"
            while self.pending:
                self.settle(self.pending.popleft(), Outcome("timeout", detail=detail))

    def drop(self, error: str | None = None) -> None:
        """No further task of it is begun."""
        self.pending.clear()
        if error is not None and not self.finished.is_set():
            self.error = error
            self.finished.set()


def _encoded(task: tuple[Any, ...], max_bytes: int) -> tuple[bytes, str]:
    """A task as bytes, or why it cannot be handed over."""
    if not isinstance(task, (tuple, list)):
        return b"", f"TypeError: a task is the tuple of a call's arguments, not a {type(task).__name__}"
    try:
        payload = encode(tuple(task))
    except (TypeError, RecursionError, MemoryError, ValueError) as error:
        return b"", f"{type(error).__name__}: {error}"
    if len(payload) > max_bytes:
        return b"", f"ValueError: a task of {len(payload)} bytes; the most is {max_bytes} (max_bytes)"
    return payload, ""
