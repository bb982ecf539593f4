# Aborts.
# status: runtime_error
# ruff: noqa
import os

os.abort()
