"""The arguments of a run: recipe or YAML file, then flags. TRL's names and syntax; unknown ones are errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import torch
import yaml
from trl import ModelConfig, TrlParser

from riskpo.engines.generations import resumable_steps
from riskpo.engines.trl_config import RiskPOConfig
from riskpo.errors import ConfigError, ResumeError, unknown_name
from riskpo.risk.presets import PRESETS
from riskpo.runs.folder import last_checkpoint
from riskpo.runs.launching import launched

# What may change when a run is resumed: what it shows and keeps, and how long it goes on unless that changes what it
# computes (`_depends_on_length`).
RESUMABLE = {"max_steps", "num_train_epochs", "save_steps", "save_total_limit", "logging_steps", "report_to"}


@dataclass
class RunArguments:
    """What is trained on what; everything else is RiskPOConfig's (training) or ModelConfig's (loading the model)."""

    task: str | None = field(
        default=None,
        metadata={"help": "A task: gsm8k, chain, ... (`riskpo tasks` lists them), or several data sets: gsm8k,math."},
    )
    task_prompts: int = field(
        default=0, metadata={"help": "Prompts drawn from the task; 0: as many as steps use, of a data set all."}
    )
    task_seed: int = field(default=1, metadata={"help": "Seed of the task's training prompts."})
    task_template: str | None = field(default=None, metadata={"help": "Prompt template; the task's own if unset."})
    task_system_prompt: str | None = field(
        default=None, metadata={"help": "System message instead of the template's; empty: none."}
    )
    task_clean: bool = field(
        default=False, metadata={"help": "Leave out known wrong golds, conflicts and repeats of the task."}
    )
    task_decontaminate: bool = field(
        default=False, metadata={"help": "The same, and leave out what the benchmarks ask."}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder with the task's data files; else RISKPO_DATA_DIR, else the hub."}
    )
    data_file: str | None = field(default=None, metadata={"help": "The task's training data: a file of a known shape."})
    dataset: str | None = field(default=None, metadata={"help": "Own data: JSONL or parquet file, or a hub id."})
    dataset_split: str = field(default="train", metadata={"help": "Split of a hub data set."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Revision of a hub data set or task."})
    max_prompt_tokens: int = field(
        default=0, metadata={"help": "Leave out prompts that have more tokens, chat template included; 0: none."}
    )
    reward: list[str] = field(
        default_factory=list,
        metadata={
            "help": "exact, numeric, math, choice, code, ... (docs/rewards.md), or package.module:function; several "
            "are added up, and the first one is what an evaluation counts. The task's own if unset."
        },
    )
    runs_dir: str = field(default="runs", metadata={"help": "Where runs without --output_dir get their folder."})
    processes: int = field(
        default=0,
        metadata={"help": "Processes (GPUs) that the batch sizes are meant for; another number is an error. 0: any."},
    )
    launch: str | None = field(
        default=None,
        metadata={
            "help": "Start as many processes with accelerate: ddp, fsdp2, zero2, zero3, or an Accelerate file (.yaml). "
            "docs/multi-gpu.md says which."
        },
    )
    threads: int = field(default=0, metadata={"help": "CPU threads of torch; 0: torch's choice."})
    completions_every: int = field(
        default=10, metadata={"help": "Steps between files of completions in the run's folder; 0: none."}
    )
    eval_prompts: int = field(default=0, metadata={"help": "Held-out prompts evaluated before and after; 0: none."})
    eval_split: str = field(
        default="test", metadata={"help": "Split of the task that is evaluated, or another task's name (aime24)."}
    )
    eval_offset: int = field(
        default=0, metadata={"help": "Held-out prompts passed over before those that are evaluated: for other ones."}
    )
    eval_samples: int = field(default=64, metadata={"help": "Samples per held-out prompt."})
    eval_batch_size: int = field(default=64, metadata={"help": "Sequences per batch of the evaluation."})
    eval_at: list[int] = field(
        default_factory=list, metadata={"help": "Steps after which the held-out prompts are evaluated as well."}
    )
    eval_ks: list[int] = field(default_factory=lambda: [1, 8, 32], metadata={"help": "The k of pass@k."})


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


def recipes() -> list[str]:
    """Names of the packaged recipes."""
    return sorted(path.name[:-5] for path in resources.files("riskpo.recipes").iterdir() if path.name.endswith(".yaml"))


def plan_new(recipe: str | None, config: str | None, flags: Sequence[str], *, dry: bool = False) -> Plan:
    """A new run from a recipe's name or a YAML file, and flags that override it.

    Args:
        recipe, config, flags: as on the command line.
        dry: it will not be run: a recipe for GPUs is then looked at on a machine without one.

    Raises:
        ConfigError: neither or both given, an unknown recipe, key or flag, a value that does not parse.
    """
    if (recipe is None) == (config is None):
        raise ConfigError(f"give either a recipe ({', '.join(recipes())}) or --config FILE.")
    if recipe is not None:
        if recipe not in recipes():
            raise ConfigError(unknown_name("recipe", recipe, recipes()) + " Your own file: --config FILE.")
        source = resources.files("riskpo.recipes") / f"{recipe}.yaml"
        return _looked_at(recipe, _read_yaml(source.read_text(encoding="utf-8"), recipe), flags, dry)
    path = Path(str(config))
    if not path.is_file():
        raise ConfigError(f"the configuration file {path} does not exist.")
    return _looked_at(path.stem, _read_yaml(path.read_text(encoding="utf-8"), str(path)), flags, dry)


def _looked_at(name: str, settings: dict[str, Any], flags: Sequence[str], dry: bool) -> Plan:
    """A plan. The engine refuses options of a GPU where there is none: a dry run asks for a CPU there, and says so.

    So does what only starts a launcher: that there are too few GPUs is for `check_devices` to say.
    """
    dry = dry or (not launched() and ("launch" in _flag_names(flags) or bool(settings.get("launch"))))
    if not dry or settings.get("use_cpu") or "use_cpu" in _flag_names(flags) or torch.accelerator.is_available():
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
    changed = set(_flag_names(flags)) - RESUMABLE
    if changed:
        raise ResumeError(
            f"{', '.join(sorted(changed))} cannot change when a run is resumed: it would be another run. "
            f"Allowed: {', '.join(sorted(RESUMABLE))}."
        )
    settings = _read_yaml((folder / "config.yaml").read_text(encoding="utf-8"), str(folder / "config.yaml"))
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
    return sorted({"max_steps", "num_train_epochs"} & set(_flag_names(flags)))


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
    given = _flag_names(flags)
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
    if run.processes:  # the sizes of a step are those on so many processes, wherever they are looked at
        each = training.per_device_train_batch_size * training.steps_per_generation
        training.generation_batch_size = each * run.processes
        training.check_generation()
    directory = settings.pop("output_dir", None)
    return Plan(name, settings, run, training, model, None if directory is None else Path(directory))


def _without_replaced_preset(settings: dict[str, Any], flags: Sequence[str]) -> dict[str, Any]:
    """The settings of a file, without a preset that an `--estimator` of another kind replaces: flags win over files."""
    estimator, preset = _flag_value(flags, "estimator"), settings.get("preset")
    if estimator is None or preset not in PRESETS or "preset" in _flag_names(flags):
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


def _read_yaml(text: str, source: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{source} must hold a mapping of options, got {type(values).__name__}.")
    return values


def _flag_value(flags: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`, the last one given; None where it is not."""
    found = None
    for place, flag in enumerate(flags):
        if flag == f"--{name}":
            found = next(iter(flags[place + 1 :]), None)
        elif flag.startswith(f"--{name}="):
            found = flag.split("=", 1)[1]
    return found


def _flag_names(flags: Sequence[str]) -> list[str]:
    return [flag[2:].split("=", 1)[0].replace("-", "_") for flag in flags if flag.startswith("--") and len(flag) > 2]
