# Shared mappings without end: they too are address space.
# status: runtime_error memory
# limits: memory_mb=256
# ruff: noqa
import mmap

kept = []
while True:
    kept.append(mmap.mmap(-1, 64 << 20))
