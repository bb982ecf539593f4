# Fills the buffers of as many sockets and pipes as it can get.
# status: exited
# prints: True
# ruff: noqa
import os, socket

kept = []
try:
    while True:
        a, b = socket.socketpair()
        kept += [a, b]
        a.setblocking(False)
        try:
            while True:
                a.send(bytes(1 << 16))
        except BlockingIOError:
            pass
except OSError:
    print(len(kept) < 64)
