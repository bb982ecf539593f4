# Reads its input twice and writes into it.
# status: exited
# prints: True
# ruff: noqa
import os, sys

first = sys.stdin.buffer.read()
os.lseek(0, 0, os.SEEK_SET)
try:
    os.write(0, b"x")
    print("wrote")
except OSError:
    print(first == os.read(0, 1 << 20) != b"")
