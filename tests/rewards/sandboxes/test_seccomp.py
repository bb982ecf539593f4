"""The filter on system calls: its numbers, what it decides on both architectures, and what programs meet inside."""

from __future__ import annotations

import errno
import json
import platform
import re
import struct
from pathlib import Path

import pytest

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import Limits, open_sandbox
from riskpo.rewards.sandboxes import seccomp

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = ERROR | errno.EPERM, ERROR | errno.ENOSYS
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Calls that a filter must tell apart by arguments, and a few that no Python can do without.
NUMBERS = {
    "x86_64": {"clone": 56, "fork": 57, "vfork": 58, "socket": 41, "socketpair": 53, "ioctl": 16, "read": 0, "mmap": 9}
    | {"setrlimit": 160, "prlimit64": 302},
    "aarch64": {"clone": 220, "socket": 198, "socketpair": 199, "ioctl": 29, "read": 63, "mmap": 222}
    | {"setrlimit": 164, "prlimit64": 261},
}


def decide(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What a filter returns for a call: an interpreter for the five instructions that it uses."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        if operation == 0x06:
            return value
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        else:
            met = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[operation]
            at += yes if met else no


@pytest.mark.parametrize("machine", ARCHES)
@pytest.mark.parametrize("children", [False, True])
def test_what_it_decides(machine, children):
    program, arch, number = (
        seccomp.build_filter(child_processes=children, machine=machine),
        ARCHES[machine],
        NUMBERS[machine],
    )

    def of(name, *arguments):
        return decide(program, arch, number[name], *arguments)

    refused_unless_children = ALLOW if children else EPERM
    assert of("read") == of("mmap") == ALLOW
    assert of("clone", 0x003D0F00) == ALLOW  # the flags of a new thread
    assert of("clone", 17) == of("clone", 0x4111) == refused_unless_children  # of fork, of vfork
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert of("clone", flag | 17) == of("clone", flag | 0x10000) == EPERM
    for name in ("fork", "vfork"):
        if name in number:
            assert of(name) == refused_unless_children
    for name in ("socket", "socketpair"):
        assert of(name, 1, 1) == of(name, 0xFFFF00000001) == ALLOW  # the kernel looks at 32 bits of it
        assert {of(name, family) for family in (0, 2, 3, 10, 16, 17, 38, 40)} == {EPERM}
    assert {of("ioctl", 0, command) for command in (0x5412, 0x541C, 0xABC00005412)} == {EPERM}
    assert of("ioctl", 0, 0x5401) == ALLOW
    assert of("setrlimit", 4) == of("prlimit64", 0, 4) == EPERM
    assert of("setrlimit", 9) == of("prlimit64", 4, 7) == ALLOW
    for name, (each, code) in seccomp.denied(machine).items():
        assert decide(program, arch, each) == ERROR | code, name
    assert decide(program, arch, 435) == ENOSYS  # clone3
    assert {decide(program, arch, each) for each in (453, 500, 0x40000000, 0x40000065, 0xFFFFFFFF)} == {ENOSYS}


@pytest.mark.parametrize("machine", ARCHES)
def test_foreign_architectures_are_killed(machine):
    program = seccomp.build_filter(child_processes=True, machine=machine)
    for arch in (0x40000003, 0x40000028, 0xC000003E, 0xC00000B7, 0):
        assert decide(program, arch, 0) == (ALLOW if arch == ARCHES[machine] else KILL)


def test_every_call_has_a_number_of_its_own():
    for machine in ARCHES:
        numbers = [number for number, _ in seccomp.denied(machine).values()]
        assert len(numbers) == len(set(numbers)) > 60
        assert not set(numbers) & set(NUMBERS[machine].values())
    must = {"io_uring_setup", "ptrace", "keyctl", "add_key", "bpf", "userfaultfd", "perf_event_open", "mount", "setns"}
    assert must <= set(seccomp.denied("x86_64")) & set(seccomp.denied("aarch64"))


HEADERS = {
    "x86_64": [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")],
    "aarch64": [Path("/usr/include/asm-generic/unistd.h")],
}


@pytest.mark.parametrize("machine", ARCHES)
def test_the_numbers_are_those_of_the_kernels_headers(machine):
    header = next((path for path in HEADERS[machine] if path.exists()), None)
    if header is None:
        pytest.skip(f"no kernel headers for {machine} on this machine")
    text = re.sub(r"\\\n", " ", header.read_text())
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    known = {name: number for name, (number, _) in seccomp.denied(machine).items()} | NUMBERS[machine]
    checked = {name: numbers[name] for name in known if name in numbers}
    assert checked == {name: known[name] for name in checked}
    assert len(checked) > 60


def test_other_machines_have_none(monkeypatch):
    with pytest.raises(ValueError, match="riscv64"):
        seccomp.build_filter(child_processes=True, machine="riscv64")
    assert not seccomp.supported("riscv64")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxError, match="seccomp=False"):
        open_sandbox("bubblewrap")


# --- inside ---

TRY = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
found = {}
for name, number in json.loads(input()).items():
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
    found[name] = [result, ctypes.get_errno()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def sandbox():
    try:
        return open_sandbox("bubblewrap")
    except SandboxError as error:
        pytest.skip(str(error))


def test_every_denied_call_is_refused_inside(sandbox):
    calls = seccomp.denied()
    asked = json.dumps({name: number for name, (number, _) in calls.items()}).encode()
    found = json.loads(sandbox.run(TRY, asked).stdout)
    assert found == {name: [-1, code] for name, (_, code) in calls.items()}


def test_without_the_filter_they_are_not(sandbox):
    """So what refuses them above is the filter."""
    bare = open_sandbox("bubblewrap", probe=False, seccomp=False)
    assert "NO FILTER" in bare.describe()
    bare.probe()
    harmless = ("keyctl", "get_mempolicy", "personality", "io_uring_setup", "semget")
    asked = json.dumps({name: seccomp.denied()[name][0] for name in harmless}).encode()
    found = json.loads(bare.run(TRY, asked).stdout)
    assert {name for name in harmless if found[name][1] not in (errno.EPERM, errno.ENOSYS)} >= {"personality"}
    assert bare.run("import os\nif os.fork() == 0: os._exit(0)\nprint(42)").stdout == b"42\n"


def test_children_only_where_allowed(sandbox):
    program = (
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-I', '-S', '-c', 'print(42)']).returncode)"
    )
    assert "PermissionError" in sandbox.run(program).detail
    assert sandbox.run(program, limits=Limits(child_processes=True)).stdout == b"42\n0\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls of the 32-bit convention exist on x86_64")
def test_the_32_bit_door_is_shut(sandbox):
    """`int 0x80` reaches the kernel's 32-bit table, where the numbers mean other calls."""
    program = """
import ctypes, mmap
code = b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3"  # mov eax, 20 (getpid); int 0x80; ret
page = mmap.mmap(-1, 4096, prot=7)
page.write(code)
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
"""
    assert "SIGSYS" in sandbox.run(program).detail
    x32 = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint(libc.syscall(0x40000027), ctypes.get_errno())"
    assert sandbox.run(x32).stdout == b"-1 %d\n" % errno.ENOSYS
