# Bytes that are no text, NUL among them.
# status: exited
# prints: b'\xff\xfe\x00\x80ok'
# ruff: noqa
import sys

sys.stdout.buffer.write(b"\xff\xfe\x00\x80ok")
