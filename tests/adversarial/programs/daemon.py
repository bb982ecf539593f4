# Forks twice into a session of its own, and goes on writing after the program has ended.
# status: exited
# limits: child_processes=True, processes=16, wall_seconds=10
# prints: 42
# ruff: noqa
import json, os, time

told = json.loads(input())
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        while True:
            try:
                with open(told["outside"] + "/canary", "ab") as file:
                    file.write(b"escaped")
            except OSError:
                pass
            time.sleep(0.01)
    os._exit(0)
print("42")
