# Crashes with a large memory to leave behind.
# status: runtime_error
# ruff: noqa
import os

kept = bytearray(10**8)
os.abort()
