"""Running a model's program where it can do no harm: what every sandbox offers, and the way to one by its name.

    with_limits = Limits(wall_seconds=5)
    sandbox = open_sandbox("bubblewrap")              # tried out; SandboxError says what to do where it cannot work
    done = sandbox.run("print(int(input()) + 1)", b"41", limits=with_limits)
    done.status, done.stdout                          # ("exited", b"42\\n")

A sandbox says how a program ended and what it printed. It never says whether that is right: what was expected must not
enter the sandbox, and the comparison is the caller's. Ending with exit code 0 proves nothing either.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from riskpo.errors import ConfigError, SandboxError, unknown_name

ExecutionStatus = Literal[
    "exited",  # ended by itself with exit code 0
    "runtime_error",  # another exit code, or killed by a signal of its own making
    "compile_error",  # not a Python program: ended before its first line ran
    "timeout",  # wall clock or processor time used up
    "memory",  # ended for lack of memory, as far as can be told from outside
    "output_limit",  # printed more than it may; what it printed until then is kept
    "infra_error",  # the machinery failed: says nothing of the program
]
EXECUTION_STATUSES: tuple[ExecutionStatus, ...] = get_args(ExecutionStatus)
NAMES = ("bubblewrap", "unsafe-subprocess")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use. Whatever exceeds it fails or is killed.

    Args:
        wall_seconds: from its first line to its end; of a session from start to end.
        cpu_seconds: processor time of each process, all its threads together; rounded up to whole seconds.
        memory_mb: address space of each process in MiB, interpreter included.
        output_bytes: standard output, and again standard error; of a session all its output together.
        file_mb: its private folder in MiB, all files together, which is memory of the machine; 0 = it cannot write.
        processes: its processes and threads at any time, the program's first one included.
        open_files: files, pipes and sockets that a process may have open.
        child_processes: whether it may start processes at all; threads it always may. With this the memory at most
            used is `processes * memory_mb`.

    Raises:
        ConfigError: a limit that is not finite, or below what an interpreter needs to start.
    """

    wall_seconds: float = 10.0
    cpu_seconds: float = 10.0
    memory_mb: int = 1024
    output_bytes: int = 4 << 20
    file_mb: int = 16
    processes: int = 64
    open_files: int = 64
    child_processes: bool = False

    def __post_init__(self) -> None:
        least = {"memory_mb": 32, "output_bytes": 1, "file_mb": 0, "processes": 1, "open_files": 16}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in least:
                if not isinstance(value, int) or value < least[field.name]:
                    raise ConfigError(f"{field.name}={value!r}: a whole number, at least {least[field.name]}.")
            elif field.name != "child_processes" and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{field.name}={value!r}: a finite number of seconds above 0.")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Execution:
    """How one program ended on one input.

    Args:
        status: see `ExecutionStatus`. All but "exited" and "infra_error" are failures of the program; a program can
            choose among those (it may kill itself and look like "memory"), but it cannot look like "infra_error".
        stdout: what it printed, at most `output_bytes`; nothing vouches for its form or truth.
        stderr: the same of its standard error.
        exit_code: its own, or 128 + the signal that ended it; None where the sandbox ended it, or nothing ran.
        seconds: wall-clock time from its first line.
        detail: a sentence for a person who wonders.
    """

    status: ExecutionStatus
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int | None = None
    seconds: float = 0.0
    detail: str = ""


class Session(Protocol):
    """A running program that answers lines with lines."""

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """Sends a line and waits for one.

        Args:
            line: without the line's end.
            seconds: how long to wait, in wall-clock time; less where the limits of the session leave less.

        Returns:
            The next line that the program printed, without its end. What it printed unasked counts as an answer.

        Raises:
            SessionEnded: no answer; with the status. The session is over, and every later exchange raises the same.
            ValueError: a line with a line's end in it.
        """
        ...


@runtime_checkable
class Sandbox(Protocol):
    """What runs programs. Safe to call from any thread; can be pickled, and then works in the other process alike.

    Attributes:
        name: what tables and logs call it.
    """

    name: str

    def probe(self) -> None:
        """Tries it out: runs programs inside that try to get out, and some that use up too much.

        Raises:
            SandboxError: it does not work here or does not protect; says what to do.
        """
        ...

    def describe(self) -> str:
        """One line: which tools are used, and which protections are absent."""
        ...

    def run(
        self,
        program: str,
        stdin: bytes = b"",
        *,
        limits: Limits = DEFAULT_LIMITS,
        files: Mapping[str, bytes] = {},
    ) -> Execution:
        """Runs a Python program (standard library only) on one input, alone, from a clean state.

        Args:
            program: its source text.
            stdin: its standard input.
            limits: what it may use.
            files: put into its folder beforehand, by plain name.

        Returns:
            How it ended. Raises nothing for whatever the program does, nor where the machinery fails.

        Raises:
            ValueError: a name in `files` that is no plain name.
        """
        ...

    def session(self, program: str, *, limits: Limits = DEFAULT_LIMITS) -> AbstractContextManager[Session]:
        """A program that stays, for many questions to one state; it is killed where the context ends.

        Enter and leave it in one thread. A program that cannot be started shows at the first exchange.

        Raises:
            SandboxError: this sandbox has no sessions.
        """
        ...


def open_sandbox(name: str = "bubblewrap", *, probe: bool = True, **options: Any) -> Sandbox:
    """A sandbox by its name.

    Args:
        name: `bubblewrap`; the `http://` or `https://` address of a SandboxFusion server; or `unsafe-subprocess`, which
            protects from nothing.
        probe: try it out first (a second or so).
        options: of the sandbox's class, e.g. `parallel`, how many programs run at once.

    Raises:
        SandboxError: it does not work here, or does not protect.
        ConfigError: no such sandbox.
    """
    sandbox = _made(name, options)
    if probe:
        sandbox.probe()
    return sandbox


def _made(name: str, options: dict[str, Any]) -> Sandbox:
    if name in NAMES and sys.platform != "linux":
        raise SandboxError(
            f"the sandbox {name!r} needs Linux (5.4 or newer), and this is {sys.platform}. Give the address of a "
            "SandboxFusion server instead."
        )
    if name == "bubblewrap":
        from riskpo.rewards.sandboxes.bubblewrap import Bubblewrap

        return Bubblewrap(**options)
    if name == "unsafe-subprocess":
        from riskpo.rewards.sandboxes.unsafe import UnsafeSubprocess

        return UnsafeSubprocess(**options)
    if name.startswith(("http://", "https://")):
        from riskpo.rewards.sandboxes.fusion import SandboxFusion

        return SandboxFusion(name, **options)
    raise ConfigError(f"{unknown_name('sandbox', name, NAMES)} Or the http(s):// address of a SandboxFusion server.")


def check_files(files: Mapping[str, bytes]) -> None:
    """Raises ValueError for a name that could lead out of the program's folder."""
    for name in files:
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"file name {name!r}: a plain name, without folders.")


__all__ = [
    "DEFAULT_LIMITS",
    "EXECUTION_STATUSES",
    "NAMES",
    "Execution",
    "ExecutionStatus",
    "Limits",
    "Sandbox",
    "SandboxError",
    "Session",
    "check_files",
    "open_sandbox",
]
