"""A run under verl, resolved and checked: the same recipes and flags as under TRL, read without TRL."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from riskpo.engines.options import RISK_OPTIONS
from riskpo.engines.verl.overrides import StepSizes, Where, overrides_of, step_sizes
from riskpo.engines.verl.reward import check_rewards
from riskpo.engines.verl.training import NAMES, VerlTraining
from riskpo.errors import ConfigError, ResumeError, unknown_name
from riskpo.runs.limits import check_held_out, check_numbers
from riskpo.runs.recipes import read_yaml
from riskpo.runs.run_arguments import RunArguments
from riskpo.runs.vllm_options import check_longest

_RUN = tuple(option.name for option in fields(RunArguments))
# What a recipe may say of how TRL is started, and a flag may not.
_ONLY_TRL = ("launch",)
# What a run under verl has no use for: evaluation along the way is verl's own, and threads are Ray's.
_UNUSED = ("eval_at", "threads")
# What may differ when a run goes on.
_RESUMABLE = {"max_steps", "save_total_limit", "report_to", "verl"}


@dataclass(frozen=True)
class VerlPlan:
    """A run, before anything is touched.

    Args:
        name: the recipe's or the file's name; names the folder.
        settings: what was given, enough to repeat the run.
        run, training: the options in full.
        explicit_dir: the folder that was asked for, if any.
        checkpoint: of a resumed run, the folder of its checkpoints; verl finds the last one.
        sizes: of a step.
    """

    name: str
    settings: dict[str, Any]
    run: RunArguments
    training: VerlTraining
    explicit_dir: Path | None
    checkpoint: Path | None
    sizes: StepSizes

    def overrides(self, folder: Path, reward: Sequence[str]) -> list[str]:
        """verl's overrides for a run in this folder, those of the user last."""
        run = self.run
        where = Where(
            self.name,
            folder.resolve(),
            run.max_prompt_tokens,
            reward,
            run.processes,
            run.nodes,
            bool(run.eval_prompts),
            run.eval_samples,
            bool(run.completions_every),
        )
        return [*overrides_of(self.training, self.sizes, where), *run.verl]

    def replaced(self) -> list[str]:
        """What the user's overrides replace of the run's own, in words."""
        own = dict(
            word.split("=", 1) for word in self.overrides(Path("."), self.run.reward)[: -len(self.run.verl) or None]
        )
        given = [word.lstrip("+").split("=", 1) for word in self.run.verl if "=" in word]
        return [f"{key}={value} replaces {own[key]}" for key, value in given if own.get(key, value) != value]


def plan_verl(name: str, settings: Mapping[str, Any], flags: Sequence[str]) -> VerlPlan:
    """A new run under verl.

    Args:
        name, settings: of a recipe or a YAML file.
        flags: the command line's `--name value`, which win; what follows `--` are overrides of verl's configuration.

    Raises:
        ConfigError: an option that verl has no counterpart of, a value that does not parse or cannot be run.
    """
    asked = _flags(flags, settings)
    for option in _ONLY_TRL:
        if option in asked:
            raise ConfigError(f"--{option} is of no use under verl: leave it out.")
    given = {**{name: value for name, value in settings.items() if name not in _ONLY_TRL}, **asked}
    for option in given:
        if option not in _RUN and option not in NAMES:
            raise ConfigError(
                unknown_name("option", option, {*_RUN, *NAMES})
                + " Only options that verl has a counterpart of can be given with --engine verl; the rest of verl's "
                "own go behind `--` as key=value."
            )
    for option in _UNUSED:
        if given.get(option):
            raise ConfigError(f"{option} is of no use under verl: leave it out.")
    run = RunArguments(**_typed(RunArguments, {key: value for key, value in given.items() if key in _RUN}))
    options = {key: value for key, value in given.items() if key in NAMES and key not in RISK_OPTIONS}
    risk = {key: _number_or_text(value) for key, value in given.items() if key in RISK_OPTIONS}
    training = VerlTraining(**_typed(VerlTraining, options), risk=risk)
    if training.model_name_or_path is None:
        raise ConfigError("no model: set model_name_or_path to a local folder or a hub id.")
    _check_run(run, training)
    sizes = step_sizes(training, run.processes)
    typed = {**vars(run), **vars(training), **risk, "engine": "verl"}
    kept = {key: typed[key] for key in ["engine", *given] if key != "output_dir"}
    directory = None if training.output_dir is None else Path(training.output_dir)
    return VerlPlan(name, kept, run, training, directory, None, sizes)


