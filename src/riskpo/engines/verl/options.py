"""`algorithm.adv_estimator` and `algorithm.riskpo.*` of verl's configuration, validated as everywhere else.

Imports neither verl nor torch's distributed parts: the command line checks a run with it before a cluster is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskpo.engines.options import RISK_OPTIONS, risk_config_of, schedule_of
from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.config import CHOICES, RiskConfig
from riskpo.risk.presets import PRESETS

# What verl calls its own; ours of these names go by `riskpo_NAME`. tests/engines_verl/test_verl_names.py compares.
VERL_ESTIMATORS = frozenset(
    {
        "gae",
        "grpo",
        "reinforce_plus_plus",
        "reinforce_plus_plus_baseline",
        "remax",
        "rloo",
        "opo",
        "grpo_passk",
        "gpg",
        "rloo_vectorized",
        "grpo_vectorized",
        "optimal_token_baseline",
        "tir_optimal_token_baseline",
        "gdpo",
    }
)

# verl's trainer mode by ours.
TRAINER_MODES = {
    "riskpo_sync": "sync",
    "riskpo_colocate_async": "colocate_async",
    "riskpo_separate_async": "separate_async",
}

OPTIONS = ("preset", "scale_rewards", "seed", "log_covariances", *RISK_OPTIONS)

# `algorithm.adv_estimator` to our estimator; `riskpo` leaves it to the preset.
ESTIMATORS: dict[str, str | None] = {
    "riskpo": None,
    **{
        (f"riskpo_{name}" if name in VERL_ESTIMATORS else name): name
        for name in CHOICES["estimator"]
        if name != "riskpo"
    },
}


@dataclass(frozen=True)
class VerlOptions:
    """What a run under verl computes advantages with.

    Args:
        risk: the estimator's options.
        seed: of compositions and pairings.
        log_covariances: whether `risk/cov_logp_*` are logged; costs one more read of the log-probabilities a step.
    """

    risk: RiskConfig
    seed: int
    log_covariances: bool


def read_options(adv_estimator: str, given: Mapping[str, Any] | None, data_seed: int | None = None) -> VerlOptions:
    """The options behind `algorithm.adv_estimator` and `algorithm.riskpo`.

    Args:
        adv_estimator: one of `ESTIMATORS`.
        given: the mapping `algorithm.riskpo`, with any of `OPTIONS`; None values count as not given.
        data_seed: `data.seed`, the seed where none is given; 42 where there is none either.

    Raises:
        ConfigError: an unknown name (with the nearest right one), a value out of range, two names for the estimator.
    """
    options = {name: value for name, value in (given or {}).items() if value is not None}
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(unknown_name("option of algorithm.riskpo", name, OPTIONS))
    if adv_estimator not in ESTIMATORS:
        raise ConfigError(unknown_name("algorithm.adv_estimator for a riskpo trainer", adv_estimator, ESTIMATORS))
    named = ESTIMATORS[adv_estimator]
    if named is not None and options.get("estimator", named) != named:
        raise ConfigError(
            f"algorithm.adv_estimator={adv_estimator} and algorithm.riskpo.estimator={options['estimator']} name two "
            "estimators: leave out one, or use adv_estimator=riskpo."
        )
    preset = options.pop("preset", "paper")
    if not isinstance(preset, str):
        raise ConfigError(f"algorithm.riskpo.preset must be a name, got {preset!r}.")
    if named is not None and PRESETS.get(preset, {}).get("estimator") != named:
        options["estimator"] = named
    seed = options.pop("seed", 42 if data_seed is None else data_seed)
    if type(seed) is not int or seed < 0:
        raise ConfigError(f"algorithm.riskpo.seed must be an integer >= 0, got {seed!r}.")
    covariances = options.pop("log_covariances", False)
    if type(covariances) is not bool:
        raise ConfigError(f"algorithm.riskpo.log_covariances must be true or false, got {covariances!r}.")
    scale = options.pop("scale_rewards", "none")
    if scale == "group":
        raise ConfigError(
            "scale_rewards='group' divides by each prompt's own standard deviation, which undoes the risk measure: use "
            "'none' (the paper's) or 'batch'."
        )
    options["schedule"] = schedule_of(options.get("schedule"))
    return VerlOptions(risk_config_of(preset, options, scale), seed, covariances)
