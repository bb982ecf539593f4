# Writes to address zero.
# status: runtime_error
# ruff: noqa
import ctypes

ctypes.memset(0, 1, 1)
