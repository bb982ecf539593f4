"""What runs in a pool's processes: a server that has loaded the function once, and the workers that it forks.

The server has one thread, holds no task, and waits for its owner: a worker is forked in milliseconds, with everything
loaded. It ends the workers too, because it is their parent: no process id is used after its process was reaped.
This file is no place to run untrusted code in; it runs trusted functions on untrusted values.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from riskpo.rewards.worker_wire import LOADING, RETURNED, Channel, decode, encode

_SLICE = 0.02  # seconds; a worker begins no further task of its chunk after these
_REAP_SECONDS = 1.0  # an idle server looks this often for dead processes that a worker at work has left
_SLACK = 256 << 20  # bytes of address space for saying that memory ran out
_DETAIL = 2000  # characters of an exception's message
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(control_fd: int) -> None:
    """The server: loads the function, says so, then forks and ends workers until its owner is gone."""
    control = Channel(socket.socket(fileno=control_fd), largest=1 << 20)
    os.set_inheritable(control_fd, False)
    config = decode(control.receive())
    del sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner's business
    signal.signal(signal.SIGTERM, _leave)
    _die_with(config["owner"], signal.SIGTERM)  # a signal that leaves time to end the workers with all they started
    os.environ[LOADING] = "1"
    try:
        function = _load(config)
    except BaseException:  # noqa: BLE001 (whatever a module raises at import is the owner's to hear)
        control.send(encode(("failed", traceback.format_exc())))
        return
    del os.environ[LOADING]
    os.dup2(1, 2)  # messages of the start are over: standard error goes where standard output goes, to nowhere
    gc.collect()
    gc.freeze()  # a collection in a worker would copy the pages that it shares with the server
    control.send(encode(("ready", "")))
    _Server(control, function, config).run()


def _load(config: dict[str, Any]) -> Callable[..., Any]:
    function = _named(config["function"])
    if config["initializer"] is not None:
        _named(config["initializer"])()
    if sys.platform == "linux":
        threads = len(os.listdir("/proc/self/task"))
        if threads > 1:
            raise RuntimeError(
                f"loading {config['function']!r} left {threads - 1} threads running: a process with threads cannot be "
                "forked safely. Start them inside the function."
            )
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        if config["memory_mb"] is not None and used > 0.9 * config["memory_mb"] * 2**20:
            raise MemoryError(
                f"{config['function']!r} needs {used / 2**20:.0f} MiB of address space once loaded: memory_mb="
                f"{config['memory_mb']} leaves nothing to work with. Raise it."
            )
    return function


def _named(name: str) -> Callable[..., Any]:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{name!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _leave(number: int, frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _die_with(parent: int, number: signal.Signals) -> None:
    """Asks the kernel for a signal when the parent dies. Elsewhere than on Linux the end of the socket has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it died before it was asked
        os._exit(1)


# --- the server ---


