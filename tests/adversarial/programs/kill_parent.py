# Kills the processes above it.
# status: exited
# prints: 42
# ruff: noqa
import os, signal

for target in (os.getppid(), 1, -os.getpgid(0) if os.getpgid(0) > 1 and os.getpgid(0) != os.getpid() else 1):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGSEGV, signal.SIGKILL):
        try:
            os.kill(target, number)
        except OSError:
            pass
print("42")
