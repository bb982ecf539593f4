# Adopts its own orphans, so that they are not the first process's.
# status: exited
# limits: child_processes=True, processes=16, wall_seconds=10
# prints: 42
# ruff: noqa
import ctypes, os, time

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(10**6)
    os._exit(0)
print("42")
