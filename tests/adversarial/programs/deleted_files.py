# Files that are deleted and kept open still count.
# status: exited
# limits: file_mb=2
# prints: True
# ruff: noqa
import os

kept = []
try:
    while True:
        kept.append(open("x", "wb"))
        os.unlink("x")
        kept[-1].write(bytes(1 << 19))
        kept[-1].flush()
except OSError:
    print(len(kept) <= 6, flush=True)
os._exit(0)
