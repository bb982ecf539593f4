# Becomes another user: by the system call, by a file of its own with the set-uid bit, by those of the system.
# status: exited
# limits: child_processes=True, wall_seconds=20
# prints: [] False
# ruff: noqa
import glob, os, stat

became = []
for call, args in (
    (os.setuid, (0,)),
    (os.setgid, (0,)),
    (os.setgroups, ([0],)),
    (os.setresuid, (0, 0, 0)),
    (os.setreuid, (0, 0)),
    (os.setresuid, (1, 1, 1)),
):
    try:
        call(*args)
        became.append(call.__name__)
    except OSError:
        pass
with open("x", "w") as file:
    file.write("#!/bin/sh")
try:
    os.chmod("x", 0o4755)
    os.chown("x", 0, 0)
    became.append("chown")
except OSError:
    pass
before = os.getresuid()
for path in glob.glob("/usr/lib/*/*"):
    try:
        mode = os.stat(path).st_mode
    except OSError:
        continue
    if stat.S_ISREG(mode) and mode & stat.S_ISUID:
        child = os.fork()
        if child == 0:
            try:
                os.dup2(os.open("/dev/null", os.O_RDWR), 1)
                os.dup2(1, 2)
                os.execv(path, [path])
            except OSError:
                os._exit(0)
        os.waitpid(child, 0)
print(became, 0 in before)
