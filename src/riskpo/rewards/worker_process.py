"""The processes of a pool as the trainer's process sees them: a server that forks workers, and the workers.

The server is a fresh interpreter, so it runs neither the trainer's `__main__` nor a fork of the trainer's threads and
CUDA context. It gets the same `sys.path` and a bare environment: no accelerator, one thread, no secrets.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from riskpo.errors import WorkerError
from riskpo.rewards.worker_wire import LOADING, Channel, decode, encode

_KEPT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
_SET = {
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # sets in one order in every worker: a verdict does not depend on who gave it
}
# The path of the modules is set before anything is imported: no folder of this package may hide the standard library.
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from riskpo.rewards.worker_main import main; main(int(sys.argv[1]))"
_ANSWER_SECONDS = 30.0  # for a fork or an end; both take milliseconds

# Sockets are opened, and handed over, under this lock, and no fork of this process falls in between: a copy in a child
# that nobody closes would hide the end of a worker.
_OPENING = threading.RLock()
_SERVERS: weakref.WeakSet[Server] = weakref.WeakSet()


@dataclass(frozen=True)
class ServerConfig:
    """What a server needs to know; the names as in `WorkerPool`."""

    function: str
    initializer: str | None
    memory_mb: int | None
    max_bytes: int
    start_seconds: float
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker ended.

    Args:
        how: in words.
        killed: by SIGKILL: from outside, as a rule.
        peak: of its resident memory, in bytes.
    """

    how: str
    killed: bool
    peak: int


class ServerLostError(Exception):
    """The server is gone, and with it every worker that it forked."""


class Worker:
    """One worker process.

    Attributes:
        pid: its process id, valid until `Server.end`.
        done: how many tasks it has finished.
    """

    def __init__(self, server: Server, channel: Channel, pid: int) -> None:
        self.server = server
        self.channel = channel
        self.pid = pid
        self.done = 0


