# Turns its own failure into an exit code of zero.
# status: exited
# prints:
# ruff: noqa
import atexit, os

atexit.register(os._exit, 0)
raise ValueError
