# A file that claims to be large.
# status: exited
# limits: file_mb=2
# prints: refused
# ruff: noqa
import os

try:
    with open("x", "wb") as file:
        file.truncate(1 << 40)
    print(os.stat("x").st_size)
except OSError:
    print("refused")
