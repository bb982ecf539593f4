# Sends descriptors through sockets to hold more than it may.
# status: exited
# prints: True
# ruff: noqa
import array, os, socket

sent = 0
try:
    for _ in range(10**5):
        a, b = socket.socketpair()
        a.setblocking(False)
        a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [b.fileno()]))])
        a.close()
        b.close()
        sent += 1
except OSError:
    pass
print(sent < 1000)
