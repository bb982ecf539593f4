# Sends descriptors through sockets to hold more than it may. How many go depends on when the kernel collects those that
# nobody can receive any more; it bounds what is under way at once, and the program ends like any other.
# status: exited
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
print(sent)
