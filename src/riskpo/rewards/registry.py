"""The built-in rewards by name. Each is made when it is asked for, so that a name costs no import."""

from __future__ import annotations

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


REWARDS: dict[str, tuple[Callable[[], Callable[..., Any]], str]] = {
    "exact": (_exact, "the whole completion is the gold answer, character by character"),
    "numeric": (_numeric, "the last number of the completion is the gold number"),
    "math": (_math(), "mathematical equality of the last \\boxed{}, `Answer:` or `####`"),
    "math:boxed": (_math("boxed"), "... of the last \\boxed{} alone"),
    "math:gsm8k-strict": (_math("gsm8k-strict"), "... of the number after ####"),
    "math:gsm8k-flexible": (_math("gsm8k-flexible"), "... of the last number anywhere"),
    "math:dapo": (_math("dapo"), "... of the last `Answer:` line"),
    "choice": (_choice, "a letter, an option's text, or a number: columns answer, options"),
    "code": (_code("all"), "a program that passes all its tests, in the sandbox"),
    "code:bare": (_code("all", bare=True), "the same; a text without a fence is a program, or continues the prompt"),
    "code:fraction": (_code("fraction"), "the share of tests that it passes"),
    "code:dense": (_code("dense"), "the share, rare tests weighing more (VeRPO)"),
    "tag_format": (_tag_format, "<think>...</think>, then text; to be added to another"),
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
    return REWARDS[name][0]()
