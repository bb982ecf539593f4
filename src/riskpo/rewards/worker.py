"""A pool of worker processes that can be killed: for trusted functions on untrusted values.

Computer algebra hangs on a power tower inside C code, where no signal handler and no thread can end it; only SIGKILL
does. Why no library: in loky one dead worker breaks every pending task, and no task has a time limit; pebble's workers
share one locked pipe, so that a worker killed while it holds the lock breaks the pool, and as with multiprocessing it
either forks the trainer (threads, CUDA) or runs its `__main__` again.

A worker is no sandbox: it protects from hangs, memory and crashes, not from code that means harm.
"""

from __future__ import annotations

import functools
import math
import os
import re
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from riskpo.errors import ConfigError
from riskpo.rewards.worker_engine import Engine
from riskpo.rewards.worker_job import Job, Outcome
from riskpo.rewards.worker_process import ServerConfig

__all__ = ["Outcome", "WorkerPool"]

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_POOLS: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


class WorkerPool:
    """Runs a function, named "package.module:function", in worker processes that can be killed.

    Nothing starts before the first `map`. Safe to use from any thread. A pickled or copied pool, and a pool in a forked
    child, is one of the same options with processes of its own. Processes, threads and files are gone after `close`,
    when the pool is collected and when the interpreter ends; the processes also when this one is killed.

    The function is loaded once, in a server process that forks the workers, with this process's `sys.path` and without
    its `__main__`; what it prints goes nowhere. It gets arguments of plain types (None, bool, int, float, str, bytes,
    list, tuple, dict, set, frozenset; no subclasses) and returns a value of plain types. A worker that is killed takes
    its process group with it, and whatever else it started.

    Args:
        function: what to run on each task, e.g. `riskpo.rewards.symbolic:compare`.
        workers: processes at work at once.
        seconds: wall-clock time for each task.
        memory_mb: address space of a worker in MiB, what it has loaded included; None = no cap.
        initializer: a function without arguments, named likewise, that runs once before the first worker is forked,
            e.g. to warm caches. It must leave no thread running.
        recycle_after: tasks after which a worker is replaced; None = never.
        max_bytes: of one task and of one result, encoded; a larger one is an `error`.
        start_seconds: for loading the function.
        environment: variables for the workers, which see hardly any of this process's.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        function: str,
        *,
        workers: int = 2,
        seconds: float = 5.0,
        memory_mb: int | None = 2048,
        initializer: str | None = None,
        recycle_after: int | None = 10_000,
        max_bytes: int = 16 * 2**20,
        start_seconds: float = 120.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        for name in (function,) if initializer is None else (function, initializer):
            if not _NAME.fullmatch(name):
                raise ConfigError(f'{name!r} names no function. Write it as "package.module:function".')
        _check(workers=workers, seconds=seconds, max_bytes=max_bytes, start_seconds=start_seconds)
        _check(**{k: v for k, v in {"memory_mb": memory_mb, "recycle_after": recycle_after}.items() if v is not None})
        self.function = function
        self.workers = workers
        self.seconds = seconds
        self.memory_mb = memory_mb
        self.initializer = initializer
        self.recycle_after = recycle_after
        self.max_bytes = max_bytes
        self.start_seconds = start_seconds
        self.environment = dict(environment or {})
        self._closed = False
        self._renew()
        _POOLS.add(self)

    def map(
        self, tasks: Sequence[tuple[Any, ...]], *, seconds: float | None = None, total_seconds: float | None = None
    ) -> list[Outcome]:
        """One outcome for each task, in their order, whatever becomes of the workers.

        A task that ends its worker is tried again in fresh ones, three times at most, and oftener where SIGKILL ended
        them, which mostly comes from outside; so a task may run more than once. Callers in different threads take
        turns. Where every task hangs, this takes about tasks / workers x seconds.

        Args:
            tasks: the arguments of each call.
            seconds: wall-clock time for each task of this call, where it differs from the pool's.
            total_seconds: for all of them: a task that has not begun by then is a `timeout`.

        Raises:
            WorkerError: no worker can be started, with its traceback, or the pool is closed.
        """
        _check(**{k: v for k, v in {"seconds": seconds, "total_seconds": total_seconds}.items() if v is not None})
        limit = self.seconds if seconds is None else seconds
        return self._engine.run(Job(tasks, limit, total_seconds, self.max_bytes))

    def pids(self) -> list[int]:
        """The process ids of the workers that exist now, idle ones included."""
        return self._engine.pids()

    def close(self) -> None:
        """Ends workers and threads, and whatever they are doing; a `map` under way raises. There is no way back."""
        self._closed = True
        self._finalizer()

    def _renew(self) -> None:
        config = ServerConfig(
            self.function, self.initializer, self.memory_mb, self.max_bytes, self.start_seconds, self.environment
        )
        self._engine = Engine(config, self.workers, self.recycle_after)
        self._finalizer = weakref.finalize(self, self._engine.close)

    def _renew_in_child(self) -> None:
        """Threads and processes are the parent's, and its locks may be held by threads that do not exist here."""
        self._finalizer.detach()
        self._renew()
        if self._closed:
            self._finalizer()

    def _options(self) -> dict[str, Any]:
        names = ("workers", "seconds", "memory_mb", "initializer", "recycle_after", "max_bytes", "start_seconds")
        return {**{name: getattr(self, name) for name in names}, "environment": self.environment}

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(WorkerPool, **self._options()), (self.function,)

    def __repr__(self) -> str:
        return f"WorkerPool({self.function!r}, workers={self.workers}, seconds={self.seconds:g})"

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check(**options: float) -> None:
    for name, value in options.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name}={value!r}: must be above 0 and finite.")
        if not name.endswith("seconds") and not isinstance(value, int):
            raise ConfigError(f"{name}={value!r}: must be an integer.")


def _renew_pools() -> None:
    for pool in list(_POOLS):
        pool._renew_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_pools)
