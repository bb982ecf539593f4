"""Watching one untrusted process from outside: its pipes read within bounds, its time counted, its end made sure of.

No threads: the caller's own waits for whatever happens next.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple, TypedDict

from riskpo.rewards.sandbox import Execution, ExecutionStatus, Limits
from riskpo.rewards.sandboxes.descriptors import Descriptors
from riskpo.rewards.sandboxes.prelude import COMPILED, STARTED, memory_file

Event = Literal["stopped", "ended", "deadline", "output_limit"]
START_SECONDS = 30.0  # until a program runs, on a machine that is busy
_CHUNK = 1 << 16
_KILL_SECONDS = 60.0  # a million empty files take some seconds to clear away


class _Standard(TypedDict):
    stdin: int
    stdout: int
    stderr: int


class Streams(NamedTuple):
    """The ends of a process's standard streams that stay here; without `stdin` its input is a file."""

    stdin: int | None
    stdout: int
    stderr: int

    @classmethod
    def make(cls, open_files: Descriptors, stdin: bytes | None) -> tuple[Streams, _Standard]:
        """Streams, and their other ends as options of `Popen`.

        Args:
            open_files: where both are held until the process has started.
            stdin: the whole input, as a file: it ends even if a stranger's process inherits what is open here. None =
                a pipe, to be written to as the process runs.
        """
        kept = None
        if stdin is None:
            kept, given = open_files.pipe_to()
        else:
            given = open_files.lend(memory_file(stdin))
        stdout, stdout_in = open_files.pipe_from()
        stderr, stderr_in = open_files.pipe_from()
        return cls(kept, stdout, stderr), {"stdin": given, "stdout": stdout_in, "stderr": stderr_in}


