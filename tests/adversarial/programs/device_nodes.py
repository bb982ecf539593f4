# Makes devices of its own, and uses those there are for what they are not.
# status: exited
# prints: [] ['null', 'urandom', 'zero']
# ruff: noqa
import os, stat

made = []
for kind, device in (
    (stat.S_IFCHR, os.makedev(1, 1)),
    (stat.S_IFBLK, os.makedev(8, 0)),
    (stat.S_IFCHR, os.makedev(5, 0)),
):
    try:
        os.mknod("node", kind | 0o666, device)
        os.close(os.open("node", os.O_RDWR))
        made.append(device)
    except OSError:
        pass
print(made, sorted(os.listdir("/dev")))
