"""The whole configuration that verl would run with, where verl is installed: a mistyped override is found at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from riskpo.errors import ConfigError


def compose(overrides: Sequence[str]) -> Any:
    """The configuration behind `--config-name riskpo` and these overrides.

    Raises:
        ConfigError: an override that Hydra does not take; its own words, which name the key.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.errors import HydraException

    try:
        with initialize_config_module(config_module="riskpo.engines.verl.conf", version_base=None):
            return hydra_compose("riskpo", overrides=list(overrides))
    except HydraException as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise ConfigError(f"verl's configuration does not take the command: {error}{cause}") from error
