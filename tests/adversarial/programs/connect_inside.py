# Calls services of the machine: a port, and a socket without a file.
# status: exited
# prints: []
# ruff: noqa
import json, socket

told = json.loads(input())
reached = []
for family, address in (
    (socket.AF_INET, ("127.0.0.1", told["port"])),
    (socket.AF_INET6, ("::1", told["port"])),
    (socket.AF_UNIX, "\0" + told["unix"]),
    (socket.AF_UNIX, told["outside"] + "/socket"),
):
    try:
        with socket.socket(family) as s:
            s.settimeout(2)
            s.connect(address)
            s.send(b"escaped")
            reached.append(str(address))
    except OSError:
        pass
print(reached)
