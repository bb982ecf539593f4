# Signals every number that could be a process, here or outside.
# status: exited
# prints: 42
# ruff: noqa
import os, signal

for number in range(2, 70000):
    if number != os.getpid():
        try:
            os.kill(number, signal.SIGKILL)
        except OSError:
            pass
print("42")
