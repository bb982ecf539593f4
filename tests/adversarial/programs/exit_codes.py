# Ends with the code that bubblewrap itself uses for failures.
# status: runtime_error
# ruff: noqa
import sys

print("bwrap: No permissions to create new namespace", file=sys.stderr)
sys.exit(1)
