"""What is compared: names of estimators and presets, or `label:option=value;option=value`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.config import CHOICES
from riskpo.risk.presets import PRESETS

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What all cells must share, as their results are paired, and what the grid itself gives to each of them.
SHARED = {
    "task",
    "task_seed",
    "task_prompts",
    "task_template",
    "task_system_prompt",
    "task_clean",
    "task_decontaminate",
    "data_dir",
    "data_file",
    "dataset",
    "dataset_split",
    "dataset_config",
    "dataset_revision",
    "max_prompt_tokens",
    "max_completion_length",  # evaluations sample with these two as well
    "temperature",
    "reward",
    "model_name_or_path",
    "processes",
    "engine",
    "launch",
    "nodes",
    "use_cpu",
    "seed",
    "output_dir",
    "runs_dir",
}
_OPENING, _CLOSING = "{[", "}]"


@dataclass(frozen=True)
class Entry:
    """One of the things that are compared.

    Args:
        label: names it in tables, and its folder.
        flags: its options, as on the command line of `riskpo train`.
    """

    label: str
    flags: tuple[str, ...]


def read_entries(text: str) -> list[Entry]:
    """The entries of `--estimators`.

    Args:
        text: separated by commas; those within braces and brackets (JSON) separate nothing.

    Raises:
        ConfigError: an unknown name, a label twice, an option that belongs to the whole comparison.
    """
    entries = [_read_entry(part.strip()) for part in _split(text, ",") if part.strip()]
    if len(entries) < 2:
        raise ConfigError(f"--estimators takes at least two, separated by commas, to compare; got {text!r}.")
    # Folders of labels that differ in case alone are one folder on some file systems.
    labels = [entry.label.casefold() for entry in entries]
    repeated = [entry.label for entry in entries if labels.count(entry.label.casefold()) > 1]
    if repeated:
        raise ConfigError(f"--estimators names {repeated[0]} twice: give one of them a label, label:option=value.")
    return entries


def _read_entry(text: str) -> Entry:
    label, colon, options = text.partition(":")
    label = label.strip()
    if not colon:
        if label in PRESETS:
            return Entry(label, ("--preset", label))
        if label in CHOICES["estimator"]:
            return Entry(label, ("--estimator", label))
        raise ConfigError(
            unknown_name("preset or estimator", label, {*PRESETS, *CHOICES["estimator"]})
            + " Options of your own: label:option=value;option=value."
        )
    if label.startswith("comparison"):
        raise ConfigError(f"the label {label!r} in --estimators: names that begin with comparison are the report's.")
    if not _LABEL.fullmatch(label):
        raise ConfigError(f"the label {label!r} in --estimators may hold letters, digits, '.', '_' and '-'.")
    flags: list[str] = []
    for option in _split(options, ";"):
        flags += _read_option(option.strip(), text)
    return Entry(label, tuple(flags))


def _read_option(text: str, whole: str) -> list[str]:
    name, equals, value = text.partition("=")
    name, value = name.strip().removeprefix("--").replace("-", "_"), value.strip()
    if not equals or not name or not value:
        raise ConfigError(f"{whole!r} in --estimators: expected label:option=value;option=value, got {text!r}.")
    if name in SHARED or name.startswith("eval_"):
        raise ConfigError(f"{name} is of the whole comparison and not of one entry: give it as --{name} if at all.")
    try:
        values = [value] if value[0] in _OPENING else shlex.split(value)
    except ValueError as error:
        raise ConfigError(f"{whole!r} in --estimators: {text!r} does not parse: {error}.") from error
    return [f"--{name}", *values]


def _split(text: str, separator: str) -> list[str]:
    """Splits at separators outside of braces and brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise ConfigError(f"--estimators: braces or brackets do not match in {text!r}.")
    return parts
