# Types into the terminal that started all this.
# status: exited
# prints: []
# ruff: noqa
import fcntl, os

typed = []
for command in (0x5412, 0x541C, 0x100005412):
    for number in (0, 1, 2):
        try:
            fcntl.ioctl(number, command & 0xFFFFFFFF, b"x")
            typed.append(number)
        except OSError as error:
            if error.errno != 1:
                typed.append(error.errno)
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
    typed.append("tty")
except OSError:
    pass
print(typed)
