# Prints without end.
# status: output_limit
# limits: output_bytes=100000
# ruff: noqa
while True:
    print("x" * 1000)
