# Allocates without end.
# status: memory
# limits: memory_mb=256
# ruff: noqa
kept = []
while True:
    kept.append(bytearray(10**7))
