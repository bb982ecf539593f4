# Sends descriptors through sockets to hold more than it may: no process has those open that nobody has received yet.
# status: exited
# prints: True
# ruff: noqa
import array, os, socket

held, pairs = 0, []
null = os.open("/dev/null", os.O_RDONLY)
try:
    for _ in range(20):
        pairs.append(socket.socketpair())  # both ends stay open, so the kernel may not collect what lies between them
        pairs[-1][0].setblocking(False)
        while True:
            try:
                pairs[-1][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 100))])
            except BlockingIOError:  # this pair is full
                break
            held += 100
except OSError:  # too many on their way
    pass
print(0 < held < 1000 or held)
