# Splits without end.
# status: timeout runtime_error
# limits: child_processes=True, processes=16, wall_seconds=0.7
# ruff: noqa
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
