# Reads the memory of other processes.
# status: exited
# prints: []
# ruff: noqa
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
done = []
for pid in (1, os.getppid(), os.getpid()):
    if libc.ptrace(16, pid, 0, 0) != -1:
        done.append(("ptrace", pid))
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
    if libc.process_vm_readv(pid, vector, 1, vector, 1, 0) != -1:
        done.append(("process_vm_readv", pid))
print(done)
