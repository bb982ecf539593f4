# Sockets of families that a network namespace does not hold back, or that reach deep into the kernel.
# status: exited
# prints: []
# ruff: noqa
import socket

made = []
for family in range(1, 50):
    if family != socket.AF_UNIX:
        for kind in (1, 2, 3, 5):
            try:
                socket.socket(family, kind).close()
                made.append((family, kind))
            except OSError:
                pass
print(made)
