# Uses up its processor time long before its wall clock.
# status: timeout
# limits: wall_seconds=20, cpu_seconds=1
# ruff: noqa
while True:
    pass
