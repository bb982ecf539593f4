# Leaves dead children unburied until none can be born.
# status: exited
# limits: child_processes=True, processes=16, wall_seconds=10
# prints: True
# ruff: noqa
import os

born = 0
try:
    while born < 1000:
        if os.fork() == 0:
            os._exit(0)
        born += 1
except OSError:
    pass
print(born <= 16)
