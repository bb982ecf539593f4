# Hides memory in attributes of files, which no limit on files counts.
# status: exited
# prints: 0
# ruff: noqa
import os

open("x", "w").close()
try:
    for number in range(10**6):
        os.setxattr("x", f"user.a{number}", b"x" * 60000)
except OSError:
    print(number)
