"""The options behind a name: a preset, else an estimator with its natural defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.config import CHOICES, USES, RiskConfig
from riskpo.risk.peers import PEERS
from riskpo.risk.presets import PRESETS


def resolve(names: Sequence[str], options: Mapping[str, object] | None = None) -> dict[str, RiskConfig]:
    """The options behind each name: a preset, else an estimator with its natural defaults.

    Args:
        names: presets or estimators; a repeated name counts once.
        options: set for each estimator that reads them (`reward_range`, `reward_step`).

    Raises:
        ConfigError: an unknown name, with the nearest known one.
    """
    configs = {}
    for name in names:
        if name in PRESETS:
            estimator = PRESETS[name].get("estimator", "riskpo")
            preset, chosen = name, {}
        elif name in CHOICES["estimator"]:
            estimator, preset, chosen = name, "paper", {"estimator": name}
        else:
            raise ConfigError(unknown_name("preset or estimator", name, {*PRESETS, *CHOICES["estimator"]}))
        read = {key: value for key, value in (options or {}).items() if key in USES[estimator]}
        configs[name] = RiskConfig.from_preset(preset, {**chosen, **read})
    return configs


def default_names() -> list[str]:
    """All presets, each set of options under its first name, and all peers."""
    first = {id(options): name for name, options in reversed(PRESETS.items())}
    return list(dict.fromkeys([*(name for name in PRESETS if name in first.values()), *PEERS]))
