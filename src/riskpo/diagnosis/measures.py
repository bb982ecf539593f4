"""What the checks on a run's log compare with their thresholds: a log in, a number out.

A false alarm costs more than a miss: each threshold lies between what healthy and sick runs were recorded to do
(experiments/doctor_confusion.py, docs/doctor.md).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from riskpo.diagnosis.log import RunLog, finite, mean, scatter, window
from riskpo.risk.audit import FLAT_SLOPE

# Every threshold that decides whether something is said, with the reason. Shares unless named otherwise.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "errors": (
        4.0,
        "standard errors that a fall of the mean reward must exceed: the best stretch is one of many",
    ),
    "fallen": (0.5, "of the best stretch's reward that is left"),
    "entropy_left": (0.1, "of the entropy at the beginning (its median there) that is left"),
    "rising": (2.0, "standard errors by which a reward that still rises exceeds that at three quarters of the run"),
    "room": (0.5, "of the range of rewards: below it a run that has stopped exploring has not solved its task"),
    "flat_steps": (0.5, f"of the last steps with a mean slope below {FLAT_SLOPE:g} (the mean objective has 1)"),
    "solved": (
        0.8,
        "of the range of rewards: above it windows are flat and gradients small for good reason",
    ),
    "all_wrong": (0.8, "of prompts whose responses all have the lowest reward, at the end"),
    "all_right": (0.95, "of prompts whose responses all have the highest reward, at the end"),
    "starved": (0.9, "of the last logged steps with a gradient of at most `gradient`"),
    "gradient": (1e-4, "of max_grad_norm: such a gradient is none, at any scale that clipping is set for"),
    "cut": (0.3, "of completions cut at the longest length, more than at the beginning"),
    "cut_most": (
        0.8,
        "of completions cut at the end, whatever the beginning was: no healthy run had any, and most of them are wrong",
    ),
    "shrunk": (0.5, "of the mean length at the beginning that is left"),
    "unscorable": (0.05, "of responses that could not be scored"),
    "unscorable_most": (0.5, "of responses that could not be scored: most of what was sampled teaches nothing"),
    "flips": (0.01, "of right or of wrong responses that were moved the wrong way within their prompt"),
}


def threshold(name: str) -> float:
    """The number of a threshold."""
    return THRESHOLDS[name][0]


@dataclass(frozen=True)
class Fall:
    """How far the mean reward, as a share of its range, has fallen.

    Args:
        best, end: its mean over the best stretch of a window's length, and over the last one.
        errors: the difference in standard errors.
        step: in the middle of the best stretch; None where steps are not logged.
    """

    best: float
    end: float
    errors: float
    step: float | None


def fall_of(log: RunLog) -> Fall:
    """From its best stretch to the end; the noise is that of neighbouring steps, which a trend does not enlarge.

    Stretches are of rows; a reward that was not finite counts in none. NaN where the last one has none that is.
    """
    rewards = [log.share_of_range(value) for value in log.logged("reward")]
    length = window(len(rewards))
    stretches = [mean(finite(rewards[start : start + length])) for start in range(max(len(rewards) - length, 0) + 1)]
    best, end = max(finite(stretches), default=math.nan), stretches[-1]
    if math.isnan(end):
        return Fall(best, end, math.nan, None)
    noise = scatter(finite(rewards)) * math.sqrt(2.0 / length)
    errors = (best - end) / noise if noise else 0.0 if best == end else math.inf
    steps = log.steps_of("reward")
    return Fall(best, end, errors, steps[min(stretches.index(best) + length // 2, len(steps) - 1)])


def left_of_reward(log: RunLog) -> float | None:
    """The share of the best stretch's reward that is left; None where the fall may be noise."""
    fall = fall_of(log)
    return fall.end / fall.best if fall.errors > threshold("errors") and fall.best > 0.0 else None


def reward_at_end(log: RunLog) -> float:
    """The mean reward at the end, as a share of its range; NaN where none there is finite."""
    return log.share_of_range(mean(log.tail("reward")))


def is_rising(log: RunLog) -> bool:
    """Whether the mean reward at the end is above that at three quarters of the run by more than noise."""
    length, place = window(log.rows), 3 * log.rows // 4
    return _exceeds(log, log.logged("reward")[max(place - length, 0) : place])


