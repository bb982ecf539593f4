"""The pool of workers: one right outcome for every task, whatever the task does to its worker."""

import contextlib
import copy
import gc
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from riskpo.errors import ConfigError, WorkerError
from riskpo.rewards.worker import Outcome, WorkerPool

TASKS = "tests.rewards.worker_tasks:"
ROOT = Path(__file__).parents[2]
BIG = 10**5000  # more digits than int() parses


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(TASKS + "act", seconds=20.0, memory_mb=512) as made:
        yield made


@pytest.fixture
def quick():
    """For hangs: half a second each."""
    with WorkerPool(TASKS + "act", seconds=0.5, memory_mb=512) as made:
        yield made


def alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(condition, seconds=30.0):
    """Waits for what must come true soon; a slow machine may take its time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.02)


def parents():
    """The parent of every process, zombies included."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = _parent(entry.name)
            except OSError:
                continue
    return found


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children():
    """The processes that this one started, and theirs."""
    tree = parents()
    found, front = set(), {os.getpid()}
    while front:
        front = {pid for pid, parent in tree.items() if parent in front}
        found |= front
    return found


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


# --- values ---


def test_values_in_order():
    with WorkerPool(TASKS + "square") as pool:
        assert [outcome.value for outcome in pool.map([(n,) for n in range(1000)])] == [n * n for n in range(1000)]
        assert pool.map([]) == []
        (outcome,) = pool.map([(12,)])
        assert outcome == Outcome("done", 144, "", outcome.seconds)
        assert 0 <= outcome.seconds < 20


@pytest.mark.parametrize(
    "value",
    [
        None, True, -1, BIG, 0.1, -0.0, math.inf, "", "\ud800 lone", "\0\n\u2028", b"\xff", (), (1, (2,)), [1, [2]],
        {"a": 1}, {1: "a", (2, 3): None}, {1, 2}, frozenset({1}), "x" * 1_000_000,
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) or value < 10 else "big",
)  # fmt: skip
def test_plain_values_keep_their_type(pool, value):
    (outcome,) = pool.map([("same", value)])
    assert outcome.status == "done", outcome.detail
    assert outcome.value == value
    assert type(outcome.value) is type(value)
    if isinstance(value, float):
        assert math.copysign(1, outcome.value) == math.copysign(1, value)


def test_not_a_number_comes_back(pool):
    (outcome,) = pool.map([("same", math.nan)])
    assert math.isnan(outcome.value)


def test_deep_values_never_harm_the_parent(pool):
    shallow, deep = pool.map([("nested", 50), ("nested", 1_000_000)])
    assert shallow.status == "done"
    assert (deep.status, deep.detail.split(":")[0]) == ("error", "RecursionError")


@pytest.mark.parametrize("kind", ["loud", "object", "self"])
def test_a_result_that_is_not_plain_is_an_error(pool, kind):
    (outcome,) = pool.map([(kind,)])
    assert outcome.status == "error"
    assert "cannot be handed over" in outcome.detail


def test_a_task_that_is_not_plain_is_an_error_of_its_own(pool):
    deep = []
    deep.append(deep)  # a cycle is fine
    nested = []
    for _ in range(100_000):
        nested = [nested]
    outcomes = pool.map([("same", 1), ("same", object()), ("same", deep), ("same", nested), ("same", 2), "same"])
    assert statuses(outcomes) == ["done", "error", "done", "error", "done", "error"]
    assert "not a str" in outcomes[5].detail
    assert "builtins.object cannot be handed over" in outcomes[1].detail
    while nested:  # or its own end recurses
        nested = nested[0]


def test_sizes_are_capped():
    with WorkerPool(TASKS + "act", max_bytes=100_000) as pool:
        outcomes = pool.map([("long", 200_000), ("same", "x" * 200_000), ("long", 50_000), ("same", "x" * 50_000)])
    assert statuses(outcomes) == ["error", "error", "done", "done"]
    assert "the most is 100000" in outcomes[0].detail
    assert "the most is 100000" in outcomes[1].detail


