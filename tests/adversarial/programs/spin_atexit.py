# Answers, and then spins in an exit handler.
# status: timeout
# limits: wall_seconds=0.7
# prints: 42
# ruff: noqa
import atexit


@atexit.register
def spin():
    while True:
        pass


print("42", flush=True)
