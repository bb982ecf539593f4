# Empty files without end: their number is bounded by time alone.
# status: timeout runtime_error
# limits: wall_seconds=0.7
# ruff: noqa
count = 0
while True:
    open(f"x{count}", "w").close()
    count += 1