# --- failures of a task ---


def test_exceptions(pool):
    outcomes = pool.map(
        [("raise", "value", "wrong"), ("raise", "exit", "0"), ("raise", "interrupt"), ("raise", "sour"), ("recurse",)]
    )
    assert statuses(outcomes) == ["error"] * 5
    details = [outcome.detail for outcome in outcomes]
    assert details[0] == "ValueError: wrong"
    assert details[1].startswith("SystemExit")
    assert details[2].startswith("KeyboardInterrupt")
    assert details[3] == "Sour: (its message raised RuntimeError)"
    assert details[4].startswith("RecursionError")


def test_a_long_message_is_cut(pool):
    (outcome,) = pool.map([("raise", "value", "x" * 1_000_000)])
    assert len(outcome.detail) < 3000


def test_memory(pool):
    outcomes = pool.map([("eat",), ("same", 1), ("eat once", 10_000), ("eat once", 50)])
    assert statuses(outcomes) == ["memory", "done", "memory", "done"]


def test_memory_that_others_left_is_not_held_against_a_task():
    """Each task keeps 100 MiB: a worker of 512 is full after a few, and every task alone fits well."""
    with WorkerPool(TASKS + "act", seconds=20.0, memory_mb=512) as pool:
        outcomes = pool.map([("keep", 100)] * 30)
    assert statuses(outcomes) == ["done"] * 30


def test_without_a_cap():
    with WorkerPool(TASKS + "act", seconds=20.0, memory_mb=None) as pool:
        assert pool.map([("eat once", 600)])[0].value == 600 << 20


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (("exit", 0), "exit code 0"),
        (("exit", 3), "exit code 3"),
        (("kill",), "signal 9"),
        (("segfault",), "signal 11"),
        (("close",), "again and again"),
    ],
)
def test_a_task_that_kills_its_worker_is_a_crash(pool, task, reason):
    outcomes = pool.map([("same", 1), task, ("same", 2)])
    assert statuses(outcomes) == ["done", "crash", "done"]
    assert [outcomes[0].value, outcomes[2].value] == [1, 2]
    assert reason in outcomes[1].detail


def test_a_task_whose_worker_died_is_tried_again(pool, tmp_path):
    (outcome,) = pool.map([("die unless third", str(tmp_path / "attempts"))])
    assert (outcome.status, outcome.value) == ("done", 3)


@pytest.mark.parametrize(
    "task",
    [("spin",), ("sleep", 600), ("ignore and spin",), ("power",), ("regex",), ("stop",)],
    ids=lambda task: task[0],
)
def test_hangs_end(quick, task):
    outcomes = quick.map([("same", 1), task, ("same", 2)])
    assert statuses(outcomes) == ["done", "timeout", "done"]
    assert outcomes[1].seconds == 0.5
    assert "0.5 s" in outcomes[1].detail


def test_the_tasks_after_a_hang_are_not_tried_less(quick):
    """Many in one chunk, and the first hangs: the others come back and are done."""
    outcomes = quick.map([("spin",)] + [("same", n) for n in range(200)])
    assert [outcome.value for outcome in outcomes[1:]] == list(range(200))


def test_printing_disturbs_nothing(pool):
    assert pool.map([("print",), ("same", 1)])[0].value == ""


def test_children_of_a_worker_end_with_it(quick, tmp_path):
    path = str(tmp_path / "pids")
    assert statuses(quick.map([("children", path)], seconds=5.0)) == ["timeout"]
    pids = [int(word) for name in (path, path + ".orphan") for word in Path(name).read_text().split()]
    assert len(pids) == 3
    until(lambda: not any(alive(pid) for pid in pids))


def test_dead_orphans_of_a_worker_at_work_do_not_pile_up(pool):
    server = pool.map([("orphans", 10)])[0].value
    pids = set(pool.pids())

    def of_server():
        return {pid for pid, parent in parents().items() if parent == server}

    assert pids <= of_server()
    until(lambda: of_server() == pids)