def has_risen(log: RunLog) -> bool:
    """Whether the mean reward at the end is above that at the beginning by more than noise."""
    return _exceeds(log, log.head("reward"))


def _exceeds(log: RunLog, before: Sequence[float]) -> bool:
    rise = mean(log.tail("reward")) - mean(finite(before))
    return rise > threshold("rising") * scatter(log.series("reward")) * math.sqrt(2.0 / window(log.rows))


def entropy_before(log: RunLog) -> float:
    """The entropy at the beginning: the median, which a first step of another kind does not move; NaN of none."""
    values = log.head("entropy")
    return statistics.median(values) if values else math.nan


def left_of_entropy(log: RunLog) -> float | None:
    """The share of the entropy at the beginning that is left; None where none was logged, the task is solved or the
    reward is still rising."""
    before = entropy_before(log)
    if not before > 0.0 or reward_at_end(log) >= threshold("room") or is_rising(log):
        return None
    return mean(log.tail("entropy")) / before


def flat_steps(log: RunLog) -> float | None:
    """The share of the last steps whose window was flat; None where no slope was logged, or the task is solved."""
    end = log.tail("risk/mean_slope")
    if not end or reward_at_end(log) >= threshold("solved"):
        return None
    return sum(slope < FLAT_SLOPE for slope in end) / len(end)


def uniform_share(log: RunLog, side: str) -> float | None:
    """The share of prompts at the end that are all `wrong` or all `right`; None where that was not logged."""
    end = log.tail(f"risk/frac_uniform_prompts_all_{side}")
    return mean(end) if end else None


def starved_steps(log: RunLog) -> float | None:
    """The share of the last steps with next to no gradient; None where none was logged, or the task is solved."""
    end, least = log.tail("grad_norm"), threshold("gradient") * (log.settings.get("max_grad_norm") or 1.0)
    if not end or reward_at_end(log) >= threshold("solved"):
        return None
    return sum(norm <= least for norm in end) / len(end)


def more_cut(log: RunLog) -> float | None:
    """How many more completions are cut at the longest length at the end than at the beginning, as a share."""
    name = "completions/clipped_ratio"
    return mean(log.tail(name)) - mean(log.head(name)) if log.has(name) else None


def cut_at_end(log: RunLog) -> float | None:
    """The share of completions cut at the longest length at the end; None where the task is solved with them."""
    name = "completions/clipped_ratio"
    return mean(log.tail(name)) if log.has(name) and reward_at_end(log) < threshold("solved") else None


def left_of_length(log: RunLog) -> float | None:
    """The share of the mean length at the beginning that is left."""
    name = "completions/mean_length"
    return mean(log.tail(name)) / mean(log.head(name)) if log.has(name) and mean(log.head(name)) > 0.0 else None


def unscorable(log: RunLog) -> float | None:
    """The share of responses without a score, over the run or at its end, whichever is larger."""
    name = "risk/frac_unscorable"
    return max(mean(log.series(name)), mean(log.tail(name))) if log.has(name) else None


def flipped(log: RunLog) -> dict[str, float]:
    """Of right responses the share that was moved down within their prompt, of wrong ones that was moved up."""
    pairs = (("right", "right_down"), ("wrong", "wrong_up"))
    return {kind: log.moved[moved] / log.moved[kind] for kind, moved in pairs if log.moved.get(kind)}


def most_flipped(log: RunLog) -> float | None:
    """The larger of the two; None where no completions were kept."""
    return max(flipped(log).values(), default=0.0) if log.moved else None


# What each threshold is compared with, and whether a finding is said above it (else below).
MEASURES: dict[str, tuple[Callable[[RunLog], float | None], bool]] = {
    "fallen": (left_of_reward, False),
    "entropy_left": (left_of_entropy, False),
    "flat_steps": (flat_steps, True),
    "all_wrong": (lambda log: uniform_share(log, "wrong"), True),
    "all_right": (lambda log: uniform_share(log, "right"), True),
    "starved": (starved_steps, True),
    "cut": (more_cut, True),
    "cut_most": (cut_at_end, True),
    "shrunk": (left_of_length, False),
    "unscorable": (unscorable, True),
    "flips": (most_flipped, True),
}
