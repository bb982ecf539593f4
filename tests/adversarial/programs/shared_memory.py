# Memory that outlives its mapping, in all its kinds: System V, memfd, anonymous files.
# status: exited
# prints: []
# ruff: noqa
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
got = []
for _ in range(200):
    if libc.shmget(0, 64 << 20, 0o600) >= 0:
        got.append("shmget")
    if libc.memfd_create(b"x", 0) >= 0:
        got.append("memfd")
for path in ("/dev/shm/x", "/tmp/x", "/run/x", "/dev/x", "/x"):
    try:
        open(path, "wb").close()
        got.append(path)
    except OSError:
        pass
print(got)
