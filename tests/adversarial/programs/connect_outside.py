# Calls the internet: by address, by name, and by mail to a name server.
# status: exited
# prints: []
# ruff: noqa
import socket

reached = []
for address in (("1.1.1.1", 53), ("1.1.1.1", 443), ("8.8.8.8", 53), ("169.254.169.254", 80)):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_INET, kind) as s:
                s.settimeout(2)
                s.connect(address)
                s.send(b"x")
                reached.append(address)
        except OSError:
            pass
try:
    reached.append(socket.getaddrinfo("example.com", 80))
except OSError:
    pass
print(reached)
