# One file without end.
# status: exited
# limits: file_mb=2
# prints: True
# ruff: noqa
size = 0
try:
    with open("x", "wb") as file:
        while True:
            size += file.write(bytes(1 << 20))
            file.flush()
except OSError:
    print(size <= 2 << 20)
