# Sequences that would rename a window or type into a terminal.
# status: exited
# prints: b'\x1b]0;owned\x07\x1b[2J\x1b[c42\n'
# ruff: noqa
print("\x1b]0;owned\x07\x1b[2J\x1b[c42")