def test_a_task_that_kills_the_server_is_a_crash(pool):
    outcomes = pool.map([("kill parent",), ("same", 1)])
    assert statuses(outcomes) == ["crash", "done"]
    assert statuses(pool.map([("same", 2)])) == ["done"]


def test_a_limit_for_one_call(pool):
    assert statuses(pool.map([("sleep", 600)], seconds=0.2)) == ["timeout"]
    assert statuses(pool.map([("sleep", 0.3)])) == ["done"]


def test_a_limit_for_all_tasks(quick):
    outcomes = quick.map([("spin",)] * 50, seconds=0.3, total_seconds=0.5)
    assert statuses(outcomes) == ["timeout"] * 50
    begun = [outcome for outcome in outcomes if "no result within 0.3 s" in outcome.detail]
    assert 1 <= len(begun) < 50
    assert "total_seconds" in outcomes[-1].detail
    assert statuses(quick.map([("same", 1)], total_seconds=60.0)) == ["done"]


# --- many at once ---


def test_64_hangs_leave_turns_for_others(tmp_path):
    """A caller with one task gets it done while another's hangs are far from over."""
    begun = [tmp_path / str(n) for n in range(64)]
    with WorkerPool(TASKS + "act", seconds=0.2) as pool:
        pool.map([("same", 0)])
        hanging = threading.Thread(target=lambda: results.append(pool.map([("touch and spin", str(p)) for p in begun])))
        results = []
        hanging.start()
        until(lambda: sum(path.exists() for path in begun) >= 4)
        for n in range(5):
            assert pool.map([("same", n)])[0].value == n
        assert sum(path.exists() for path in begun) < 48
        assert hanging.is_alive()
        assert results == []
        hanging.join(120)
        assert statuses(results[0]) == ["timeout"] * 64
        assert all(path.exists() for path in begun)


