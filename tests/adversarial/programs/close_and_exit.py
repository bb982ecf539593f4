# Closes all its descriptors and ends.
# status: exited
# prints:
# ruff: noqa
import os

os.closerange(0, 1024)
os._exit(0)
