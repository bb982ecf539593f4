"""The system calls that a program in the sandbox may not make, as a filter for the kernel (classic BPF).

A deny-list: Python programs and the C library need a few hundred calls that change from release to release, while the
doors that matter have names. Newer calls than the last one known here do not exist for the program (ENOSYS, for which
the C library falls back). Assembled here rather than by libseccomp: its Python binding needs the system's shared
library, which slim images lack, and what is needed of it is a chain of comparisons.

References: Linux Documentation/userspace-api/seccomp_filter.rst; include/uapi/linux/{seccomp,filter,audit,sched}.h.
"""

from __future__ import annotations

import errno
import platform
import struct

# Architecture: (AUDIT_ARCH of the kernel's headers, names of its own besides COMMON).
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEWEST = 452  # fchmodat2; on both architectures the numbers from 424 on are the same, and every later call is refused

# Denied with EPERM; numbers on (x86_64, aarch64), None where the architecture lacks the call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # looking into other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # subsystems that exploits like, and that no solution of a programming problem needs
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "vmsplice": (278, 75),
    "remap_file_pages": (216, 234),
    "mbind": (237, 235),
    "get_mempolicy": (239, 236),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "lookup_dcookie": (212, 18),
    "seccomp": (317, 277),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "nfsservctl": (180, 42),
    "ustat": (136, None),
    "sysfs": (139, None),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "get_kernel_syms": (177, None),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "uselib": (134, None),
    "_sysctl": (156, None),
    # memory that outlives its mapping or belongs to no file's content, and so escapes the limits on both
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
# As if the kernel had none: callers have another way, or give up.
_ABSENT: dict[str, tuple[int, int]] = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),  # its flags lie in memory, where a filter cannot see them; the C library falls back to clone
}
_PROCESSES: dict[str, tuple[int | None, int | None]] = {"fork": (57, None), "vfork": (58, None)}
_CLONE, _SOCKET, _SOCKETPAIR, _IOCTL = (56, 220), (41, 198), (53, 199), (16, 29)
_SETRLIMIT, _PRLIMIT = (160, 164), (302, 261)

CLONE_NEW = 0x7E020000  # every flag of clone(2) that makes a namespace
CLONE_THREAD = 0x00010000
AF_UNIX = 1
RLIMIT_CORE = 4  # kept at one byte: with none, a crash starts whatever program the machine has for core dumps, as root
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # putting characters into a terminal's input

_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are 8 bytes, little-endian


def denied(machine: str | None = None) -> dict[str, tuple[int, int]]:
    """The calls refused whatever their arguments, as name: (number, errno), for an architecture (default: this one)."""
    column = list(AUDIT_ARCH).index(machine or platform.machine())
    found = {}
    for name, numbers in {**_DENIED, **_ABSENT}.items():
        number = numbers[column]
        if number is not None:
            found[name] = (number, errno.ENOSYS if name in _ABSENT else errno.EPERM)
    return found


def supported(machine: str | None = None) -> bool:
    """Whether there is a filter for the architecture (default: this machine's)."""
    return (machine or platform.machine()) in AUDIT_ARCH and struct.calcsize("P") == 8


def build_filter(*, child_processes: bool, machine: str | None = None) -> bytes:
    """The filter as an array of `struct sock_filter`, for an architecture (default: this machine's).

    Refused beside `denied()`: calls of a foreign architecture or calling convention (the process is killed; x32's have
    numbers above every other and do not exist), new namespaces by clone, sockets but for AF_UNIX (a network namespace
    does not hold back AF_VSOCK, and reaches far into the kernel), terminal input by ioctl, the limit on core dumps.

    Args:
        child_processes: whether new processes are allowed; new threads are.

    Raises:
        ValueError: an architecture without a filter.
    """
    machine = machine or platform.machine()
    if machine not in AUDIT_ARCH:
        raise ValueError(f"no filter for {machine!r}; there is one for {', '.join(AUDIT_ARCH)}.")
    column = list(AUDIT_ARCH).index(machine)
    refuse = _ERROR | errno.EPERM
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
        (_GREATER, 0, 1, NEWEST),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
    refused = [(number, _ERROR | code) for number, code in denied(machine).values()]
    if not child_processes:
        own = [numbers[column] for numbers in _PROCESSES.values()]
        refused += [(number, refuse) for number in own if number is not None]
    for number, result in refused:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, result)]
    # Each of these ends in a return: what is loaded no longer is the call's number.
    program += _when(_CLONE[column], 0, _clone_rules(child_processes))
    for call in (_SOCKET, _SOCKETPAIR):
        program += _when(call[column], 0, [(_EQUAL, 1, 0, AF_UNIX), (_RETURN, 0, 0, refuse)])
    program += _when(_IOCTL[column], 1, [(_EQUAL, 1, 0, TIOCSTI), (_EQUAL, 0, 1, TIOCLINUX), (_RETURN, 0, 0, refuse)])
    for call, argument in ((_SETRLIMIT, 0), (_PRLIMIT, 1)):
        program += _when(call[column], argument, [(_EQUAL, 0, 1, RLIMIT_CORE), (_RETURN, 0, 0, refuse)])
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _clone_rules(child_processes: bool) -> list[tuple[int, int, int, int]]:
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    rules = [(_ANY_BIT, 0, 1, CLONE_NEW), refuse]
    return rules if child_processes else [*rules, (_ANY_BIT, 1, 0, CLONE_THREAD), refuse]


def _when(number: int, argument: int, rules: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Rules on the low half of a call's argument; all these arguments are 32 bits wide to the kernel."""
    body = [(_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument), *rules, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(body), number), *body]
