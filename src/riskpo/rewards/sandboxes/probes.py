"""Trying a bubblewrap sandbox out: programs that try to get out or to use too much, and what to do where it fails."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import Limits, Sandbox
from riskpo.rewards.sandboxes.jail import Setup
from riskpo.rewards.sandboxes.seccomp import denied

ALTERNATIVES = (
    "Or give the address of a SandboxFusion server instead of `bubblewrap`. Or, for programs that you trust as your "
    "own and for no others, `unsafe-subprocess`: there a program can do whatever its caller can."
)
_NAMESPACES = (
    "This machine does not allow new namespaces. In Docker or Podman: run the container with `--security-opt "
    "seccomp=unconfined --security-opt apparmor=unconfined` (or with a profile that allows clone, unshare, mount and "
    "pivot_root). On the host itself: `sysctl kernel.unprivileged_userns_clone=1` (Debian), `sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0` or an AppArmor profile for bwrap (Ubuntu 24.04), `sysctl "
    "user.max_user_namespaces=10000` (RHEL)."
)
# What a failed start says, and the way out of it. The first that fits counts.
_WAYS_OUT = (
    ("no usable bubblewrap", ""),
    (
        "cannot map a second user",
        "The caller is root without the right to map users (CAP_SETUID, CAP_SETGID, CAP_SETFCAP), or this container "
        "has no user 65534. Give it those, or call as another user than root.",
    ),
    ("PR_SET_SECCOMP", "The kernel takes no filter of system calls; seccomp=False leaves it out (docs/security.md)."),
    ("No space left on device", "The limit on user namespaces is reached: raise `sysctl user.max_user_namespaces`."),
    ("Resource temporarily unavailable", "The caller's limit on processes is reached: raise `ulimit -u`."),
    ("uid map", _NAMESPACES),
    ("Creating new namespace", _NAMESPACES),
    ("namespace", _NAMESPACES),
    ("Operation not permitted", _NAMESPACES),
    ("Permission denied", "Something that the interpreter needs cannot be read by the caller; see the path named."),
    ("source path", "The interpreter's files are not where it says; give another one as `python=`."),
    ("execvp", "The interpreter does not start inside; give another one as `python=`."),
)

# Reports on itself, as JSON: what it can reach that it must not. The paths and addresses come from outside.
_LOOK = """
import ctypes, json, os, socket, sys
asked = json.loads(sys.stdin.readline())
def works(function, *args):
    try: function(*args)
    except BaseException: return False
    return True
def read(path):
    os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
def write(path):
    open(path, "ab").close()
def connect(address):
    with socket.socket() as s:
        s.settimeout(2)
        s.connect(tuple(address))
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(number, *args):
    ctypes.set_errno(0)
    libc.syscall(number, *args, 0, 0, 0, 0)
    return ctypes.get_errno()
print(json.dumps({
    "users": os.getresuid(),
    "groups": [*os.getresgid(), *os.getgroups()],
    "read": [path for path in asked["read"] if works(read, path)],
    "written": [path for path in asked["write"] if works(write, path)],
    "reached": [address for address in asked["connect"] if works(connect, address)],
    "environment": sorted(os.environ),
    "descriptors": [number for number in range(3, 1024) if works(os.fstat, number)],
    "root": works(os.setuid, 0) or works(os.setgroups, []),
    "calls": {name: errno_of(number, 0, 0) for name, (number, _) in asked["calls"].items()},
    "fork": works(lambda: os.fork() or os._exit(0)),
}))
"""
# Tries to use more than it may; prints what it got.
_USE = """
import resource, threading
def works(name, function):
    try: function()
    except (MemoryError, OSError, ValueError, RuntimeError): return
    print(name)
def write():
    with open("large", "wb") as file:
        for _ in range(8): file.write(bytes(1 << 20))
def many_files():
    for number in range(8):
        with open(f"file{number}", "wb") as file: file.write(bytes(1 << 20))
def threads():
    wait = threading.Event()
    try:
        for _ in range(50): threading.Thread(target=wait.wait, daemon=True).start()
    finally: wait.set()
def raise_limit():
    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit + 1))
