"""The arguments of a run: recipe or YAML file, then flags. TRL's names and syntax; unknown ones are errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import torch
from trl import ModelConfig, TrlParser

from riskpo.engines.generations import resumable_steps
from riskpo.engines.trl_config import RiskPOConfig
from riskpo.errors import ConfigError, ResumeError, unknown_name
from riskpo.risk.presets import PRESETS
from riskpo.runs.folder import last_checkpoint
from riskpo.runs.launching import launched
from riskpo.runs.recipes import flag_names, flag_value, read_recipe, read_yaml
from riskpo.runs.run_arguments import RunArguments

# What may change when a run is resumed: what it shows and keeps, and how long it goes on unless that changes what it
# computes (`_depends_on_length`).
RESUMABLE = {"max_steps", "num_train_epochs", "save_steps", "save_total_limit", "logging_steps", "report_to"}


@dataclass(frozen=True)
class Plan:
    """A run, resolved and checked, before anything is touched.

    Args:
        name: the recipe's or the file's name; names the folder.
        settings: what was given, defaults left out: enough to repeat the run.
        run, training, model: the arguments in full.
        explicit_dir: the folder that was asked for, if any.
        checkpoint: where a resumed run goes on.
        notes: lines to say before the run starts.
    """

    name: str
    settings: dict[str, Any]
    run: RunArguments
    training: RiskPOConfig
    model: ModelConfig
    explicit_dir: Path | None
    checkpoint: Path | None = None
    notes: tuple[str, ...] = ()


def plan_new(recipe: str | None, config: str | None, flags: Sequence[str], *, dry: bool = False) -> Plan:
    """A new run from a recipe's name or a YAML file, and flags that override it.

    Args:
        recipe, config, flags: as on the command line.
        dry: it will not be run: a recipe for GPUs is then looked at on a machine without one.

    Raises:
        ConfigError: neither or both given, an unknown recipe, key or flag, a value that does not parse.
    """
    name, settings = read_recipe(recipe, config)
    return _looked_at(name, settings, flags, dry)


def _looked_at(name: str, settings: dict[str, Any], flags: Sequence[str], dry: bool) -> Plan:
    """A plan. The engine refuses options of a GPU where there is none: a dry run asks for a CPU there, and says so.

    So does what only starts a launcher: that there are too few GPUs is for `check_devices` to say.
    """
    dry = dry or (not launched() and ("launch" in flag_names(flags) or bool(settings.get("launch"))))
    if not dry or settings.get("use_cpu") or "use_cpu" in flag_names(flags) or torch.accelerator.is_available():
        return _plan(name, settings, flags)
    plan = _plan(name, settings, [*flags, "--use_cpu", "true"])
    kept = {key: value for key, value in plan.settings.items() if key != "use_cpu"}
    return dataclasses.replace(plan, settings=kept, notes=("looked at without a GPU: there is none here",))


def plan_resumed(folder: Path, flags: Sequence[str]) -> Plan:
    """The run in a folder, from its last checkpoint.

    Raises:
        ResumeError: no run or no checkpoint there, or a flag that would change what the run computes.
    """
    last_checkpoint(folder)
    changed = set(flag_names(flags)) - RESUMABLE
    if changed:
        raise ResumeError(
            f"{', '.join(sorted(changed))} cannot change when a run is resumed: it would be another run. "
            f"Allowed: {', '.join(sorted(RESUMABLE))}."
        )
    settings = read_yaml((folder / "config.yaml").read_text(encoding="utf-8"), str(folder / "config.yaml"))
    plan = _plan(folder.name, {**settings, "output_dir": str(folder)}, flags)
    longer = [name for name in changed_length(flags) if plan.settings[name] != settings.get(name)]
    reason = _depends_on_length(plan.training)
    if longer and reason:
        raise ResumeError(f"{', '.join(longer)} cannot change when this run is resumed: {reason}.")
    notes: list[str] = []
    checkpoint = last_checkpoint(folder, resumable_steps(plan.training), notes.append)
    return dataclasses.replace(plan, checkpoint=checkpoint, notes=tuple(notes))


def changed_length(flags: Sequence[str]) -> list[str]:
    """The flags that change how long a run is."""
    return sorted({"max_steps", "num_train_epochs"} & set(flag_names(flags)))


def _depends_on_length(training: RiskPOConfig) -> str | None:
    """Why another length would be another run, step for step; None where it would not."""
    if training.risk_config.schedule is not None:
        return "the options of its `schedule` follow the share of the training that is done"
    scheduler = str(_plain(training.lr_scheduler_type))
    if scheduler not in ("constant", "constant_with_warmup"):
        return (
            f"its learning rate (lr_scheduler_type {scheduler}) follows the share of the training that is done; only "
            "constant and constant_with_warmup do not"
        )
    if scheduler == "constant_with_warmup" and 0 < training.warmup_steps < 1:
        return f"its warm-up is a share ({training.warmup_steps:g}) of the training"
    return None


def _plan(name: str, settings: dict[str, Any], flags: Sequence[str]) -> Plan:
    parser = TrlParser([RunArguments, RiskPOConfig, ModelConfig], allow_abbrev=False)

    def fail(message: str) -> None:
        raise ConfigError(message)

    parser.error = fail
    allowed = {action.dest for action in parser._actions} - {"help"}
    given = flag_names(flags)
    for key in [*settings, *(flag.removeprefix("no_") if flag not in allowed else flag for flag in given)]:
        if key not in allowed:
            raise ConfigError(unknown_name("option", key, allowed) + " All of them: riskpo train --list-options.")
    settings = _without_replaced_preset(settings, flags)
    actions = {action.dest: action for action in parser._actions}
    kinds: dict[str, Any] = {}
    for part in (RunArguments, RiskPOConfig, ModelConfig):
        kinds |= get_type_hints(part)
    try:
        defaults = {
            key: _as_typed(actions[key], kinds[key], value) for key, value in settings.items() if value is not None
        }
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a list of options does not parse: {error}") from error
    parser.set_defaults_with_config(**defaults)
    try:
        run, training, model, *stray = parser.parse_args_into_dataclasses(
            list(flags), return_remaining_strings=True, look_for_args_file=False
        )
    except ConfigError:
        raise
    except ValueError as error:  # the engine's own checks
        raise ConfigError(str(error)) from error
    if stray[-1]:
        raise ConfigError(f"unexpected arguments {stray[-1]}: options are --name value, the recipe comes first.")
    values = {**vars(model), **vars(training), **vars(run)}
    overrides = {key.removeprefix("no_") if key not in allowed else key for key in given}
    settings = {**settings, **{key: _plain(values[key]) for key in overrides}}
    if run.processes < 0:
        raise ConfigError(f"--processes must be at least 0, got {run.processes}.")
    if run.processes:  # the sizes of a step are those on so many processes, wherever they are looked at
        each = training.per_device_train_batch_size * training.steps_per_generation
        training.generation_batch_size = each * run.processes
        training.check_generation()
    directory = settings.pop("output_dir", None)
    return Plan(name, settings, run, training, model, None if directory is None else Path(directory))


def _without_replaced_preset(settings: dict[str, Any], flags: Sequence[str]) -> dict[str, Any]:
    """The settings of a file, without a preset that an `--estimator` of another kind replaces: flags win over files."""
    estimator, preset = flag_value(flags, "estimator"), settings.get("preset")
    if estimator is None or preset not in PRESETS or "preset" in flag_names(flags):
        return settings
    if PRESETS[preset].get("estimator", "riskpo") == estimator:
        return settings
    return {key: value for key, value in settings.items() if key != "preset"}


def _as_typed(action: Any, kind: Any, value: Any) -> Any:
    """A value of YAML as the command line would have it: text, which the option's own type then has to accept.

    Raises:
        ConfigError: a list or a mapping for an option that takes none.
    """
    if action.nargs in ("+", "*"):
        items = value if isinstance(value, list) else [value]
        return [action.type(str(item)) if callable(action.type) else item for item in items]
    if not isinstance(value, (dict, list)):
        return str(value)
    taken = {get_origin(part) or part for part in (get_args(kind) or (kind,))}
    if type(value) not in taken:
        what = "list" if isinstance(value, list) else "mapping"
        raise ConfigError(f"{action.dest} takes a single value, got the {what} {value}.")
    return value


def _plain(value: Any) -> Any:
    """An argument as YAML can hold it: the engine turns some strings into enumerations and objects."""
    if isinstance(value, Enum):
        return value.value
    return value.to_dict() if hasattr(value, "to_dict") else value
