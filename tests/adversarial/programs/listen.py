# Offers a service to the machine.
# status: exited
# prints: refused
# ruff: noqa
import json, socket

told = json.loads(input())
try:
    socket.create_server(("0.0.0.0", 0))
    print("listens")
except OSError:
    print("refused")
