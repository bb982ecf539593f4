# Has the kernel send signals for its standard streams to processes it may not signal.
# status: exited memory
# ruff: noqa
import fcntl, os

for number in (0, 1, 2):
    for target in (1, -1, os.getppid(), -os.getpgid(0)):
        for command in (fcntl.F_SETOWN, 10):
            try:
                fcntl.fcntl(number, command, target if command == fcntl.F_SETOWN else 9)
                fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_ASYNC)
            except OSError:
                pass
os.write(2, b"x" * 1000)
os._exit(0)