works("memory", lambda: bytearray(1 << 30))
works("a large file", write)
works("many files", many_files)
works("threads", threads)
works("a raised limit", raise_limit)
kept = []
works("open files", lambda: kept.extend(open("/dev/null") for _ in range(50)))
kept.clear()
works("little", lambda: open("/dev/null").close())
"""
_SCARCE = Limits(wall_seconds=30.0, memory_mb=512, file_mb=4, processes=20, open_files=32)
_MAY_HAVE = {"HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "PWD", "TMPDIR"}
# Harmless with arguments of zero, and each answers differently without a filter.
_TRIED_CALLS = ("keyctl", "io_uring_setup", "get_mempolicy", "semget")


def probe_bubblewrap(sandbox: Sandbox, setup: Setup) -> None:
    """See `riskpo.rewards.sandbox.Sandbox.probe`.

    Raises:
        SandboxError: with the way out.
    """
    done = sandbox.run("import ctypes, socket\nprint(int(input()) * 7)", b"6")
    if done.status == "infra_error":
        raise SandboxError(f"bubblewrap does not work here: {done.detail} {way_out(done.detail)} {ALTERNATIVES}")
    if (done.status, done.stdout) != ("exited", b"42\n"):
        raise SandboxError(f"in bubblewrap a program that prints 42 ended as {done.status}: {done.detail}")
    if problems := [*_leaks(sandbox, setup), *_excesses(sandbox)]:
        raise SandboxError(f"bubblewrap does not protect here: {'; '.join(problems)}. {ALTERNATIVES}")


def way_out(detail: str) -> str:
    """What to do about a start that failed, from what it said."""
    return next((text for mark, text in _WAYS_OUT if mark in detail), "")


def _leaks(sandbox: Sandbox, setup: Setup) -> list[str]:
    """What a program can reach that it must not, as sentences."""
    calls = {name: call for name, call in denied().items() if name in _TRIED_CALLS} if setup.seccomp else {}
    with tempfile.TemporaryDirectory(prefix="riskpo-") as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        secret = Path(folder, "secret")
        secret.write_text("secret", encoding="ascii")
        secret.chmod(0o644)
        Path(folder).chmod(0o755)
        home = os.path.expanduser("~")  # "~" for a user without a name, which inside does not exist either
        asked = {
            "read": [
                str(secret),
                "/etc",
                "/proc",
                "/sys",
                "/home",
                "/root",
                "/tmp",
                "/run",
                "/usr/bin",
                home.rstrip("/") or "/home",
            ],
            "write": [str(secret), "/file", "/usr/lib/file", "/dev/file", "/python/file", setup.interpreter.inside],
            "connect": [listener.getsockname(), ("1.1.1.1", 53)],
            "calls": calls,
        }
        done = sandbox.run(_LOOK, json.dumps(asked).encode() + b"\n", limits=Limits(wall_seconds=30.0))
    if done.status != "exited":
        return [f"a program that looks around ended as {done.status}: {done.detail}"]
    found = json.loads(done.stdout)
    problems = [f"a program can {verb} {found[key]}" for key, verb in _FORBIDDEN.items() if found[key]]
    # An ordinary user may have the group 0 and keeps it.
    if 0 in found["users"] or (os.geteuid() == 0 and 0 in found["groups"]):
        problems.append(f"a program has the users {found['users']} and the groups {found['groups']}")
    if strange := set(found["environment"]) - _MAY_HAVE:
        problems.append(f"a program has the environment variables {sorted(strange)}")
    problems += [
        f"the system call {name} is not refused (errno {found['calls'][name]})"
        for name, (_, errno) in calls.items()
        if found["calls"][name] != errno
    ]
    if found["fork"] and setup.seccomp:
        problems.append("a program can start processes")
    return problems


_FORBIDDEN = {
    "read": "read",
    "written": "write",
    "reached": "reach the network at",
    "descriptors": "use the open descriptors",
    "root": "become root:",
}


def _excesses(sandbox: Sandbox) -> list[str]:
    """What a program can use too much of, as sentences."""
    problems = []
    done = sandbox.run(_USE, limits=_SCARCE)
    if (done.status, done.stdout) != ("exited", b"little\n"):
        problems.append(f"limits do not hold: {done.status}, {done.stdout!r}, {done.detail}")
    for program, limits, status in (
        ("while True: pass", Limits(wall_seconds=0.3), "timeout"),
        ("while True: print('x' * 1000)", Limits(output_bytes=10_000), "output_limit"),
    ):
        done = sandbox.run(program, limits=limits)
        if done.status != status:
            problems.append(f"{program!r} ended as {done.status} and not as {status}: {done.detail}")
    return problems
