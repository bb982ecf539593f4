# Complains without end.
# status: output_limit
# limits: output_bytes=100000
# ruff: noqa
import os

while True:
    os.write(2, b"x" * 65536)
