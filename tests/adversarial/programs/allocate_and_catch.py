# Allocates without end, and goes on where that fails.
# status: timeout memory
# limits: memory_mb=256, wall_seconds=0.7
# ruff: noqa
kept = []
while True:
    try:
        kept.append(bytearray(10**6))
    except MemoryError:
        pass
