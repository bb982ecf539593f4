"""What the interpreter in a sandbox runs before the program: limits, privileges, files; then the program as `__main__`.

It reads the program from one inherited descriptor, reports on another, and closes both: what comes after cannot tell
tales about how far it came.
"""

from __future__ import annotations

import marshal
import os
import resource
from collections.abc import Mapping

from riskpo.rewards.sandbox import Limits

STARTED, COMPILED = b"1", b"2"  # reported: the sandbox stands, nothing of the program has run; it compiles

# Runs as `python -I -S -B -X utf8 -c PRELUDE uid payload_fd progress_fd [fd ...]`; it closes the last ones, which
# bubblewrap uses for itself and may leave open. `exit` and `quit` come from `site`, which -S
# leaves out, and programs use them.
PRELUDE = """
def start():
    import builtins, marshal, os, sys
    from _sitebuiltins import Quitter
    uid, payload, progress, *others = map(int, sys.argv[1:])
    for descriptor in others:
        os.closerange(descriptor, descriptor + 1)
    sys.argv[:] = ["program.py"]
    with open(payload, "rb") as file:
        source, files, rlimits = marshal.loads(file.read())
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for name, content in files:
        with open(name, "wb") as file:
            file.write(content)
    import resource
    for limit, value in rlimits:
        resource.setrlimit(limit, (value, value))
    os.write(progress, b"1")
    builtins.exit, builtins.quit = Quitter("exit", "Ctrl-D"), Quitter("quit", "Ctrl-D")
    globals().update(__file__="program.py")
    del globals()["start"]
    code = compile(source, "program.py", "exec", dont_inherit=True)
    os.write(progress, b"2")
    os.close(progress)
    return code
exec(start())
"""
FLAGS = ("-I", "-S", "-B", "-X", "utf8")


def forbid_core_dumps(pid: int) -> None:
    """Limits the core dumps of a child to one byte: no file, and no program of the machine's is started to receive one.

    A limit of 0 would start that program. But where the caller's own is 0 and hard, nobody but the kernel can raise it.
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard != 0:
        resource.prlimit(pid, resource.RLIMIT_CORE, (1, 1))


def rlimits(limits: Limits, *, spare_processes: int | None) -> list[tuple[int, int]]:
    """Limits as pairs of `setrlimit`, hard and soft alike: what is low cannot be raised again.

    All but that on core dumps, which is set from outside (see `forbid_core_dumps`).

    Args:
        limits: the program's.
        spare_processes: how many processes beside the program's count against its user in its namespace; None = it has
            no namespace, its user has many others, and their number is not limited.
    """
    mib = 1 << 20
    wanted = {
        "RLIMIT_AS": limits.memory_mb * mib,
        "RLIMIT_CPU": -int(-limits.cpu_seconds // 1),
        "RLIMIT_FSIZE": limits.file_mb * mib,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    if spare_processes is not None:
        wanted["RLIMIT_NPROC"] = limits.processes + spare_processes
    pairs = []
    for name, value in wanted.items():
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            pairs.append((number, value if hard == resource.RLIM_INFINITY else min(value, hard)))
    return pairs


def payload_file(program: str, files: Mapping[str, bytes], rlimits: list[tuple[int, int]]) -> int:
    """A descriptor from which the prelude reads all it needs.

    Raises:
        OSError: no memory or no descriptors left.
    """
    # A lone surrogate makes bytes that are no UTF-8: the program does not compile, which is the truth.
    content = marshal.dumps((program.encode("utf-8", "surrogatepass"), list(files.items()), rlimits), 2)
    return memory_file(content)


def memory_file(content: bytes) -> int:
    """An open file with this content that no folder holds: read-only, at its beginning.

    Raises:
        OSError: no memory or no descriptors left.
    """
    descriptor = os.memfd_create("riskpo")
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(descriptor)
