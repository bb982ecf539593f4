# Never ends.
# status: timeout
# limits: wall_seconds=0.7
# ruff: noqa
while True:
    pass
