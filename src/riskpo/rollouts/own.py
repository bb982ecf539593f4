"""What a run's folder says of the run: the estimator that it trained with, and how its rewards were weighed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from riskpo.atomic import read_json
from riskpo.errors import ConfigError, DataError
from riskpo.risk.config import RiskConfig


@dataclass(frozen=True)
class OwnRun:
    """A run as it was started.

    Args:
        config: the options of its estimator, all of them.
        reward_weights: one a reward function; None: all 1.
    """

    config: RiskConfig
    reward_weights: tuple[float, ...] | None


def own_run(folder: Path) -> OwnRun | None:
    """The run that a folder is of; None where it is not the folder of a run (config.yaml and arguments.json).

    An option that the file does not know yet keeps its default, which is what the run did.

    Raises:
        DataError: arguments that cannot be read, or are none of an estimator.
    """
    path = folder / "arguments.json"
    if not (path.is_file() and (folder / "config.yaml").is_file()):
        return None
    try:
        given = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} could not be read: {error}") from error
    if not isinstance(given, dict):
        raise DataError(f"{path} holds a {type(given).__name__}, not the arguments of a run.")
    # One option goes by the engine's name there.
    names = {
        field.name: "scale_rewards" if field.name == "scale" else field.name for field in dataclasses.fields(RiskConfig)
    }
    try:
        config = RiskConfig(**{name: given[key] for name, key in names.items() if key in given})
        weights = None if given.get("reward_weights") is None else tuple(map(float, given["reward_weights"]))
    except (ConfigError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not hold the options of an estimator: {error}") from error
    return OwnRun(config, weights)
