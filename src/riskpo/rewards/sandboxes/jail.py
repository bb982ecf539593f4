"""One bubblewrap sandbox: its command line, its start, and how its program ended, told by what it cannot write to.

Bubblewrap reports on a descriptor of its own (`--json-status-fd`) the process that it made, and, if the program ran,
its exit code. It waits for a word from here before anything runs, which is the moment to map users and to take hold of
the first process inside: with its end, all others inside have ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import Execution, Limits
from riskpo.rewards.sandboxes.descriptors import Descriptors
from riskpo.rewards.sandboxes.interpreter import Interpreter
from riskpo.rewards.sandboxes.prelude import FLAGS, PRELUDE, forbid_core_dumps, memory_file, payload_file, rlimits
from riskpo.rewards.sandboxes.seccomp import build_filter
from riskpo.rewards.sandboxes.supervise import START_SECONDS, Streams, Supervised

UID = 65534  # the user that programs run as where the caller is root; `nobody` on most systems
FOLDER = "/box"  # the program's own
_NAMESPACES = ("user", "ipc", "pid", "net", "uts", "cgroup-try")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Setup:
    """What all sandboxes of one kind share.

    Args:
        bwrap: path of the program.
        interpreter: for the programs.
        seccomp: whether to filter system calls.
    """

    bwrap: str
    interpreter: Interpreter
    seccomp: bool


def start(
    setup: Setup,
    program: str,
    files: Mapping[str, bytes],
    stdin: bytes | None,
    limits: Limits,
) -> Jail | Execution:
    """A program that is about to run; or the reason why there is none: then nothing of it has run.

    Args:
        setup: what it runs in.
        program: its source text.
        files: put into its folder beforehand.
        stdin: its standard input, as a file; None = a pipe, to be written to as it runs.
        limits: what it may use.

    Raises:
        OSError: no memory, processes or descriptors left.
        SandboxError: this process ignores the ends of its children, and so would bubblewrap.
    """
    _check_signals()
    root = os.geteuid() == 0
    with Descriptors() as open_files:
        status, status_out = open_files.pipe_from()
        progress, progress_out = open_files.pipe_from()
        go, go_in = open_files.pipe_to()
        bwrap_files = {"--json-status-fd": status_out, "--userns-block-fd" if root else "--block-fd": go_in}
        if root:
            bwrap_files["--info-fd"] = open_files.lend(os.open(os.devnull, os.O_WRONLY))  # demanded beside the former
        if setup.seccomp:
            program_filter = build_filter(child_processes=limits.child_processes)
            bwrap_files["--seccomp"] = open_files.lend(memory_file(program_filter))
        own = 0 if root else 1  # bubblewrap's process inside, where it has the program's user
        payload = open_files.lend(payload_file(program, files, rlimits(limits, spare_processes=own)))
        words = [setup.bwrap, *(str(word) for pair in bwrap_files.items() for word in pair)]
        words += [*_options(setup.interpreter, limits, root), "--", setup.interpreter.inside, *FLAGS, "-c", PRELUDE]
        words += map(str, (UID if root else 0, payload, progress_out, *bwrap_files.values()))
        streams, standard = Streams.make(open_files, stdin)
        process = subprocess.Popen(
            words, **standard, cwd="/", env={}, pass_fds=(payload, progress_out, *bwrap_files.values())
        )
        open_files.ends_with(process)
        jail = Jail(process, streams, progress, status, go, limits)
    return jail.begin(root)


def _check_signals() -> None:
    """Bubblewrap inherits which signals are ignored, and without SIGCHLD it waits for ever."""
    found = re.search(r"^SigIgn:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found and int(found[1], 16) >> (signal.SIGCHLD - 1) & 1:
        raise SandboxError(
            "this process ignores SIGCHLD, and bubblewrap does not work then. Set it back with "
            "signal.signal(signal.SIGCHLD, signal.SIG_DFL)."
        )


def _options(interpreter: Interpreter, limits: Limits, root: bool) -> list[str]:
    """Everything that is the same for every program with the same limits."""
    options = [f"--unshare-{namespace}" for namespace in _NAMESPACES]
    options += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if root:
        # To become another user with; the capabilities end where the prelude does.
        options += ["--uid", "0", "--gid", "0", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    # The C library would reserve address space for each of many threads.
    environment = {"LANG": "C.UTF-8", "HOME": FOLDER, "TMPDIR": FOLDER, "MALLOC_ARENA_MAX": "2"}
    options += ["--clearenv", *(word for pair in environment.items() for word in ("--setenv", *pair))]
    options += interpreter.mounts()
    options += ["--perms", "0755", "--dir", "/dev"]
    for device in _DEVICES:  # not --dev: it brings a folder in memory without limit
        options += ["--dev-bind", device, device]
    if limits.file_mb:
        options += ["--perms", "0777", "--size", str(limits.file_mb << 20), "--tmpfs", FOLDER]
    else:
        options += ["--perms", "0755", "--dir", FOLDER]
    return [*options, "--chdir", FOLDER, "--remount-ro", "/"]


class Jail(Supervised):
    """A sandbox's outer process, watched. See `Supervised`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        streams: Streams,
        progress: int,
        status: int,
        go: int,
        limits: Limits,
    ) -> None:
        super().__init__(process, streams, progress, limits)
        self._status, self._go = status, go
        self._reported = b""

    def begin(self, root: bool) -> Jail | Execution:
        """Lets the sandbox run, and waits until its program is about to; itself, or why not."""
        until = time.monotonic() + START_SECONDS
        failed = "the sandbox did not start."
        try:
            first = self._first_process(until)
            if first is not None:
                self.init = os.pidfd_open(first)
                _prepare(first, root)
                os.write(self._go, b"1")
                if self.wait_for_start(until):
                    return self
        except OSError as error:  # it ended in between, or may not be given a second user
            failed = f"the sandbox did not start: {error}."
        except BaseException:
            self.finish()
            raise
        return self.not_started(failed)

    def program_exit_code(self) -> int | None:
        """As bubblewrap reported it; None where bubblewrap was killed before it could."""
        return next((said["exit-code"] for said in _documents(self._reported) if "exit-code" in said), None)

    def _first_process(self, until: float) -> int | None:
        """The number of the first process inside, or None where there will be none."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        while poll.poll(max(0.0, until - time.monotonic()) * 1000):
            data = os.read(self._status, 4096)
            if not data:
                return None
            self._reported += data
            for said in _documents(self._reported):
                if "child-pid" in said:
                    return int(said["child-pid"])
        return None

    def _close(self) -> None:
        # All writers are gone, or could not be killed: what they have written is there.
        os.set_blocking(self._status, False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._status, 4096):
                self._reported += data
        os.close(self._status)
        os.close(self._go)
        super()._close()


def _prepare(first: int, root: bool) -> None:
    """Gives the sandbox its users, and makes it the first to go where the machine runs out of memory."""
    if root:
        for kind in ("uid", "gid"):
            try:
                Path(f"/proc/{first}/{kind}_map").write_text(f"0 0 1\n{UID} {UID} 1\n")
            except OSError as error:
                raise OSError(error.errno, f"root cannot map a second user: {error.strerror}") from error
    forbid_core_dumps(first)
    # Its memory is limited in any case; this is for machines where even so little is too much.
    with contextlib.suppress(OSError):
        Path(f"/proc/{first}/oom_score_adj").write_text("1000")


def _documents(text: bytes) -> list[dict[str, int]]:
    """The whole JSON objects at the beginning of a text; what is not there yet, or was never finished, is left out."""
    found, rest, decoder = [], text.decode("ascii", "replace").lstrip(), json.JSONDecoder()
    while rest:
        try:
            said, end = decoder.raw_decode(rest)
        except ValueError:
            break
        found.append(said)
        rest = rest[end:].lstrip()
    return found
