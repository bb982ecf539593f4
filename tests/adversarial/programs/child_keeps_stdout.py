# A child holds standard output open after its parent has ended.
# status: exited
# limits: child_processes=True, processes=16, wall_seconds=10
# prints: 42
# ruff: noqa
import os, time

if os.fork() == 0:
    time.sleep(10**6)
print("42")
