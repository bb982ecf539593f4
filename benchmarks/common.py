"""What every benchmark shares: where it ran, how long things took, and the JSON file that keeps both.

from common import environment, interleaved, ratio, summary, write
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import riskpo

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def environment(seed: int) -> dict[str, Any]:
    """What is needed to run the same again: the code, the seed, the versions and the machine."""
    return {
        "commit": _git("rev-parse", "HEAD") or "uncommitted",
        "changed_since_commit": bool(_git("status", "--porcelain", "--", "src", "benchmarks/*.py")),
        "seed": seed,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "riskpo": riskpo.__version__},
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "threads_used": torch.get_num_threads()},
        "load_average": round(os.getloadavg()[0], 2),
    }


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


def _git(*arguments: str) -> str:
    """The output of a git command; empty where it fails (no repository, no commit yet)."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu() -> str:
    """The processor's name; /proc knows it better than `platform` does on Linux."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