def test_many_threads():
    with WorkerPool(TASKS + "square") as pool:
        results = {}

        def call(start):
            results[start] = [outcome.value for outcome in pool.map([(n,) for n in range(start, start + 50)])]

        threads = [threading.Thread(target=call, args=(100 * k,)) for k in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == {100 * k: [n * n for n in range(100 * k, 100 * k + 50)] for k in range(30)}
        assert len(pool.pids()) <= 2


def test_what_stands_behind_a_slow_task_goes_to_another_worker(tmp_path):
    """All in one chunk: the second task ends only if the third runs elsewhere meanwhile."""
    path = str(tmp_path / "made")
    with WorkerPool(TASKS + "act", seconds=60.0) as pool:
        pool.map([("same", 0)] * 500)  # chunks are large now
        tasks = [("sleep", 0.1), ("wait for", path), ("touch", path)] + [("same", 0)] * 100
        assert statuses(pool.map(tasks)) == ["done"] * len(tasks)


def test_workers_killed_at_random():
    """2 000 tasks while workers die under them: exactly one outcome each, and the right one."""
    rng = random.Random(7)
    with WorkerPool(TASKS + "act", seconds=60.0) as pool:
        over, kills = threading.Event(), 0

        def kill():
            nonlocal kills
            while not over.wait(rng.uniform(0.01, 0.1)):
                pids = pool.pids()
                if pids:
                    try:
                        os.kill(rng.choice(pids), signal.SIGKILL)
                        kills += 1
                    except ProcessLookupError:
                        pass

        killer = threading.Thread(target=kill)
        killer.start()
        expected, outcomes = [], []
        try:
            while len(expected) < 2000 or kills < 50:
                part = [(n, rng.randrange(10**30)) for n in range(500)]
                expected += part
                outcomes += pool.map([("same", pair) if pair[1] % 7 else ("sleep", 0.001) for pair in part])
        finally:
            over.set()
            killer.join()
    assert len(outcomes) == len(expected)
    for outcome, pair in zip(outcomes, expected, strict=True):
        assert outcome.status == "done", outcome
        assert outcome.value == (pair if pair[1] % 7 else None)


def test_workers_that_are_not_killed_stay():
    with WorkerPool(TASKS + "act", seconds=60.0) as pool:
        pool.map([("sleep", 0.3)] * 4)
        pids = set(pool.pids())
        for n in range(300):
            assert pool.map([("same", n), ("same", n)])[1].value == n
        assert len(pids) == 2
        assert set(pool.pids()) == pids


def test_an_interrupt_for_the_whole_job_does_not_reach_the_tasks(tmp_path):
    """Some batch systems send SIGINT to every process."""
    path = str(tmp_path / "made")
    with WorkerPool(TASKS + "act", workers=1, seconds=60.0) as pool:
        waiting = threading.Thread(target=lambda: results.append(pool.map([("wait for", path)])))
        results = []
        waiting.start()
        until(pool.pids)
        for pid in (pool.pids()[0], _parent(pool.pids()[0])):
            os.kill(pid, signal.SIGINT)
        Path(path).touch()
        waiting.join(60)
        assert statuses(results[0]) == ["done"]


def test_idle_workers_that_die_are_replaced(pool):
    for _ in range(3):
        pool.map([("same", n) for n in range(20)])
        for pid in pool.pids():
            os.kill(pid, signal.SIGKILL)
        assert [outcome.value for outcome in pool.map([("same", n) for n in range(20)])] == list(range(20))


def test_a_killed_server_is_replaced():
    with WorkerPool(TASKS + "act", seconds=20.0) as pool:
        pool.map([("same", 1)])
        server = _parent(pool.pids()[0])
        assert "riskpo.rewards.workers.main" in Path(f"/proc/{server}/cmdline").read_text()
        os.kill(server, signal.SIGKILL)
        assert [outcome.value for outcome in pool.map([("same", n) for n in range(20)])] == list(range(20))


def test_recycling():
    with WorkerPool(TASKS + "act", workers=1, recycle_after=5) as pool:
        pids = [pool.map([("pid",)])[0].value for _ in range(12)]
    assert len(set(pids)) == 3


# --- the start ---


def test_the_initializer_runs_once():
    with WorkerPool(TASKS + "warmth", initializer=TASKS + "warm_up", recycle_after=1) as pool:
        for _ in range(3):
            assert pool.map([()])[0].value == (1, True)


def test_what_the_initializer_started_lives_as_long_as_the_workers():
    with WorkerPool(TASKS + "helper", initializer=TASKS + "leave_a_process", recycle_after=1) as pool:
        values = [pool.map([()])[0].value for _ in range(3)]
        (pid,) = {pid for pid, _ in values}
        assert "Z" not in {state for _, state in values}
        assert alive(pid)
    assert not alive(pid)


@pytest.mark.parametrize(
    ("function", "initializer", "text"),
    [
        ("no_such_module_at_all:f", None, "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        (TASKS + "no_such_function", None, "has no attribute 'no_such_function'"),
        (TASKS + "LOADED_IN", None, "is a int, not a function"),
        (TASKS + "same", TASKS + "fail_to_start", "LookupError: the warm-up found nothing"),
        (TASKS + "same", TASKS + "leave_a_thread", "left 1 threads running"),
        (TASKS + "same", TASKS + "use_a_pool", "every worker would start workers"),
    ],
)
def test_what_cannot_start_says_why(function, initializer, text):
    with WorkerPool(function, initializer=initializer) as pool:
        for _ in range(2):
            with pytest.raises(WorkerError, match="can be started") as caught:
                pool.map([(1,)] * 10)
            assert text in str(caught.value)
            assert "Traceback" in str(caught.value)
    assert isinstance(caught.value, RuntimeError)


def test_a_start_that_hangs():
    with (
        WorkerPool(TASKS + "same", initializer=TASKS + "spin_at_start", start_seconds=1.0) as pool,
        pytest.raises(WorkerError, match=r"within 1 s \(start_seconds\)"),
    ):
        pool.map([(1,)])


def test_a_cap_that_is_full_before_the_first_task():
    with WorkerPool(TASKS + "same", memory_mb=5) as pool, pytest.raises(WorkerError, match="Raise it"):
        pool.map([(1,)])


def test_the_environment_of_a_worker(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONINSPECT", "1")
    with WorkerPool(TASKS + "act", environment={"EXTRA": "1"}) as pool:
        environment, modules, argv = (
            outcome.value for outcome in pool.map([("environment",), ("modules",), ("argv",)])
        )
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["EXTRA"] == "1"
    assert not {"HF_TOKEN", "PYTHONINSPECT", "PYTHONPATH"} & set(environment)
    assert not {"torch", "transformers", "trl", "numpy"} & set(modules)
    assert len(argv) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"function": "no colon"}, "names no function"),
        ({"function": "a:b", "initializer": "c"}, "names no function"),
        ({"function": "a:b", "workers": 0}, "workers=0"),
        ({"function": "a:b", "workers": 1.5}, "must be an integer"),
        ({"function": "a:b", "seconds": math.inf}, "seconds=inf"),
        ({"function": "a:b", "memory_mb": -1}, "memory_mb=-1"),
    ],
)
def test_options_out_of_range(options, text):
    with pytest.raises(ConfigError, match=text):
        WorkerPool(**options)


