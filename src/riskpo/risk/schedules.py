"""Options that change over training: piecewise linear numbers, piecewise constant names, the adaptive upper level."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskpo.errors import ConfigError, unknown_name

# What may change while a run goes on: never what decides how many prompts or responses a step needs, or their rewards.
SCHEDULABLE = ("measure", "risk_low", "risk_high", "tail_weight", "inner", "inner_share", "entropic_beta", "k")


@dataclass(frozen=True)
class Schedule:
    """One option's value over training.

    Args:
        points: (progress, value) with progress in [0, 1], strictly increasing, the first at 0. Between two points
            numbers are interpolated linearly; names and counts keep the value of the last point reached. After the last
            point the value stays.
    """

    points: tuple[tuple[float, Any], ...]

    def at(self, progress: float) -> Any:
        """The value when a share `progress` of the training is done."""
        index = bisect.bisect_right([start for start, _ in self.points], progress) - 1
        start, value = self.points[max(index, 0)]
        if index < 0 or index + 1 == len(self.points) or not isinstance(value, float):
            return value
        end, following = self.points[index + 1]
        return value + (following - value) * (progress - start) / (end - start)


def parse_schedule(given: Any) -> tuple[tuple[str, Schedule], ...]:
    """Schedules from YAML or JSON: {option: {progress: value, ...}, ...}; canonical, so that equal ones are equal.

    Raises:
        ConfigError: an option that cannot change, or points that are no schedule.
    """
    if isinstance(given, tuple):
        return given
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(f"`schedule` must map options to {{progress: value}}, got {given!r}.")
    return tuple(sorted((option, _parse_points(option, points)) for option, points in given.items()))


def plain_schedule(schedules: tuple[tuple[str, Schedule], ...] | None) -> dict[str, dict[str, Any]] | None:
    """The inverse of `parse_schedule`, with text for keys, as JSON has it."""
    if schedules is None:
        return None
    return {
        option: {repr(start).removesuffix(".0"): value for start, value in schedule.points}
        for option, schedule in schedules
    }


def _parse_points(option: str, points: Any) -> Schedule:
    if option not in SCHEDULABLE:
        raise ConfigError(unknown_name("option in `schedule`", option, SCHEDULABLE))
    if not isinstance(points, Mapping) or not points:
        raise ConfigError(f"`schedule` of {option} must map progress in [0, 1] to values, got {points!r}.")
    parsed = []
    for progress, value in points.items():
        try:
            start = float(progress)  # JSON has text for keys
        except (TypeError, ValueError):
            start = math.nan
        if not 0.0 <= start <= 1.0:
            raise ConfigError(f"`schedule` of {option}: progress must lie in [0, 1], got {progress!r}.")
        is_name, is_count = option in ("measure", "inner"), option == "k"
        if isinstance(value, bool) or not isinstance(value, str if is_name else int if is_count else (int, float)):
            wanted = "names" if is_name else "integers" if is_count else "numbers"
            raise ConfigError(f"`schedule` of {option} takes {wanted}, got {value!r}.")
        parsed.append((start, value if is_name or is_count else float(value)))
    parsed.sort(key=lambda point: point[0])
    starts = [start for start, _ in parsed]
    if starts[0] != 0.0 or len(set(starts)) < len(starts):
        raise ConfigError(f"`schedule` of {option} must start at progress 0 and name each progress once, got {starts}.")
    return Schedule(tuple(parsed))


@dataclass(frozen=True)
class AdaptiveLevel:
    r"""The upper level that keeps the signal from going flat (the paper leaves adaptive levels open; derived here).

    The mean slope of a step is lambda = E[A(S + r_max) - A(S + r_min)] / (r_max - r_min) over the scores S of a
    response's partners: the factor of the gradient of the mean reward, 1 for the mean objective. Where most scores tie
    (nearly all bundles at 0, say) F^-1(risk_high) can lie on the lowest atom, and lambda falls to 0: the window is
    degenerate. The level then follows

        risk_high <- clip(risk_high + lr (target - lambda), lowest, highest).

    For MVaR lambda does not fall when risk_high rises (the window widens upwards), so the fixed points are lambda =
    target, or an end of the range where the target is out of reach. For other measures it can fall: they are refused.

    Args:
        target: the wanted mean slope, > 0.
        lr: step of the level, > 0.
        lowest, highest: the range of the level.
    """

    target: float
    lr: float
    lowest: float
    highest: float

    def update(self, level: float, mean_slope: float) -> float:
        """The level for the next step."""
        return min(max(level + self.lr * (self.target - mean_slope), self.lowest), self.highest)
