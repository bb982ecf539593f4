# Makes namespaces in the way that a filter on unshare would not see.
# status: exited
# limits: child_processes=True, processes=16, wall_seconds=10
# prints: []
# ruff: noqa
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
number = 56 if os.uname().machine == "x86_64" else 220
made = []
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000):
    child = libc.syscall(number, flag | 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child > 0:
        made.append(hex(flag))
        os.waitpid(child, 0)
print(made)
