"""What does a sandbox cost beside a plain subprocess, one at a time and many at once? And an exchange of a session?

    python benchmarks/sandbox.py        # about two minutes; writes benchmarks/results/sandbox.json

Each program is `print(int(input()) + 1)`, its output checked. `plain` is `python -I -S` by `subprocess.run`, without
limits and without watching: what nobody should use for a model's programs, and the least that any way can cost. Wall
clock, in turns, so that a slow spell of the machine hits all alike; ratios are those of the same turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common import environment, ratio, summary, write

from riskpo.rewards.sandbox import Sandbox, open_sandbox

THREADS = (1, 4, 16)
PROGRAM = "print(int(input()) + 1)"
ECHO = "while True: print(input(), flush=True)"
PER_TURN, TURNS, EXCHANGES = 32, 12, 1000


def in_sandbox(sandbox: Sandbox) -> Callable[[int], None]:
    def run(number: int) -> None:
        done = sandbox.run(PROGRAM, b"%d" % number)
        assert (done.status, done.stdout) == ("exited", b"%d\n" % (number + 1)), done

    return run


def plain(number: int) -> None:
    command = [sys.executable, "-I", "-S", "-c", PROGRAM]
    done = subprocess.run(command, input=b"%d" % number, capture_output=True, check=True)
    assert done.stdout == b"%d\n" % (number + 1)


def measure_runs(runs: dict[str, Callable[[int], None]], threads: int) -> dict[str, Any]:
    """Milliseconds per program, as all of a turn by their number, and programs per second."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with ThreadPoolExecutor(threads) as pool:
        for turn in range(-1, TURNS):  # one to warm up
            for name, run in runs.items():
                start = time.perf_counter()
                list(pool.map(run, range(PER_TURN)))
                if turn >= 0:
                    seconds[name].append((time.perf_counter() - start) / PER_TURN)
    return {
        name: {
            **summary(each),
            "per_second": round(1 / statistics.median(each), 1),
            "by_plain": ratio(each, seconds["plain"]),
        }
        for name, each in seconds.items()
    }


def measure_exchanges(sandboxes: dict[str, Sandbox]) -> dict[str, Any]:
    """Milliseconds per exchange of a short line, and exchanges per second, in one session each."""
    seconds: dict[str, list[float]] = {name: [] for name in sandboxes}
    for _ in range(TURNS):
        for name, sandbox in sandboxes.items():
            with sandbox.session(ECHO) as session:
                session.exchange(b"warm", 10)
                start = time.perf_counter()
                for number in range(EXCHANGES):
                    assert session.exchange(b"%d" % number, 10) == b"%d" % number
                seconds[name].append((time.perf_counter() - start) / EXCHANGES)
    return {name: {**summary(each), "per_second": round(1 / statistics.median(each))} for name, each in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    most = max(THREADS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sandboxes = {name: open_sandbox(name, parallel=most) for name in ("bubblewrap", "unsafe-subprocess")}
    runs: dict[str, Callable[[int], None]] = {"plain": plain}
    runs |= {name: in_sandbox(sandbox) for name, sandbox in sandboxes.items()}
    start = time.perf_counter()
    open_sandbox("bubblewrap")
    opening = time.perf_counter() - start
    results = {f"{threads} threads": measure_runs(runs, threads) for threads in THREADS}
    exchanges = measure_exchanges(sandboxes)
    print(f"{'':>12} {'':<18} {'median ms':>9} {'5 %':>8} {'95 %':>8} {'per s':>8} {'/ plain':>8}")
    for threads, by_name in results.items():
        for name, times in by_name.items():
            points = (
                f"{times['median_ms']:9.2f} {times['p5_ms']:8.2f} {times['p95_ms']:8.2f} {times['per_second']:8.1f}"
            )
            print(f"{threads:>12} {name:<18} {points} {times['by_plain']:8.2f}")
    for name, times in exchanges.items():
        print(f"    exchange {name:<18} {times['median_ms']:9.3f} {'':>17} {times['per_second']:8d}")
    content = {
        "environment": environment(seed=0),
        "sandboxes": {name: sandbox.describe().replace(sys.prefix, "...") for name, sandbox in sandboxes.items()},
        "open_and_probe_s": round(opening, 2),
        "programs_per_turn": PER_TURN,
        "runs": results,
        "exchanges": exchanges,
    }
    print(f"written to {write('sandbox', content)}")


if __name__ == "__main__":
    main()
