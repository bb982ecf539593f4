"""The log of a run: its metrics as columns, its settings, and which way its responses were moved."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json
from riskpo.errors import DataError

Value = float | None

# A run of so few logged steps says nothing: the least that can be told from noise is two windows of five.
LEAST_ROWS = 10
LEAST_WINDOW = 5


@dataclass(frozen=True)
class RunLog:
    """What a run has logged.

    Args:
        columns: metric to values, one a logged step in order; None where a row lacks it, NaN where it was not finite.
        settings: the options of the run, as in its arguments.json; empty where they are not known.
        moved: of the logged completions, how many `right` and `wrong` responses there are and how many were moved the
            wrong way within their prompt (`right_down`, `wrong_up`); empty where no completions were kept.
    """

    columns: dict[str, list[Value]]
    settings: dict[str, Any] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many logged steps have a reward: with several updates of a generation, one of them has."""
        return len(self.series("reward"))

    def has(self, name: str) -> bool:
        """Whether any row holds the metric."""
        return bool(self.series(name))

    def series(self, name: str) -> list[float]:
        """The values of a metric where it was logged and finite."""
        return [value for value in self.columns.get(name, ()) if value is not None and math.isfinite(value)]

    def steps_of(self, name: str) -> list[float | None]:
        """The steps of the values of `series`; None where a step was not logged."""
        values = self.columns.get(name, ())
        steps = self.columns.get("step", [None] * len(values))
        pairs = zip(steps, values, strict=True)
        return [step for step, value in pairs if value is not None and math.isfinite(value)]

    def head(self, name: str) -> list[float]:
        """The first tenth, at least five."""
        values = self.series(name)
        return values[: window(len(values))]

    def tail(self, name: str) -> list[float]:
        """The last tenth, at least five."""
        values = self.series(name)
        return values[-window(len(values)) :]

    def share_of_range(self, reward: float) -> float:
        """A mean reward as a share of the declared range of rewards (0 to 1 where none is known)."""
        low, high = self.settings.get("reward_range") or (0.0, 1.0)
        return float((reward - low) / (high - low))


def window(rows: int) -> int:
    """The length of the windows that a run's beginning, best and end are read from: a tenth, at least five rows."""
    return max(LEAST_WINDOW, rows // 10)


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def scatter(values: Sequence[float]) -> float:
    """The standard deviation of a value about the trend, from successive differences (von Neumann 1941).

    Unlike the deviation about the mean it does not grow with a rise or a fall; infinite for fewer than two values.
    """
    if len(values) < 2:
        return math.inf
    return math.sqrt(mean([(after - before) ** 2 for before, after in itertools.pairwise(values)]) / 2.0)


def as_log(rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any] | None = None) -> RunLog:
    """The log of rows of metrics, as in metrics.jsonl, where null is a number that was not finite.

    Rows with neither loss nor reward (evaluations) and what is no number are left out.
    """
    kept = [row for row in rows if "reward" in row or "loss" in row]
    names = dict.fromkeys(name for row in kept for name, value in row.items() if _is_number(value))
    return RunLog({name: [_number(row, name) for row in kept] for name in names}, dict(settings or {}))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _number(row: Mapping[str, Any], name: str) -> Value:
    if name not in row or not _is_number(row[name]):
        return None
    return math.nan if row[name] is None or not math.isfinite(row[name]) else float(row[name])


def read_run(folder: Path) -> RunLog:
    """The log of a run's folder, or of a metrics.jsonl.

    Raises:
        DataError: no such folder, no metrics in it, or a line that is no JSON object.
    """
    path = folder / "metrics.jsonl" if folder.is_dir() else folder
    if not path.is_file():
        raise DataError(
            f"{folder} holds no metrics.jsonl: give the folder of a run (riskpo train makes runs/NAME), or a file of "
            "metrics, a JSON object a line."
        )
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break  # the run goes on, and is writing it
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: expected an object, got {type(row).__name__}.")
        rows.append(row)
    arguments = path.parent / "arguments.json"
    log = as_log(rows, read_json(arguments) if arguments.is_file() else None)
    if not log.rows:
        raise DataError(f"{path} holds no step with the metric reward: nothing was logged, or by another program.")
    return RunLog(log.columns, log.settings, _moved(path.parent / "completions", log.settings))


def _moved(folder: Path, settings: Mapping[str, Any]) -> dict[str, float]:
    """Counts over the logged completions; none where there are no files with rewards and advantages.

    Weighted rewards are none either: the files hold them without their weights.
    """
    weighted = any(weight != 1.0 for weight in settings.get("reward_weights") or ())
    if weighted or not folder.is_dir() or not any(folder.glob("*.parquet")):
        return {}
    import torch

    from riskpo.risk.diagnostics import sign_flips
    from riskpo.rollouts.read import read_rollouts

    ends = tuple(settings.get("reward_range") or (0.0, 1.0))
    totals: dict[str, float] = {}
    for step in read_rollouts([folder]).steps:
        if step.advantages_PG is None:
            return {}
        advantages_PG = torch.nan_to_num(step.advantages_PG, nan=0.0)
        for name, count in sign_flips(step.rewards_PG, advantages_PG, (ends[0], ends[1])).items():
            totals[name] = totals.get(name, 0.0) + count
    return {name: totals[name] for name in ("right", "wrong", "right_down", "wrong_up")}