class Supervised:
    """A process with pipes for its three standard streams, which reports its progress on a fourth.

    Args:
        process: just started; from now on it belongs to this object, and the descriptors do too.
        streams: its standard streams.
        progress: the reading end of what `prelude` reports on.
        limits: the program's.
        group: whether the process leads a process group, which is killed with it.

    Attributes:
        init: a descriptor of the process (pidfd) whose end is the end of all others in the sandbox, if there is one.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        streams: Streams,
        progress: int,
        limits: Limits,
        *,
        group: bool = False,
    ) -> None:
        self._process, self._group, self.limits = process, group, limits
        self._outbox = memoryview(b"")
        self.init: int | None = None
        self.stdout, self.stderr, self.progress = bytearray(), bytearray(), bytearray()
        self.taken = 0  # bytes of standard output that `take_line` has handed out
        self.started: float | None = None  # when the program's time began
        self.alive_after_kill = False
        self._searched = 0
        self._stdin = streams.stdin
        self._readers = {streams.stdout: self.stdout, streams.stderr: self.stderr, progress: self.progress}
        self._progress = progress
        self._pidfd = os.pidfd_open(process.pid)
        self._open = [each for each in (*streams, progress, self._pidfd) if each is not None]
        self._poll = select.poll()
        for descriptor in self._open[:-1]:
            os.set_blocking(descriptor, False)
        for descriptor in (*self._readers, self._pidfd):
            self._poll.register(descriptor, select.POLLIN)
        self._finished = False

    @property
    def over(self) -> bool:
        """Whether it printed more than it may."""
        most = self.limits.output_bytes
        return self.taken + len(self.stdout) > most or len(self.stderr) > most

    @property
    def has_started(self) -> bool:
        """Whether the sandbox stands, and the program is about to run or has run."""
        return STARTED in self.progress

    def send(self, data: bytes) -> None:
        """Input for the process's pipe; what does not fit at once is written while `pump` runs."""
        self._outbox = memoryview(bytes(self._outbox) + data)
        self._write()

    def take_line(self) -> bytes | None:
        """The next whole line of standard output, without its end, or None."""
        end = self.stdout.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self.stdout)
            return None
        line = bytes(self.stdout[:end])
        del self.stdout[: end + 1]
        self.taken += end + 1
        self._searched = 0
        return line

    def pump(self, until: float, stop: Callable[[], bool] = lambda: False) -> Event:
        """Passes bytes until `stop()`, the process's end, too much output, or the deadline (of `time.monotonic`)."""
        while not stop():
            left = until - time.monotonic()
            if left <= 0:
                return "deadline"
            if self._finished:
                return "ended"
            ended = False
            for descriptor, _ in self._poll.poll(left * 1000 + 1):
                if descriptor == self._stdin:
                    self._write()
                elif descriptor == self._pidfd:
                    ended = True
                else:
                    self._read(descriptor)
            if self.over:
                return "output_limit"
            if ended:
                return "ended"
        return "stopped"

    def finish(self) -> None:
        """Kills whatever is left of it, waits until that is gone, and takes in what is still in the pipes.

        Sets `alive_after_kill` where the kernel could not end it in time.
        """
        if self._finished:
            return
        self._finished = True
        try:
            self._kill()
            for descriptor in list(self._readers):
                while self._read(descriptor) and not self.over:
                    pass
        finally:
            self._close()

    def wait_for_start(self, until: float) -> bool:
        """Waits until the sandbox stands; where it never does, what there is of it is finished."""
        if self.pump(until, lambda: self.has_started) == "stopped":
            return True
        self.finish()
        return self.has_started  # started, and ended at once

    def conclude(self, event: Event, seconds: float) -> Execution:
        """Ends what still runs, and says how the program ended.

        Args:
            event: what ended the watch; the program has started before.
            seconds: its time.
        """
        self.finish()
        most = self.limits.output_bytes
        status, detail, code = self._ending(event, seconds)
        if self.alive_after_kill:  # no reason for another status: a program might be able to bring this about
            detail = f"{detail} A process of it did not end within {_KILL_SECONDS:g} s of being killed.".strip()
            warnings.warn(f"a program in a sandbox ({status}): {detail}", RuntimeWarning, stacklevel=2)
        return Execution(status, bytes(self.stdout[:most]), bytes(self.stderr[:most]), code, seconds, detail)

    def not_started(self, detail: str) -> Execution:
        """Ends what still runs; the machinery failed before the program's first line."""
        self.finish()
        return Execution("infra_error", detail=f"{detail} {_last_line(self.stderr)}".strip())

    def program_exit_code(self) -> int | None:
        """The program's, of a finished process, from a source that the program cannot write to; None = it is silent."""
        code = self._process.returncode
        return 128 - code if code is not None and code < 0 else code

    def _ending(self, event: Event, seconds: float) -> tuple[ExecutionStatus, str, int | None]:
        if self.over:
            return "output_limit", f"printed more than {self.limits.output_bytes} bytes.", None
        if event == "deadline":
            return "timeout", f"did not end within {seconds:.2f} s.", None
        code = self.program_exit_code()
        if code is None:
            return "infra_error", "what runs the program was itself killed.", None
        if COMPILED not in self.progress:
            return "compile_error", f"does not compile: {_last_line(self.stderr)}", code
        return ("exited", "", 0) if code == 0 else (*_failure(code, self.stderr, seconds, self.limits), code)

    def _kill(self) -> None:
        if self.init is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.init, signal.SIGKILL)
        if self._group and self._process.returncode is None:  # not reaped yet: the group's number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        try:
            self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.alive_after_kill = True
        if self.init is not None:
            gone = select.poll()
            gone.register(self.init, select.POLLIN)
            self.alive_after_kill |= not gone.poll(_KILL_SECONDS * 1000)
            # A caller that is the first process of a container, or adopts orphans, has inherited it and must bury it.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.init, os.WEXITED | os.WNOHANG)

    def _close(self) -> None:
        self._stdin = None  # these numbers may soon be other files': nothing here may use them again
        self._readers.clear()
        for descriptor in (*self._open, *([] if self.init is None else [self.init])):
            os.close(descriptor)

    def _read(self, descriptor: int) -> bool:
        """Takes in what is there; False at the stream's end, or where there is nothing for now."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        self._readers[descriptor] += data
        if not data:
            self._poll.unregister(descriptor)
            del self._readers[descriptor]
        elif descriptor == self._progress and self.started is None:
            self.started = time.monotonic()
        return bool(data)

    def _write(self) -> None:
        """Writes what fits; polls for the rest; what nobody will read is dropped."""
        if self._stdin is None:
            return
        try:
            while self._outbox:
                self._outbox = self._outbox[os.write(self._stdin, self._outbox[:_CHUNK]) :]
        except BlockingIOError:
            self._poll.register(self._stdin, select.POLLOUT)
            return
        except BrokenPipeError:
            self._outbox = memoryview(b"")
        with contextlib.suppress(KeyError):
            self._poll.unregister(self._stdin)


_START_SECONDS = 0.5


def _failure(code: int, stderr: bytes | bytearray, seconds: float, limits: Limits) -> tuple[ExecutionStatus, str]:
    """A name for how a program failed. It can have arranged for any of these; all score alike, so nothing is gained."""
    # The kernel counts the interpreter's own start as well, which `seconds` leaves out.
    used = seconds + _START_SECONDS >= limits.cpu_seconds
    if code == 128 + signal.SIGXCPU or (code == 128 + signal.SIGKILL and used):
        return "timeout", f"used its {limits.cpu_seconds:g} s of processor time."
    if code == 128 + signal.SIGKILL:
        return "memory", "killed, as the kernel does where memory runs out."
    last = _last_line(stderr)
    if last.startswith("MemoryError"):
        return "memory", f"more memory than {limits.memory_mb} MiB: {last}"
    if code > 128:
        with contextlib.suppress(ValueError):
            return "runtime_error", f"ended by {signal.Signals(code - 128).name}."
    return "runtime_error", f"exit code {code}: {last}" if last else f"exit code {code}."


def _last_line(text: bytes | bytearray) -> str:
    lines = text[-2000:].decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
