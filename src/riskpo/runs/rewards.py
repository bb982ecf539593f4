"""The reward of a run: built-in ones by name, the user's own by module, several as a weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from riskpo.errors import ConfigError
from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.registry import REWARDS, make_reward, own_reward
from riskpo.rewards.shaping import WeightedSum
from riskpo.risk.config import RiskConfig

# A reward of TRL's, which needs the longest completion that the run allows.
OVERLONG = "soft_overlong"
# What a built-in part can score; the others may do what they like.
_SHAPING = {OVERLONG: (-1.0, 0.0), "tag_format": (0.0, 1.0)}
_OVERLONG_SHARE = 0.2  # of the longest completion is where the punishment begins: DAPO's 4 096 of 20 480 tokens


class RewardOptions(Protocol):
    """The engine's options that a reward depends on."""

    reward_weights: list[float] | None
    max_completion_length: int | None

    @property
    def risk_config(self) -> RiskConfig: ...


@dataclass(frozen=True)
class RunReward:
    """What a run is rewarded by.

    Args:
        train: the reward function that is trained on.
        judge: the first of its parts: what says whether an answer is right, and what an evaluation counts.
        columns: the columns of the data that the built-in parts need.
        names: of its parts; none where a task brings its own.
    """

    train: Callable[..., Any]
    judge: Callable[..., Any]
    columns: tuple[str, ...]
    names: tuple[str, ...] = ()


def run_reward(names: list[str], training: RewardOptions) -> RunReward:
    """The reward of a run. Its weights are taken out of `training.reward_weights`, which TRL would count again.

    Args:
        names: built-in names, `soft_overlong`, or `package.module:function`; the first one judges.
        training: for the weights and the longest completion.

    Raises:
        ConfigError: an unknown name, a name twice, or weights that do not fit.
    """
    if len(set(names)) != len(names):
        raise ConfigError(f"reward names one of its parts twice: {names}. Weigh it instead (reward_weights).")
    if names[0] in _SHAPING:
        raise ConfigError(
            f"reward {names[0]} says nothing about whether an answer is right: name the one that does first, e.g. "
            f"[math, {names[0]}]."
        )
    functions = [load_reward(name, training) for name in names]
    columns = tuple(
        dict.fromkeys(column for name, one in zip(names, functions, strict=True) for column in _columns(name, one))
    )
    if len(functions) == 1:
        return RunReward(functions[0], functions[0], columns, tuple(names))
    try:
        total = WeightedSum(functions, training.reward_weights)
    except ValueError as error:
        raise ConfigError(f"reward {names}: {error}") from error
    _check_range(names, total.weights, training)
    training.reward_weights = None
    return RunReward(total, functions[0], columns, tuple(names))


def _check_range(names: list[str], weights: list[float], training: RewardOptions) -> None:
    """The sum must fit the declared range: better said now than after the first generation."""
    if not all(name in _SHAPING or name in REWARDS for name in names):
        return
    ends = [
        tuple(weight * end for end in _SHAPING.get(name, (0.0, 1.0)))
        for name, weight in zip(names, weights, strict=True)
    ]
    low, high = sum(min(pair) for pair in ends), sum(max(pair) for pair in ends)
    declared = training.risk_config.reward_range
    if low < declared[0] - 1e-9 or high > declared[1] + 1e-9:
        raise ConfigError(
            f"reward {names} with weights {weights} lies between {low:g} and {high:g}, but reward_range is "
            f"{list(declared)}: set reward_range: [{low:g}, {high:g}]."
        )


def load_reward(name: str, training: RewardOptions | None = None) -> Callable[..., Any]:
    """A built-in reward by name, or a function as `package.module:function` (the current folder is searched first).

    Raises:
        ConfigError: an unknown name, or nothing callable there.
    """
    if name == OVERLONG and training is not None:
        return _overlong(training)
    if name in REWARDS or ":" not in name or name.split(":")[0] in REWARDS:
        return make_reward(name)
    return own_reward(name)


def _overlong(training: RewardOptions) -> Callable[..., Any]:
    from trl.rewards import get_soft_overlong_punishment

    longest = training.max_completion_length
    if longest is None:
        raise ConfigError(f"reward {OVERLONG} needs max_completion_length.")
    result: Callable[..., Any] = get_soft_overlong_punishment(longest, max(round(_OVERLONG_SHARE * longest), 1))
    return result


def _columns(name: str, function: Callable[..., Any]) -> tuple[str, ...]:
    if isinstance(function, VerifierReward):
        return function.verifier.columns
    return ("answer",) if name in ("exact", "numeric") else ()
