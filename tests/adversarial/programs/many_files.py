# Files of moderate size without end.
# status: exited
# limits: file_mb=2
# prints: True
# ruff: noqa
count = 0
try:
    while True:
        with open(f"x{count}", "wb") as file:
            file.write(bytes(1 << 19))
        count += 1
except OSError:
    print(count <= 4)
