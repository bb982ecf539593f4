# Kills every process that it may.
# status: exited
# prints: 42
# ruff: noqa
import os, signal

for number in (signal.SIGTERM, signal.SIGKILL):
    try:
        os.kill(-1, number)
    except OSError:
        pass
print("42")
