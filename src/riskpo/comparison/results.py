"""What a finished cell says: right answers, entropy, and its curves over training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from riskpo.atomic import read_json
from riskpo.evaluation.passk import pass_at_k
from riskpo.runs.files import read_metrics

CURVES = ("reward", "entropy")
Curve = dict[int, float]


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Args:
        seed: of the run.
        correct: right samples of each held-out question, in one order for all runs.
        samples: of each question.
        entropy: of the model after training, in nats a token.
        unscorable: the share of samples that could not be judged; they count as wrong.
        before: the right samples before training.
        curves: `reward` and `entropy` by step.
        versions: of what it was run with.
        learning_rate: that it was trained with; None where that is not known.
        not_finite: logged rows whose `reward` or `entropy` was no finite number, if any; no curve has them.
    """

    seed: int
    correct: tuple[int, ...]
    samples: int
    entropy: float
    unscorable: float
    before: tuple[int, ...]
    curves: Mapping[str, Curve]
    versions: Mapping[str, str]
    learning_rate: float | None = None
    not_finite: Mapping[str, int] = field(default_factory=dict)

    def score(self, k: int) -> float:
        """Its pass@k."""
        return float(pass_at_k(np.array(self.correct), self.samples, k).mean())

    def score_before(self, k: int) -> float:
        """pass@k of the model that it began with."""
        return float(pass_at_k(np.array(self.before), self.samples, k).mean())


def read_run(folder: Path, seed: int) -> RunResult:
    """The results in a finished cell's folder."""
    after, before = (read_json(folder / "eval" / f"{name}.json") for name in ("after", "before"))
    arguments = read_json(folder / "arguments.json")
    environment = read_json(folder / "environment.json")
    every = int(max(arguments["logging_steps"], 1))
    rows = read_metrics(folder / "metrics.jsonl").rows
    packages = {name: environment["packages"].get(name, "none") for name in ("torch", "transformers", "trl")}
    return RunResult(
        seed=seed,
        correct=tuple(after["correct"]),
        samples=int(after["samples"]),
        entropy=float(after["entropy"]),
        unscorable=float(after["unscorable"]),
        before=tuple(before["correct"]),
        curves={name: read_curve(rows, name, every) for name in CURVES},
        learning_rate=float(arguments["learning_rate"]),
        not_finite={name: bad for name in CURVES if (bad := sum(_is_bad(row, name) for row in rows))},
        versions={"riskpo": environment["riskpo"], "commit": str(environment["commit"]), **packages},
    )


def _is_bad(row: Mapping[str, Any], name: str) -> bool:
    return name in row and (row[name] is None or not math.isfinite(row[name]))


def read_curve(rows: Sequence[Mapping[str, Any]], name: str, every: int) -> Curve:
    """A logged number at the steps that a run which is never stopped logs.

    A stop in between splits a row in two: one for the steps before and one for those after. The two, weighed by their
    steps, are the row that would have been.

    Args:
        rows: of metrics.jsonl.
        name: of the number.
        every: `logging_steps`.
    """
    parts: dict[int, list[tuple[int, float]]] = {}
    last = 0
    for row in rows:
        step, value = int(row["step"]), row.get(name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            parts.setdefault(-(-step // every) * every, []).append((step - last, float(value)))
        last = step
    return {step: sum(n * value for n, value in part) / sum(n for n, _ in part) for step, part in parts.items()}
