# Waits for input that is over.
# status: exited
# prints: end
# ruff: noqa
import sys

while sys.stdin.read(1):
    pass
print("end")