def resume_verl(folder: Path, flags: Sequence[str]) -> VerlPlan:
    """The run in a folder, from its last checkpoint.

    Raises:
        ResumeError: no run of verl or no checkpoint there, or a flag that would change what the run computes.
    """
    settings = read_yaml((folder / "config.yaml").read_text(encoding="utf-8"), str(folder / "config.yaml"))
    checkpoints = folder / "checkpoints"
    if not (checkpoints / "latest_checkpointed_iteration.txt").is_file():
        raise ResumeError(f"{folder} holds no complete checkpoint to resume from: start the run anew.")
    changed = sorted(set(_flags(flags, settings)) - _RESUMABLE)
    if changed:
        raise ResumeError(
            f"{', '.join(changed)} cannot change when a run is resumed: it would be another run. Allowed: "
            f"{', '.join(sorted(_RESUMABLE))}."
        )
    plan = plan_verl(folder.name, {**settings, "output_dir": str(folder)}, flags)
    longer = "max_steps" in _flags(flags, settings) and plan.training.max_steps != settings.get("max_steps", -1)
    if longer and (plan.training.lr_scheduler_type == "cosine" or plan.training.risk_config.schedule is not None):
        raise ResumeError(
            "max_steps cannot change when this run is resumed: its learning rate or the options of its `schedule` "
            "follow the share of the training that is done."
        )
    return dataclasses.replace(plan, checkpoint=checkpoints)


def _check_run(run: RunArguments, training: VerlTraining) -> None:
    check_numbers({**vars(training), **vars(run)})
    check_held_out(run, training.max_steps)
    if run.processes < 1:
        raise ConfigError("processes: say how many GPUs the run has in all, e.g. --processes 8.")
    if run.nodes < 1 or run.processes % run.nodes:
        raise ConfigError(f"processes={run.processes} must be a multiple of nodes={run.nodes}.")
    if run.max_prompt_tokens < 1:
        raise ConfigError("max_prompt_tokens: verl needs the length of the longest prompt, e.g. 1024.")
    wrong = [override for override in run.verl if "=" not in override and not override.startswith("~")]
    if wrong:
        raise ConfigError(f"overrides of verl's configuration are key=value, got {wrong}.")
    check_rewards(run.reward)
    if training.reward_weights is not None and len(training.reward_weights) != max(len(run.reward), 1):
        raise ConfigError(f"reward_weights {training.reward_weights}: one for each of the rewards {run.reward}.")
    size, each = training.vllm_tensor_parallel_size, run.processes // run.nodes
    if each % size:
        raise ConfigError(f"vllm_tensor_parallel_size {size} must divide the {each} GPUs of a machine.")
    check_longest(training, run.max_prompt_tokens)


def _flags(flags: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`--name value ...` and, behind `--`, overrides, which are added to those of the recipe.

    A flag without a value is True.
    """
    flags = list(flags)
    found: dict[str, Any] = {}
    behind = "--" in flags
    if behind:
        place = flags.index("--")
        found["verl"] = [*(settings.get("verl") or []), *flags[place + 1 :]]
        flags = flags[:place]
    name, words = None, []
    for word in [*flags, "--"]:
        if not word.startswith("--"):
            words.append(word)
            continue
        if name is not None:
            found[name] = True if not words else words[0] if len(words) == 1 else words
        elif words:
            raise ConfigError(f"unexpected arguments {words}: options are --name value, the recipe comes first.")
        name, equals, value = word[2:].partition("=")
        name, words = name.replace("-", "_"), [value] if equals else []
    if "verl" in found and not behind:
        raise ConfigError("overrides of verl's configuration go behind `--`: riskpo train RECIPE -- key=value ...")
    return found


def _typed(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the fields of a dataclass have them; a text of the command line is read as YAML."""
    hints = get_type_hints(kind)
    return {name: _as(name, hints[name], value) for name, value in given.items()}


def _as(name: str, hint: Any, value: Any) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return [_as(name, item, one) for one in (value if isinstance(value, list) else [value])]
    if kind is str:
        if isinstance(value, (list, dict, bool)):
            raise ConfigError(f"{name} takes a single value, got {'none' if value is True else value}.")
        return str(value)
    read = yaml.safe_load(value) if isinstance(value, str) else value
    if get_origin(kind) is dict:
        if not isinstance(read, dict):
            raise ConfigError(f"{name} takes a mapping, got {value!r}.")
        return read
    try:
        if kind is bool and isinstance(read, bool):
            return read
        if kind is int and not isinstance(read, bool) and int(read) == float(read):
            return int(read)
        if kind is float and not isinstance(read, bool):
            return float(read)
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{name} takes a value of type {kind.__name__}, got {value!r}.")


def _number_or_text(value: Any) -> Any:
    """An option of the estimator: numbers of the command line as numbers, also those that YAML takes for a text."""
    if isinstance(value, list):
        return [_number_or_text(item) for item in value]
    if not isinstance(value, str) or value.lstrip().startswith("{"):
        return value
    read = yaml.safe_load(value)
    if not isinstance(read, str):
        return read
    try:
        return float(read)
    except ValueError:
        return read
