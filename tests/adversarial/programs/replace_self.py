# Becomes another program again and again.
# status: timeout
# limits: wall_seconds=0.7
# ruff: noqa
import os, sys

os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "while True: pass"])
