"""What every benchmark shares: where it ran, how long things took, and the JSON file that keeps both.

from common import environment, interleaved, ratio, summary, write
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from riskpo.runs.environment import describe_environment

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def environment(seed: int) -> dict[str, Any]:
    """What is needed to run the same again: the code, the seed, the versions and the machine, and how busy that was."""
    described = describe_environment()
    described.pop("command")  # names riskpo's own verb; each script's docstring has its command
    return {**described, "seed": seed, "load_average": round(os.getloadavg()[0], 2)}


def interleaved(candidates: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each repetition of each candidate, in turns, so that a slow spell of the machine hits all alike.

    Processor time of this thread, system calls included: for work in one thread it is what the wall clock shows on an
    idle machine, and unlike that it does not count the moments in which other programs have the processor.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(-2, repetitions):  # two to warm up
        for name, candidate in candidates.items():
            start = time.thread_time()
            candidate()
            if repetition >= 0:
                seconds[name].append(time.thread_time() - start)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median and the 5 % and 95 % points, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    points = {"median_ms": statistics.median(seconds), "p5_ms": cuts[0], "p95_ms": cuts[-1]}
    return {name: round(1e3 * point, 4) for name, point in points.items()} | {"repetitions": len(seconds)}


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """The median over the repetitions of one candidate's time by the other's in the same turn."""
    return round(statistics.median(one / other for one, other in zip(seconds, reference, strict=True)), 4)


def write(name: str, content: Mapping[str, Any]) -> Path:
    """Saves benchmarks/results/<name>.json."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
