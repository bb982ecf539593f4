# A regular expression that tries every way to fail.
# status: timeout
# limits: wall_seconds=0.7
# ruff: noqa
import re

re.match(r"(a+)+$", "a" * 40 + "b")
