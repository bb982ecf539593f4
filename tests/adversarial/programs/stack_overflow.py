# Calls itself without end and without the interpreter's limit.
# status: runtime_error memory
# limits: memory_mb=512, wall_seconds=10
# ruff: noqa
import sys

sys.setrecursionlimit(10**9)


class A:
    def __repr__(self):
        return repr([self, self])


print(repr(A()))