class Server:
    """The process that loads the function once and forks workers. Not thread-safe, `interrupt` excepted.

    To be made in a thread that outlives it: the kernel takes the end of a process's starting thread for its parent's.

    Raises:
        WorkerError: no process can be started here.
    """

    def __init__(self, config: ServerConfig) -> None:
        if os.name != "posix":
            raise WorkerError("worker processes need a POSIX system (Linux, or macOS): this one cannot fork.")
        if not sys.executable:
            raise WorkerError("worker processes need an interpreter to run, and sys.executable is empty.")
        if LOADING in os.environ:
            raise WorkerError(
                f"a pool for {config.function!r} is used by a module that a worker is just loading: every worker would "
                "start workers. Put the function into a module that does nothing when it is imported."
            )
        self._config = config
        self.workers: dict[int, Worker] = {}
        try:
            self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (until `load`, or `close`)
            with contextlib.ExitStack() as opened, _OPENING:
                opened.enter_context(self._messages)
                ours, theirs = socket.socketpair()
                opened.enter_context(ours)
                self._control = Channel(ours, largest=1 << 24)
                with theirs:
                    self._process = _launch(theirs.fileno(), config, self._messages)
                opened.pop_all()
                _SERVERS.add(self)
        except OSError as error:
            raise WorkerError(f"no process can be started for {config.function!r}: {error}") from error

    def load(self) -> None:
        """Waits until the function is loaded.

        Raises:
            WorkerError: it cannot be, or not within `start_seconds`; with the server's traceback. The server is closed.
        """
        config = self._config
        try:
            self._control.send(encode(_told(config)), config.start_seconds)
            state, text = decode(self._control.receive(config.start_seconds))
        except (OSError, EOFError, ValueError) as error:
            self._messages.seek(0)
            text = self._messages.read().decode("utf-8", "replace")[-10_000:] or f"{type(error).__name__}: {error}"
            self.close(wait=0.0)
            late = f" within {config.start_seconds:g} s (start_seconds)" if isinstance(error, TimeoutError) else ""
            raise WorkerError(f"no worker for {config.function!r} has started{late}. It said:\n{text}") from error
        if state != "ready":
            self.close()
            raise WorkerError(f"no worker for {config.function!r} can be started. Its own traceback:\n{text}")
        self._messages.close()

    def fork(self) -> Worker:
        """A new worker, ready for tasks.

        Raises:
            ServerLostError: the server is gone.
            OSError: the system has no process or file for it now, or it ended before its first task.
        """
        with _OPENING:
            ours, theirs = socket.socketpair()
            channel = Channel(ours, self._config.max_bytes + 10_000)
            worker = Worker(self, channel, pid=0)
            self.workers[-id(worker)] = worker  # so that a child of this process closes its copy
            try:
                with theirs:
                    self._control.send(b"0", _ANSWER_SECONDS, fd=theirs.fileno())
            except OSError as error:
                self._forget(worker, -id(worker))
                raise ServerLostError from error
        try:
            worker.pid, failure = decode(self._answer())
        except ServerLostError:
            self._forget(worker, -id(worker))
            raise
        self.workers.pop(-id(worker), None)
        if failure:
            channel.close()
            raise BlockingIOError(failure)
        self.workers[worker.pid] = worker
        try:
            channel.receive(_ANSWER_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            raise ChildProcessError(f"it ended before its first task by {self.end(worker).how}") from error
        return worker

    def end(self, worker: Worker) -> Ending:
        """Kills a worker with its process group, dead or alive; how it ended.

        Raises:
            ServerLostError: the server is gone. The worker is too.
        """
        self._forget(worker, worker.pid)
        try:
            self._control.send(b"%d" % worker.pid, _ANSWER_SECONDS)
        except OSError as error:
            raise ServerLostError from error
        status, peak = decode(self._answer())
        if not os.WIFSIGNALED(status):
            return Ending(f"exit code {os.WEXITSTATUS(status)}", killed=False, peak=peak)
        number = os.WTERMSIG(status)
        return Ending(f"signal {number} ({signal.strsignal(number)})", number == signal.SIGKILL, peak)

    def interrupt(self) -> None:
        """Ends whatever waits for the server or a worker, from any thread; then only `close` may be called."""
        self._control.interrupt()
        for worker in list(self.workers.values()):
            worker.channel.interrupt()

    def close(self, wait: float = 10.0) -> None:
        """Ends the server and every worker; returns when they are gone.

        Args:
            wait: seconds for the server to end its workers by itself before it is killed.
        """
        self._control.close()
        self._messages.close()
        try:
            self._process.wait(wait)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for worker in list(self.workers.values()):
            worker.channel.interrupt()  # whoever reads from it closes it
            if sys.platform != "linux" and worker.pid:  # nothing there kills the children of a killed server
                _kill_group(worker.pid)
        _SERVERS.discard(self)

    def abandon(self) -> None:
        """In a forked child: closes the copies of the parent's sockets and touches nothing else."""
        self._control.close()
        self._messages.close()
        for worker in self.workers.values():
            worker.channel.close()
        self._process.returncode = 0  # not this process's child: nothing to wait for

    def _forget(self, worker: Worker, key: int) -> None:
        self.workers.pop(key, None)
        worker.channel.close()

    def _answer(self) -> bytes:
        try:
            return self._control.receive(_ANSWER_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            raise ServerLostError from error


def _told(config: ServerConfig) -> dict[str, Any]:
    return {
        "owner": os.getpid(),
        "function": config.function,
        "initializer": config.initializer,
        "memory_mb": config.memory_mb,
        "max_bytes": config.max_bytes,
    }


def _launch(fd: int, config: ServerConfig, messages: IO[bytes]) -> subprocess.Popen[bytes]:
    kept = {name: text for name, text in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, str(fd), *_search_path()],
        env={**kept, **_SET, **config.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=messages,
        pass_fds=[fd],
        start_new_session=True,  # Ctrl-C in the terminal is for the trainer
    )


def _search_path() -> list[str]:
    """`sys.path`, with the current folder by its name."""
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        here = ""
    return [path for path in (entry or here for entry in sys.path if isinstance(entry, str)) if path]


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _abandon_servers() -> None:
    _OPENING.release()
    for server in list(_SERVERS):
        server.abandon()
    _SERVERS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_OPENING.acquire, after_in_parent=_OPENING.release, after_in_child=_abandon_servers)
