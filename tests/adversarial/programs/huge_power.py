# A number whose digits do not fit into this world, worked out in C where no signal is seen.
# status: timeout memory
# limits: wall_seconds=0.7
# ruff: noqa
print(9**9**9)
