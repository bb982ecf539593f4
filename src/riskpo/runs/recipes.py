"""Recipes and YAML files of options, and the flags beside them, before any engine has a say."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from riskpo.errors import ConfigError, ResumeError, unknown_name

ENGINES = ("trl", "verl")


def recipes() -> list[str]:
    """Names of the packaged recipes."""
    return sorted(path.name[:-5] for path in resources.files("riskpo.recipes").iterdir() if path.name.endswith(".yaml"))


def read_recipe(recipe: str | None, config: str | None) -> tuple[str, dict[str, Any]]:
    """Name and options of a packaged recipe, or of a YAML file.

    Raises:
        ConfigError: neither or both given, an unknown recipe, a file that is absent or holds no options.
    """
    if (recipe is None) == (config is None):
        raise ConfigError(f"give either a recipe ({', '.join(recipes())}) or --config FILE.")
    if recipe is not None:
        if recipe not in recipes():
            raise ConfigError(unknown_name("recipe", recipe, recipes()) + " Your own file: --config FILE.")
        source = resources.files("riskpo.recipes") / f"{recipe}.yaml"
        return recipe, read_yaml(source.read_text(encoding="utf-8"), recipe)
    path = Path(str(config))
    if not path.is_file():
        raise ConfigError(f"the configuration file {path} does not exist.")
    return path.stem, read_yaml(path.read_text(encoding="utf-8"), str(path))


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """A mapping of options.

    Raises:
        ConfigError: anything else; `source` says where it stood.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{source} must hold a mapping of options, got {type(values).__name__}.")
    return values


def engine_of(recipe: str | None, config: str | None, resume: Path | None, flags: Sequence[str]) -> str:
    """What trains a run: `trl` or `verl`, by the flag, the recipe, or the folder of a run that goes on.

    Raises:
        ConfigError: another engine; ResumeError, a folder that is no run's.
    """
    named = flag_value(flags, "engine")
    if resume is not None:
        path = resume / "config.yaml"
        if not path.is_file():
            raise ResumeError(f"{resume} is not the folder of a run: it has no config.yaml.")
        began = read_yaml(path.read_text(encoding="utf-8"), str(path)).get("engine", "trl")
        if named is not None:
            raise ResumeError(f"--engine cannot change when a run is resumed: it began with {began}.")
        named = began
    engine = named or read_recipe(recipe, config)[1].get("engine", "trl")
    if engine not in ENGINES:
        raise ConfigError(unknown_name("engine", engine, ENGINES))
    return str(engine)


def flag_value(flags: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`, the last one given; None where it is not."""
    found = None
    for place, flag in enumerate(flags):
        if flag == f"--{name}":
            found = next(iter(flags[place + 1 :]), None)
        elif flag.startswith(f"--{name}="):
            found = flag.split("=", 1)[1]
    return found


def flag_names(flags: Sequence[str]) -> list[str]:
    """The options that flags name, with underscores."""
    return [flag[2:].split("=", 1)[0].replace("-", "_") for flag in flags if flag.startswith("--") and len(flag) > 2]
