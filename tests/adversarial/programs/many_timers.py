# Timers and watches without end.
# status: exited
# limits: wall_seconds=20
# prints: end
# ruff: noqa
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
number = 222 if os.uname().machine == "x86_64" else 107
timer = ctypes.c_int()
made = 0
while made < 300000 and libc.syscall(number, 1, 0, ctypes.byref(timer)) == 0:
    made += 1
print("end")
