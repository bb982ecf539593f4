"""The estimator's options as users of the engines write them, turned into a `RiskConfig`: the same for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from riskpo.errors import ConfigError
from riskpo.risk.config import RiskConfig

# Scaling goes by TRL's own name, `scale_rewards`; everything else by one name everywhere.
RISK_OPTIONS = tuple(option.name for option in fields(RiskConfig) if option.name != "scale")


def risk_config_of(preset: str, given: Mapping[str, Any], scale_rewards: str) -> RiskConfig:
    """The preset with the options that were given, validated.

    Args:
        preset: one of `riskpo.risk.presets.PRESETS`.
        given: of `RISK_OPTIONS`; None = the preset's value.
        scale_rewards: `none` or `batch`.

    Raises:
        ConfigError: as `RiskConfig.from_preset`.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    return RiskConfig.from_preset(preset, {**chosen, "scale": scale_rewards})


def schedule_of(value: Any) -> Any:
    """A schedule as a mapping; on a command line it is JSON.

    Raises:
        ConfigError: text that is no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigError(
            f'`schedule` is not JSON ({error}): write it like {{"tail_weight": {{"0": 0.0, "1": 0.5}}}}.'
        ) from error
