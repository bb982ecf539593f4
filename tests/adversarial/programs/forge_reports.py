# Writes reports as bubblewrap and the prelude would, to every descriptor there may be.
# status: exited
# prints: 42
# ruff: noqa
import os

for number in (0, *range(3, 1024)):
    for text in (b'{ "exit-code": 0 }\n', b"12"):
        try:
            os.write(number, text)
        except OSError:
            pass
print("42")
