# Starts processes in every way there is, where it may start none.
# status: exited
# prints: []
# ruff: noqa
import ctypes, os, subprocess, sys

started = []


def attempt(name, function):
    try:
        function()
        started.append(name)
    except OSError:
        pass


def fork():
    if os.fork() == 0:
        os._exit(0)


libc = ctypes.CDLL(None, use_errno=True)


def raw(number, *args):
    result = libc.syscall(number, *args)
    if result == 0:
        os._exit(0)
    if result < 0:
        raise OSError


attempt("fork", fork)
attempt("spawn", lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}))
attempt("subprocess", lambda: subprocess.run([sys.executable, "-c", ""], check=True))
attempt("shell", lambda: subprocess.run("id; ls /", shell=True, check=True))
attempt("clone3", lambda: raw(435, ctypes.byref((ctypes.c_uint64 * 11)()), 88))
attempt("clone", lambda: raw(56 if os.uname().machine == "x86_64" else 220, 17, 0, 0, 0, 0))
print(started)