# --- beginning and end ---


def test_nothing_outlives_close(quick):
    gc.collect()
    before = children(), set(os.listdir("/proc/self/fd")), set(threading.enumerate())
    for _ in range(3):
        with WorkerPool(TASKS + "act", workers=3, seconds=0.2) as pool:
            pool.map([("same", n) for n in range(50)] + [("spin",), ("exit", 1)])
            assert len(children()) > len(before[0])
    after = children(), set(os.listdir("/proc/self/fd")), set(threading.enumerate())
    assert after == before


def test_close_ends_what_is_under_way():
    pool = WorkerPool(TASKS + "act", seconds=600.0)
    caught = []

    def call():
        try:
            pool.map([("spin",)] * 10)
        except WorkerError as error:
            caught.append(str(error))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    until(lambda: len(pool.pids()) == 2)
    pids = pool.pids()
    pool.close()
    for caller in callers:
        caller.join(30)
    assert caught == ["the pool of workers was closed while it worked."] * 3
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(WorkerError, match="closed"):
        pool.map([("same", 1)])
    pool.close()


def test_a_pool_that_nobody_holds_ends():
    pool = WorkerPool(TASKS + "square")
    pool.map([(1,)])
    pids = pool.pids()
    pool.itself = pool  # only a collection of garbage finds it
    del pool
    gc.collect()
    until(lambda: not any(alive(pid) for pid in pids))


def test_pickle_and_copy():
    with WorkerPool(TASKS + "square", workers=1, seconds=3.0, memory_mb=None, environment={"A": "b"}) as pool:
        pool.map([(1,)])
        for twin in (pickle.loads(pickle.dumps(pool)), copy.deepcopy(pool)):
            with twin:
                assert twin._options() == pool._options()
                assert twin.function == pool.function
                assert twin.pids() == []
                assert twin.map([(5,)])[0].value == 25
                assert not set(twin.pids()) & set(pool.pids())
        assert pool.map([(6,)])[0].value == 36


def sockets():
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the listing's own
            continue
    return {link for link in links if link.startswith("socket:")}


def test_a_fork_has_workers_of_its_own():
    before = sockets()
    with WorkerPool(TASKS + "square") as pool:
        pool.map([(n,) for n in range(50)])
        pids = set(pool.pids())
        assert sockets() - before
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                copied = sockets() - before
                right = [outcome.value for outcome in pool.map([(n,) for n in range(50)])] == [n * n for n in range(50)]
                apart = bool(pool.pids()) and not set(pool.pids()) & pids
                os.write(write, " ".join(map(str, pool.pids())).encode())
                code = 0 if right and apart and not copied else 2
            finally:
                os._exit(code)  # without close: its workers see that it is gone
        os.close(write)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        theirs = [int(word) for word in os.read(read, 1000).split()]
        os.close(read)
        until(lambda: not any(alive(pid) for pid in theirs))
        assert set(pool.pids()) == pids
        assert all(alive(pid) for pid in pids)
        assert pool.map([(7,)])[0].value == 49


