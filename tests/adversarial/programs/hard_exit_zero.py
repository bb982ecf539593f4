# Ends well before it answers, without any handler.
# status: exited
# prints:
# ruff: noqa
import os

os._exit(0)
print(42)
