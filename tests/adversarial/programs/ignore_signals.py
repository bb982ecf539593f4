# Takes every signal that can be taken, and goes on.
# status: timeout
# limits: wall_seconds=2.5, cpu_seconds=1
# ruff: noqa
import signal

for number in range(1, signal.NSIG):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
