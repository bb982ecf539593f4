# Its environment holds nothing of the caller's.
# status: exited
# prints: [] ['program.py']
# ruff: noqa
import os, sys

harmless = {"HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "PWD", "TMPDIR"}
print(sorted(set(os.environ) - harmless), sys.argv)
