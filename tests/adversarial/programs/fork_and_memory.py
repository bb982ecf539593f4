# Many processes that each take all they may.
# status: timeout memory runtime_error
# limits: child_processes=True, processes=6, memory_mb=64, wall_seconds=0.7
# ruff: noqa
import os

for _ in range(4):
    try:
        os.fork()
    except OSError:
        pass
kept = []
while True:
    try:
        kept.append(bytearray(10**6))
    except MemoryError:
        pass
