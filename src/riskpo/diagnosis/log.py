"""The log of a run: its metrics as columns, its settings, and which way its responses were moved."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskpo.errors import DataError
from riskpo.runs.files import read_metrics, read_object

if TYPE_CHECKING:
    from riskpo.risk.audit import LoggedStep

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
        unread: why the completions could not be counted; empty where they were, or where there are none.
    """

    columns: dict[str, list[Value]]
    settings: dict[str, Any] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)
    unread: str = ""

    @property
    def rows(self) -> int:
        """How many rows hold a reward, finite or not: with several updates of a generation, one of them does."""
        return len(self.logged("reward"))

    def logged(self, name: str) -> list[float]:
        """The values of a metric in the rows that hold it, NaN where they were not finite."""
        return [value for value in self.columns.get(name, ()) if value is not None]

    def steps_of(self, name: str) -> list[float | None]:
        """The steps of the values of `logged`; None where a step was not logged."""
        values = self.columns.get(name, ())
        steps = self.columns.get("step", [None] * len(values))
        return [step for step, value in zip(steps, values, strict=True) if value is not None]

    def series(self, name: str) -> list[float]:
        """The values of a metric where it was logged and finite."""
        return finite(self.logged(name))

    def has(self, name: str) -> bool:
        """Whether any row holds the metric as a finite number."""
        return bool(self.series(name))

    def head(self, name: str) -> list[float]:
        """The finite values in the first tenth of the rows that hold the metric, at least five rows."""
        values = self.logged(name)
        return finite(values[: window(len(values))])

    def tail(self, name: str) -> list[float]:
        """The finite values in the last tenth of the rows that hold the metric, at least five rows."""
        values = self.logged(name)
        return finite(values[-window(len(values)) :])

    def tail_left_out(self, name: str) -> int:
        """How many values in those last rows are not finite."""
        values = self.logged(name)[-window(len(self.logged(name))) :]
        return len(values) - len(finite(values))

    @property
    def reward_ends(self) -> tuple[float, float]:
        """The declared smallest and largest reward; 0 and 1 where none are known."""
        low, high = self.settings.get("reward_range") or (0.0, 1.0)
        return float(low), float(high)

    def share_of_range(self, reward: float) -> float:
        """A mean reward as a share of the declared range of rewards."""
        low, high = self.reward_ends
        return (reward - low) / (high - low)


def finite(values: Sequence[float]) -> list[float]:
    """Those that are finite."""
    return [value for value in values if math.isfinite(value)]


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
        DataError: no such folder, no metrics in it, a line that is no JSON object, or arguments that are none.
    """
    path = folder / "metrics.jsonl" if folder.is_dir() else folder
    if not path.is_file():
        raise DataError(
            f"{folder} holds no metrics.jsonl: give the folder of a run (riskpo train makes runs/NAME), or a file of "
            "metrics, a JSON object a line."
        )
    rows = read_metrics(path, steps=False).rows
    arguments = path.parent / "arguments.json"
    settings = read_object(arguments) if arguments.is_file() else {}
    check_settings(settings, arguments)
    log = as_log(rows, settings)
    if not log.rows:
        raise DataError(f"{path} holds no row with a number `reward`: nothing was logged yet, or by another program.")
    try:
        return dataclasses.replace(log, moved=_moved(path.parent, settings))
    except DataError as error:  # of one check; the others need no completions
        return dataclasses.replace(log, unread=str(error).rstrip("."))


def check_settings(settings: Mapping[str, Any], where: Path) -> None:
    """Whether the options that checks rely on are what they should be, where the settings have them.

    Raises:
        DataError: rates that are no numbers, weights that are no list of them, or a range of rewards that is none.
    """
    for name in ("learning_rate", "max_grad_norm"):
        if not _is_number(settings.get(name)):
            raise DataError(f"{where}: {name} must be a number, got {settings[name]!r:.80}.")
    weights = settings.get("reward_weights")
    if weights is not None and not (isinstance(weights, list) and all(map(_is_number, weights))):
        raise DataError(f"{where}: reward_weights must be a list of numbers, got {weights!r:.80}.")
    ends = settings.get("reward_range")
    if ends is None:
        return
    numbers = isinstance(ends, list) and len(ends) == 2 and None not in ends and all(map(_is_number, ends))
    if not numbers or not -math.inf < ends[0] < ends[1] < math.inf:
        raise DataError(f"{where}: reward_range must be two finite numbers, the smaller first, got {ends!r:.80}.")


def _moved(folder: Path, settings: Mapping[str, Any]) -> dict[str, float]:
    """Counts over the completions of a run's folder; none where there are no files of them."""
    if not any((folder / "completions").glob("*.parquet")):
        return {}
    from riskpo.rollouts.files import find_files, without_half
    from riskpo.rollouts.read import read_rollouts

    files = find_files([folder / "completions"])
    if not (folder / "eval" / "after.json").exists():
        files, half = without_half(files)
        if half is not None and not files:
            raise DataError(f"{half} is not whole")
    return moved_of(read_rollouts(files).steps, settings)


def moved_of(steps: Sequence[LoggedStep], settings: Mapping[str, Any]) -> dict[str, float]:
    """How many responses were moved which way (`RunLog.moved`); empty without rewards and advantages.

    Weighted rewards are none either: the files hold them without their weights.
    """
    weights = settings.get("reward_weights") or ()
    if any(weight != 1.0 for weight in weights) or any(step.advantages_PG is None for step in steps):
        return {}
    import torch

    from riskpo.risk.diagnostics import sign_flips

    low, high = settings.get("reward_range") or (0.0, 1.0)
    totals: dict[str, float] = {}
    for step in steps:
        assert step.advantages_PG is not None
        advantages_PG = torch.nan_to_num(step.advantages_PG, nan=0.0)
        for name, count in sign_flips(step.rewards_PG, advantages_PG, (low, high)).items():
            totals[name] = totals.get(name, 0.0) + count
    return {name: totals[name] for name in ("right", "wrong", "right_down", "wrong_up")} if totals else {}
