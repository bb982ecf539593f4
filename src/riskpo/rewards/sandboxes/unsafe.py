"""Programs as plain subprocesses, for trusted programs and for comparison. No protection.

A program here can read and write whatever the caller can, reach the network, and leave processes behind. Limits on
time, output, memory and file size hold for programs that mean no harm.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import DEFAULT_LIMITS, Execution, Limits, check_files
from riskpo.rewards.sandboxes.descriptors import Descriptors
from riskpo.rewards.sandboxes.lines import LineSession
from riskpo.rewards.sandboxes.prelude import FLAGS, PRELUDE, forbid_core_dumps, payload_file, rlimits
from riskpo.rewards.sandboxes.supervise import START_SECONDS, Streams, Supervised

_warned = threading.Event()


class UnsafeSubprocess:
    """A sandbox in name only. Warns once in each process.

    `processes` and `child_processes` of the limits have no effect.

    Args:
        python: the interpreter for programs; default: the one that runs this.
        parallel: how many programs run at once, and how many sessions; further callers wait. Default: processors.
    """

    name = "unsafe-subprocess"

    def __init__(self, python: str | None = None, *, parallel: int | None = None) -> None:
        self._options: dict[str, Any] = {"python": python, "parallel": parallel}
        count = parallel or os.cpu_count() or 1
        self._slots, self._session_slots = threading.BoundedSemaphore(count), threading.BoundedSemaphore(count)
        if not _warned.is_set():
            _warned.set()
            warnings.warn(
                "the sandbox `unsafe-subprocess` protects from nothing: a program can do whatever its caller can. Use "
                "`bubblewrap` for whatever a model wrote.",
                stacklevel=3,
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(UnsafeSubprocess, **self._options), ()

    def run(
        self,
        program: str,
        stdin: bytes = b"",
        *,
        limits: Limits = DEFAULT_LIMITS,
        files: Mapping[str, bytes] = {},
    ) -> Execution:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        check_files(files)
        with self._slots, self._running(program, files, stdin, limits) as child:
            if isinstance(child, Execution):
                return child
            assert child.started is not None
            event = child.pump(child.started + limits.wall_seconds)
            return child.conclude(event, time.monotonic() - child.started)

    @contextlib.contextmanager
    def session(self, program: str, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[LineSession]:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        with self._session_slots, self._running(program, {}, None, limits) as child:
            session = LineSession(child, limits)
            try:
                yield session
            finally:
                session.close()

    def describe(self) -> str:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        return f"plain subprocess of {self._options['python'] or sys.executable}: NO PROTECTION"

    def probe(self) -> None:
        """Whether programs run; there is no protection to try out."""
        done = self.run("print(6 * 7)")
        if (done.status, done.stdout) != ("exited", b"42\n"):
            raise SandboxError(f"a program that prints 42 ended as {done.status}: {done.detail}")

    @contextlib.contextmanager
    def _running(
        self, program: str, files: Mapping[str, bytes], stdin: bytes | None, limits: Limits
    ) -> Iterator[Supervised | Execution]:
        with contextlib.ExitStack() as stack:
            child: Supervised | Execution
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="riskpo-", ignore_cleanup_errors=True))
                child = self._start(folder, program, files, stdin, limits)
                stack.callback(child.finish)
                if not child.wait_for_start(time.monotonic() + START_SECONDS):
                    child = child.not_started("the program did not start.")
            except OSError as error:
                child = Execution("infra_error", detail=f"the program does not start: {error}")
            yield child

    def _start(
        self, folder: str, program: str, files: Mapping[str, bytes], stdin: bytes | None, limits: Limits
    ) -> Supervised:
        with Descriptors() as open_files:
            payload = open_files.lend(payload_file(program, files, rlimits(limits, spare_processes=None)))
            progress, progress_out = open_files.pipe_from()
            streams, standard = Streams.make(open_files, stdin)
            process = subprocess.Popen(
                [
                    self._options["python"] or sys.executable,
                    *FLAGS,
                    "-c",
                    PRELUDE,
                    "0",
                    str(payload),
                    str(progress_out),
                ],
                **standard,
                cwd=folder,
                env={"LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder, "MALLOC_ARENA_MAX": "2"},
                pass_fds=(payload, progress_out),
                start_new_session=True,
            )
            open_files.ends_with(process)
            forbid_core_dumps(process.pid)
            return Supervised(process, streams, progress, limits, group=True)
