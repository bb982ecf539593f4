# Kills itself as the kernel would for want of memory.
# status: memory
# ruff: noqa
import os, signal

os.kill(os.getpid(), signal.SIGKILL)
