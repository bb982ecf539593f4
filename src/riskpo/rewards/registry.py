"""The built-in rewards by name. Each is made when it is asked for, so that a name costs no import."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Literal

from riskpo.errors import ConfigError, unknown_name

Score = Literal["all", "fraction", "dense"]


def _exact() -> Callable[..., Any]:
    from riskpo.rewards.match import exact_match

    return exact_match


def _numeric() -> Callable[..., Any]:
    from riskpo.rewards.match import numeric_match

    return numeric_match


def _math(convention: str | None = None) -> Callable[[], Callable[..., Any]]:
    def make() -> Callable[..., Any]:
        from riskpo.rewards.adapters import VerifierReward
        from riskpo.rewards.math import MathVerifier

        return VerifierReward(MathVerifier() if convention is None else MathVerifier(convention))

    return make


def _choice() -> Callable[..., Any]:
    from riskpo.rewards.adapters import VerifierReward
    from riskpo.rewards.choice import ChoiceVerifier

    return VerifierReward(ChoiceVerifier())


def _code(score: Score, bare: bool = False) -> Callable[[], Callable[..., Any]]:
    def make() -> Callable[..., Any]:
        from riskpo.rewards.adapters import VerifierReward
        from riskpo.rewards.code import CodeVerifier

        return VerifierReward(CodeVerifier(score=score, bare=bare))

    return make


def _tag_format() -> Callable[..., Any]:
    from riskpo.rewards.shaping import TagFormat

    return TagFormat()


# What each says is right stands in docs/rewards.md.
REWARDS: dict[str, Callable[[], Callable[..., Any]]] = {
    "exact": _exact,
    "numeric": _numeric,
    "math": _math(),
    "math:boxed": _math("boxed"),
    "math:gsm8k-strict": _math("gsm8k-strict"),
    "math:gsm8k-flexible": _math("gsm8k-flexible"),
    "math:dapo": _math("dapo"),
    "choice": _choice,
    "code": _code("all"),
    "code:bare": _code("all", bare=True),
    "code:fraction": _code("fraction"),
    "code:dense": _code("dense"),
    "tag_format": _tag_format,
}


def make_reward(name: str) -> Callable[..., Any]:
    """The built-in reward of a name.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in REWARDS:
        raise ConfigError(
            unknown_name("reward", name, REWARDS)
            + " In a run also soft_overlong, beside another. Or your own function: "
            "package.module:function."
        )
    return REWARDS[name]()


def own_reward(name: str) -> Callable[..., Any]:
    """A user's reward function, `package.module:function`; the current folder is searched first.

    Raises:
        ConfigError: nothing callable there.
    """
    module_name, function_name = name.split(":", 1)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # importing runs the user's code: whatever it raises, the reward cannot be loaded
        raise ConfigError(f"the reward {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise ConfigError(f"the reward {name!r} is a {type(function).__name__}, not a function.")
    result: Callable[..., Any] = function
    return result
