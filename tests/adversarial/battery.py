"""Runs hostile programs in a sandbox and looks for whatever got out. Without pytest: for any user's Python.

A program in `programs/` says in comments at its top what must become of it:

    # status: timeout memory       one of these
    # limits: wall_seconds=1.0     other than the default ones
    # prints: 42                   exactly that, outer blanks aside; b'...' = these very bytes

On its standard input it is told where an escape would be noticed: a file with a secret, a folder that everybody may
write to, and three listeners.

    python battery.py     # all of them, as whoever calls it; prints {name: [problem, ...]} as JSON
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import json
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

from riskpo.rewards.sandbox import Limits, Sandbox
from riskpo.rewards.sandboxes.bubblewrap import Bubblewrap

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("*.py"))
SECRET = "the-secret-of-the-house"
PATIENCE = 15.0  # seconds on top of its own that a program may take, on a busy machine


def header(source: str) -> dict[str, str]:
    """The fields at a program's top."""
    lines = [line[2:].partition(": ") for line in source.splitlines() if line.startswith("# ")]
    return {name: value for name, _, value in lines}


def limits_of(fields: dict[str, str]) -> Limits:
    pairs = [pair.split("=") for pair in fields.get("limits", "").split(", ") if pair]
    return Limits(**{name: ast.literal_eval(value) for name, value in pairs})


def adopt_orphans() -> None:
    """Makes every process that outlives its sandbox a child of this one, where it is seen."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def children() -> set[str]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(stat.parent.name)
    return found


def snapshot(folder: Path) -> dict[str, set[str]]:
    """What a call must leave as it was."""
    return {
        "processes": children(),
        "threads": {str(thread) for thread in threading.enumerate()} | set(os.listdir("/proc/self/task")),
        "descriptors": set(os.listdir("/proc/self/fd")),
        "temporary files": set(os.listdir(folder)),
    }


class Trap:
    """A folder and listeners outside, made so that an escape leaves a trace."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.outside.chmod(0o777)
        self.secret = folder / "secret"
        self.secret.write_text(SECRET, encoding="ascii")
        self.secret.chmod(0o666)
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.temporary.chmod(0o777)
        abstract = f"riskpo-{os.getpid()}-{time.monotonic_ns()}"
        self.listeners = [socket.create_server(("127.0.0.1", 0))]
        for address in ("\0" + abstract, str(self.outside / "socket")):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address)
            listener.listen()
            self.listeners.append(listener)
        (self.outside / "socket").chmod(0o777)
        port = self.listeners[0].getsockname()[1]
        told = {"secret": str(self.secret), "outside": str(self.outside), "port": port, "unix": abstract}
        self.told = json.dumps(told).encode() + b"\n"

    def sprung(self, printed: bytes) -> list[str]:
        """The traces."""
        problems = ["the secret was printed"] if SECRET.encode() in printed else []
        if self.secret.read_text() != SECRET:
            problems.append("the secret was overwritten")
        if strange := set(os.listdir(self.outside)) - {"socket"}:
            problems.append(f"files were written outside: {strange}")
        for listener in self.listeners:
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                problems.append(f"{listener.getsockname()!r} was called")
        return problems

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()


def run(sandbox: Sandbox, program: Path) -> list[str]:
    """Everything that is wrong with how the sandbox dealt with a program; best nothing."""
    with tempfile.TemporaryDirectory() as name:
        trap = Trap(Path(name))
        before_temporary, tempfile.tempdir = tempfile.tempdir, str(trap.temporary)
        try:
            return _run(sandbox, program, trap)
        finally:
            tempfile.tempdir = before_temporary
            trap.close()


def _run(sandbox: Sandbox, program: Path, trap: Trap) -> list[str]:
    source = program.read_text(encoding="utf-8")
    fields = header(source)
    limits = limits_of(fields)
    before, start = snapshot(trap.temporary), time.monotonic()
    done = sandbox.run(source, trap.told, limits=limits)
    seconds, after = time.monotonic() - start, snapshot(trap.temporary)
    problems = [f"left behind {kind}: {after[kind] ^ before[kind]}" for kind in before if after[kind] != before[kind]]
    problems += trap.sprung(done.stdout + done.stderr)
    if done.status not in fields["status"].split():
        problems.append(f"ended as {done.status}: {done.detail}")
    if "prints" in fields and not _same(done.stdout, fields["prints"]):
        problems.append(f"printed {done.stdout[:500]!r}; {done.stderr[-500:]!r}")
    if max(len(done.stdout), len(done.stderr)) > limits.output_bytes:
        problems.append("more output came back than allowed")
    if seconds > limits.wall_seconds + PATIENCE:
        problems.append(f"took {seconds:.1f} s")
    return problems


def _same(printed: bytes, wanted: str) -> bool:
    if wanted.startswith("b'"):
        return bool(printed == ast.literal_eval(wanted))
    return printed.decode("utf-8", "replace").strip() == wanted.strip()


def main() -> None:
    adopt_orphans()
    sandbox = Bubblewrap()
    sandbox.probe()
    problems = {program.stem: run(sandbox, program) for program in PROGRAMS}
    print(json.dumps({"users": os.getresuid(), "problems": problems}))


if __name__ == "__main__":
    main()