def test_forks_while_threads_work():
    """Forks at any moment: locks are held, workers are being forked; each child still gets its own."""
    with WorkerPool(TASKS + "act", seconds=20.0, recycle_after=3) as pool:
        over = threading.Event()
        right = []

        def work():
            while not over.is_set():
                right.append(
                    [outcome.value for outcome in pool.map([("same", n) for n in range(10)])] == list(range(10))
                )

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(8):
                time.sleep(0.05)
                child = os.fork()
                if child == 0:
                    code = 3
                    try:
                        code = 0 if pool.map([("same", "child")])[0].value == "child" else 2
                        pool.close()
                    finally:
                        os._exit(code)
                end = time.monotonic() + 60
                while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
                    time.sleep(0.01)
                if ended == (0, 0):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                assert ended[0] == child
                assert os.waitstatus_to_exitcode(ended[1]) == 0
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        assert right
        assert all(right)


SCRIPT = """
import os, sys, threading
from riskpo.rewards.worker import WorkerPool

print("main", os.getpid(), flush=True)
pool = WorkerPool("tests.rewards.worker_tasks:act", seconds=600.0)
results = []
thread = threading.Thread(target=lambda: results.append([o.value for o in pool.map([("same", n) for n in range(9)])]))
thread.start()
thread.join()
assert results == [list(range(9))], results
print(*pool.pids(), flush=True)
"""


@contextlib.contextmanager
def run_script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT + text)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen([sys.executable, path], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("end", ["", "pool.close()", "sys.exit(0)"])
def test_a_script_without_a_guard(tmp_path, end):
    """Its main module runs once, and its workers are gone when it is, closed or not."""
    with run_script(tmp_path, end) as process:
        output, _ = process.communicate(timeout=120)
    lines = output.splitlines()
    assert process.returncode == 0
    assert len(lines) == 2
    assert lines[0] == f"main {process.pid}"
    pids = [int(word) for word in lines[1].split()]
    assert pids
    assert not any(alive(pid) for pid in pids)


def test_no_worker_outlives_a_killed_parent(tmp_path):
    """Busy in C code, started a child, or idle: they end when the parent is killed."""
    path = str(tmp_path / "pids")
    text = f"""
for task in [("children", {path!r}), ("power",)]:
    threading.Thread(target=pool.map, args=([task],), daemon=True).start()
import time; time.sleep(600)
"""
    with run_script(tmp_path, text) as process:
        process.stdout.readline()
        pids = [int(word) for word in process.stdout.readline().split()]
        server = _parent(pids[0])
        until(lambda: Path(path).exists() and Path(path).read_text() and Path(path + ".orphan").exists())
        pids += [int(word) for name in (path, path + ".orphan") for word in Path(name).read_text().split()]
        assert all(alive(pid) for pid in [server, *pids])
        assert os.getsid(server) != os.getsid(process.pid)
        process.kill()
    until(lambda: not any(alive(pid) for pid in [server, *pids]))


def test_an_interrupted_caller_leaves_the_workers_free(tmp_path):
    """Ctrl-C in the middle of hangs of ten minutes: the next call has its turn at once."""
    text = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts tests in the background ignores it
try:
    pool.map([("spin",)] * 50)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(pool.map([("same", 5)])[0].value)
"""
    with run_script(tmp_path, text) as process:
        process.stdout.readline()
        pids = [int(word) for word in process.stdout.readline().split()]
        until(lambda: all(cpu_ticks(pid) > 20 for pid in pids))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert output.split() == ["interrupted", "5"]


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_module_is_light():
    code = (
        "import sys, riskpo.rewards.worker; print(*{'torch', 'numpy', 'sympy', 'multiprocessing'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
