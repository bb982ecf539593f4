"""`compute_score` for verl: the rewards of this package, and the user's own, judged one response at a time.

    reward.custom_reward_function.path=pkg://riskpo.engines.verl.reward
    +reward.custom_reward_function.reward_kwargs.reward=[math:dapo]

verl calls it from threads of its reward workers: no signals, one verifier a process. Imports neither verl nor torch.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from riskpo.errors import ConfigError, RewardError
from riskpo.rewards.adapters import ComputeScore, VerifierReward
from riskpo.rewards.registry import REWARDS, make_reward, own_reward
from riskpo.rewards.shaping import WeightedSum

# What cannot be had one response at a time, and what there is instead.
_REFUSED = {
    "soft_overlong": "it counts tokens, which verl does not hand over: use verl's own reward.reward_manager.name=dapo "
    "with reward.reward_kwargs.overlong_buffer_cfg",
    "code:dense": "it weighs tests over a prompt's responses, and verl scores each by itself: use code:fraction",
}

# Where a run's rows keep their prompt for rewards that ask for it, as JSON: verl hands over none.
PROMPT = "prompt_json"
_TAKEN = ("self", "prompts", "completions", PROMPT)

_making = threading.Lock()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str | Sequence[str] = ("math",),
    weights: Sequence[float] | None = None,
    **_: Any,
) -> dict[str, Any]:
    """The score of one response, in verl's signature.

    Args:
        data_source: verl's; not looked at.
        solution_str: the response.
        ground_truth: the gold answer, or JSON of the columns that a task's tests are in (`riskpo tasks export`).
        extra_info: the other columns.
        reward: names as in `riskpo train --reward`, or `package.module:function` in TRL's signature; several are added.
        weights: one for each.

    Returns:
        `score`, NaN where the response could not be judged: its advantage is then 0, and it is nobody's partner.
        `acc`, what verl's validation counts: the first reward's score, 0 where it could not judge. `scored`, and for a
        verifier `verdict`, `verdict_answer`, `verdict_reason`.

    Raises:
        ConfigError: a reward that does not exist or cannot be had here.
        RewardError: a user's function that gives anything but one number or None.
    """
    names = (reward,) if isinstance(reward, str) else tuple(reward)
    if not names:
        raise ConfigError("reward_kwargs.reward names no reward: math, code, ..., or package.module:function.")
    score = _scorer(names, None if weights is None else tuple(weights))
    return score(solution_str, ground_truth, dict(extra_info or {}), data_source)


def check_rewards(names: Sequence[str]) -> None:
    """Raises ConfigError for rewards that `compute_score` cannot give."""
    for name in names:
        if name in _REFUSED:
            raise ConfigError(f"reward {name} is not to be had under verl: {_REFUSED[name]}.")
        if name not in REWARDS and (":" not in name or name.split(":")[0] in REWARDS):
            make_reward(name)  # says what there is


def _scorer(names: tuple[str, ...], weights: tuple[float, ...] | None) -> Callable[..., dict[str, Any]]:
    with _making:  # two first calls at once would start the workers of two verifiers
        return _made(names, weights)


@functools.lru_cache(maxsize=8)
def _made(names: tuple[str, ...], weights: tuple[float, ...] | None) -> Callable[..., dict[str, Any]]:
    check_rewards(names)
    functions = [make_reward(name) if name in REWARDS else own_reward(name) for name in names]
    first = functions[0]
    judge = ComputeScore(first.verifier, "answer") if isinstance(first, VerifierReward) else _Plain(first)
    if len(functions) == 1:
        return functools.partial(_judged, judge, None)
    try:
        total = WeightedSum([_scores_of(judge), *functions[1:]], weights)
    except ValueError as error:
        raise ConfigError(f"reward {list(names)}: {error}") from error
    return functools.partial(_judged, judge, total)


def _judged(
    judge: Callable[..., dict[str, Any]],
    total: WeightedSum | None,
    solution: str,
    truth: Any,
    extra: dict[str, Any],
    source: str,
) -> dict[str, Any]:
    columns = {**extra, **_columns_in(truth), "answer": truth}
    values = judge(source, solution, truth, columns)
    values["acc"] = values["score"] if values["scored"] else 0.0
    if total is None:
        return values
    score = _call(total, solution, columns, judged=values)
    return {**values, "score": float("nan") if score is None else score, "scored": score is not None}


def _columns_in(truth: Any) -> dict[str, Any]:
    """The columns that a gold of tests is JSON of; none for an answer."""
    if not isinstance(truth, str) or not truth.startswith("{"):
        return {}
    try:
        found = json.loads(truth)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _scores_of(judge: Callable[..., dict[str, Any]]) -> Callable[..., list[float | None]]:
    """The judge as a part of a sum: it has judged already."""

    def part(judged: dict[str, Any], **_: Any) -> list[float | None]:
        return [judged["score"] if judged["scored"] else None]

    part.__name__ = str(getattr(judge, "__name__", "judge"))
    return part


class _Plain:
    """A reward function in TRL's signature as `compute_score`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = str(getattr(function, "__name__", type(function).__name__))

    def __call__(self, source: str, solution: str, truth: Any, columns: dict[str, Any]) -> dict[str, Any]:
        del source, truth
        score = _call(self.function, solution, columns)
        return {"score": float("nan") if score is None else score, "scored": score is not None}


def _call(function: Callable[..., Any], solution: str, columns: Mapping[str, Any], **given: Any) -> float | None:
    rows = {name: [value] for name, value in columns.items() if name not in _TAKEN}
    completion = [{"role": "assistant", "content": solution}]  # verl's prompts are conversations
    prompt = columns.get(PROMPT)
    prompt = columns.get("question") if prompt is None else json.loads(prompt)
    scores = list(function(prompts=[prompt], completions=[completion], **{**rows, **given}))
    if len(scores) != 1 or not (scores[0] is None or isinstance(scores[0], (int, float))):
        raise RewardError(
            f"the reward {getattr(function, '__name__', function)} gave {scores!r} for one completion: it takes lists "
            "and gives a list of one number (or None) a completion."
        )
    return None if scores[0] is None else float(scores[0])