class _Server:
    def __init__(self, control: Channel, function: Callable[..., Any], config: dict[str, Any]) -> None:
        self._control = control
        self._function = function
        self._config = config
        self._workers: set[int] = set()
        if sys.platform == "linux":  # what a worker leaves behind becomes a child of this process, and is ended
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._helpers = set(_children())  # what loading the function started, for all workers

    def run(self) -> None:
        try:
            while True:
                try:
                    request, fd = self._control.receive_fd(_REAP_SECONDS)
                except TimeoutError:
                    self._reap_orphans()
                    continue
                pid = int(request)
                if fd is None:
                    self._control.send(encode(self._end(pid)))
                    continue
                self._control.send(encode(self._fork(fd)))
        except (EOFError, OSError):
            pass  # the owner is gone
        finally:
            for pid in list(self._workers):
                self._end(pid)
            self._helpers.clear()
            self._end_orphans()

    def _fork(self, fd: int) -> tuple[int, str]:
        """Forks a worker that talks over `fd`; its process id, or 0 and why there is none."""
        server = os.getpid()
        os.set_inheritable(fd, False)
        try:
            pid = os.fork()
        except OSError as error:
            pid, failure = -1, f"{type(error).__name__}: {error}"
        if pid:
            os.close(fd)
        if pid > 0:
            self._workers.add(pid)
            return pid, ""
        if pid < 0:
            return 0, failure
        code = 1
        try:
            self._control.close()
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _die_with(server, signal.SIGKILL)
            _limit(self._config["memory_mb"])
            _work(Channel(socket.socket(fileno=fd), largest=2**32), self._function, self._config["max_bytes"])
            code = 0
        finally:
            os._exit(code)

    def _end(self, pid: int) -> tuple[int, int]:
        """Kills a worker with its process group and whatever it left; its wait status and peak memory in bytes."""
        if pid not in self._workers:
            return 0, 0
        os.kill(pid, signal.SIGKILL)  # a dead one stays a zombie until here, so the id is still its own
        with contextlib.suppress(ProcessLookupError, PermissionError):  # ended before it had a group of its own
            os.killpg(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self._workers.discard(pid)
        self._end_orphans()
        return status, usage.ru_maxrss * (1024 if sys.platform == "linux" else 1)

    def _end_orphans(self) -> None:
        while orphans := self._orphans():
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _reap_orphans(self) -> None:
        """Of the dead ones only: a living one may belong to a worker that is at work."""
        for pid in self._orphans():
            os.waitpid(pid, os.WNOHANG)

    def _orphans(self) -> list[int]:
        return [pid for pid in _children() if pid not in self._workers and pid not in self._helpers]


def _children() -> list[int]:
    """The process ids of this process's children, dead ones included; on Linux only."""
    if sys.platform != "linux":
        return []
    me = os.getpid()
    try:
        return [int(pid) for pid in _content(f"/proc/{me}/task/{me}/children").split()]
    except OSError:  # a kernel without the list: every process is asked for its parent
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == me]


def _parent(pid: str) -> int:
    try:
        stat = _content(f"/proc/{pid}/stat")
    except OSError:  # ended meanwhile
        return 0
    return int(stat[stat.rindex(b")") :].split(None, 3)[2])  # the name of a program may hold blanks and brackets


def _content(path: str) -> bytes:
    """A file of /proc, read the shortest way: there may be thousands."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


# --- a worker ---


def _limit(memory_mb: int | None) -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        # One byte: no dump, nor a program of the machine's to receive one, as 0 would have; and a sandbox that a worker
        # opens cannot raise it from 0.
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    with contextlib.suppress(OSError):  # absent off Linux. A machine out of memory kills a worker, not the trainer
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if memory_mb is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    top = memory_mb * 2**20 + _SLACK
    top = top if hard == resource.RLIM_INFINITY else min(top, hard)
    resource.setrlimit(resource.RLIMIT_AS, (min(memory_mb * 2**20, top), top))


def _work(channel: Channel, function: Callable[..., Any], max_bytes: int) -> None:
    """Runs chunks of tasks, one result a frame, until the owner is gone."""
    channel.send(b"")  # up and limited
    while True:
        try:
            chunk: list[bytes] = pickle.loads(channel.receive())
            begun = time.monotonic()
            for position, task in enumerate(chunk):
                if position and time.monotonic() - begun > _SLICE:
                    channel.send(RETURNED)
                    break
                channel.send(_result(function, task, max_bytes))
        except (EOFError, OSError):
            return


def _result(function: Callable[..., Any], task: bytes, max_bytes: int) -> bytes:
    """The encoded outcome of one task: status, value, detail, seconds."""
    begun = time.perf_counter()
    try:
        value = function(*decode(task))
        result = encode(("done", value, "", time.perf_counter() - begun))
        if len(result) <= max_bytes:
            return result
        status, detail = "error", f"ValueError: a result of {len(result)} bytes; the most is {max_bytes}"
    except MemoryError as error:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))  # the owner ends this worker next
        status, detail = "memory", _described(error)
    except BaseException as error:  # noqa: BLE001 (SystemExit and the like are outcomes too)
        status, detail = "error", _described(error)
    return encode((status, None, detail, time.perf_counter() - begun))


def _described(error: BaseException) -> str:
    try:
        message = f"{error}"[:_DETAIL]
    except BaseException as worse:  # noqa: BLE001 (an exception's own text may fail in any way)
        message = f"(its message raised {type(worse).__name__})"
    return f"{type(error).__name__}: {message}"
