"""What the tests of the worker pool run inside its workers."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

LOADED_IN = os.getpid()  # of the server: every worker forked from it has the same
WARM = []


def warm_up():
    WARM.append(os.getpid())


def warmth():
    return len(WARM), WARM[0] == LOADED_IN


def same(value):
    return value


def square(number):
    return number * number


def act(kind, *values):
    """One function with every way to fail, so that a single pool can meet them all."""
    return _ACTS[kind](*values)


class Loud(str):
    """A subclass of a plain type: nothing that may be handed over."""


class Sour(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def _raise(kind, *texts):
    raise {"value": ValueError, "exit": SystemExit, "interrupt": KeyboardInterrupt, "sour": Sour}[kind](*texts)


def _recurse(depth=0):
    return _recurse(depth + 1)


def _spin():
    while True:
        pass


def _touch(path, content=""):
    with open(path, "w") as file:
        file.write(content)


def _touch_and_spin(path):
    _touch(path)
    _spin()


def _wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def _ignore_and_spin():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _spin()


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def _print_much():
    print("x" * 100_000)
    sys.stderr.write("y" * 100_000)
    os.write(1, b"\0" * 100_000)
    os.write(2, b"\0" * 100_000)
    return sys.stdin.read() if sys.stdin else None


def _die_unless_third(path):
    """Dies twice, then works: each attempt leaves a byte in a file."""
    with open(path, "ab") as file:
        file.write(b".")
    if os.path.getsize(path) < 3:
        os._exit(7)
    return os.path.getsize(path)


def _start_children(path):
    """A child, one that leaves the process group, and an orphan; then hangs."""
    code = "import time; time.sleep(600)"
    children = [subprocess.Popen([sys.executable, "-c", code], start_new_session=new) for new in (False, True)]
    orphan = os.fork()
    if orphan == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        with open(path + ".orphan", "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    os.waitpid(orphan, 0)
    with open(path, "w") as file:
        file.write(" ".join(str(child.pid) for child in children))
    _spin()


def _leave_orphans(count):
    """Processes that end after their parent has: they fall to whoever takes in orphans. The worker lives on."""
    for _ in range(count):
        child = os.fork()
        if child == 0:
            if os.fork():
                os._exit(0)
            time.sleep(0.1)
            os._exit(0)
        os.waitpid(child, 0)
    return os.getppid()


def _kill_parent():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


_ACTS = {
    "same": same,
    "raise": _raise,
    "recurse": _recurse,
    "eat": lambda: [bytearray(1 << 24) for _ in range(1 << 20)],
    "eat once": lambda mebibytes: len(bytearray(mebibytes << 20)),
    "keep": lambda mebibytes: WARM.append(bytearray(mebibytes << 20)),
    "exit": os._exit,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "close": lambda: os.closerange(0, 256),
    "spin": _spin,
    "sleep": time.sleep,
    "touch": _touch,
    "touch and spin": _touch_and_spin,
    "wait for": _wait_for,
    "ignore and spin": _ignore_and_spin,
    "power": lambda: 9**9**9,
    "regex": lambda: re.match(r"(a+)+$", "a" * 60 + "!"),
    "nested": _nested,
    "loud": lambda: Loud("x"),
    "object": lambda: object(),
    "self": lambda: act,
    "print": _print_much,
    "long": lambda size: "x" * size,
    "die unless third": _die_unless_third,
    "children": _start_children,
    "orphans": _leave_orphans,
    "kill parent": _kill_parent,
    "pid": os.getpid,
    "environment": lambda: dict(os.environ),
    "modules": lambda: sorted(sys.modules),
    "argv": lambda: list(sys.argv),
}


def leave_a_thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def leave_a_process():
    WARM.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)


def helper():
    return WARM[0], open(f"/proc/{WARM[0]}/stat").read().rpartition(")")[2].split()[0]


def use_a_pool():
    from riskpo.rewards.worker import WorkerPool

    with WorkerPool("tests.rewards.worker_tasks:same", initializer="tests.rewards.worker_tasks:use_a_pool") as pool:
        pool.map([(1,)])


def fail_to_start():
    raise LookupError("the warm-up found nothing")


def spin_at_start():
    _spin()
