# Prints too much in one go, and ends well.
# status: output_limit
# limits: output_bytes=50000
# ruff: noqa
import os

os.write(1, b"x" * 50000)
os.write(1, b"x" * 10)
os._exit(0)
