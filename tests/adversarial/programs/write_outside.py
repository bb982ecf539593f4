# Writes where others would see it.
# status: exited
# prints: []
# ruff: noqa
import json, sys

told = json.loads(input())
wrote = []
for path in (
    told["outside"] + "/canary",
    told["secret"],
    "/canary",
    "/usr/lib/canary",
    "/lib/canary",
    "/etc/canary",
    "/python/canary",
    "/python/lib/canary",
    "/dev/canary",
    "/box/../canary",
    "/tmp/canary",
    sys.executable,
):
    try:
        with open(path, "ab") as file:
            file.write(b"escaped")
        wrote.append(path)
    except OSError:
        pass
print(wrote)
