# Ends well before it answers.
# status: exited
# prints:
# ruff: noqa
import sys

sys.exit(0)
print(42)
