# Its environment holds nothing of the caller's.
# status: exited
# prints: [] ['program.py']
# ruff: noqa
import os, sys

print(sorted(set(os.environ) - {"HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PWD", "TMPDIR"}), sys.argv)
