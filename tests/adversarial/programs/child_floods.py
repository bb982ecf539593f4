# A child prints without end after its parent has ended.
# status: exited output_limit
# limits: child_processes=True, processes=16, wall_seconds=10, output_bytes=100000
# ruff: noqa
import os

if os.fork() == 0:
    while True:
        os.write(1, b"x" * 1000)
