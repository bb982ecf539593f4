"""`--launch`: a run on several GPUs, started with Accelerate's launcher and a file of its options."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from riskpo.errors import ConfigError, unknown_name
from riskpo.runs.sharding import launched_sharding

# A stopped run first ends its generation and saves, which torch's launcher otherwise gives 30 seconds.
PATIENCE = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "86400"}

# What a file's `distributed_type` makes of a model.
_KINDS = {"MULTI_GPU": None, "FSDP": "FSDP", "DEEPSPEED": "DEEPSPEED"}


def launchers() -> list[str]:
    """Names of the packaged launcher files."""
    return sorted(path.name[:-5] for path in resources.files("riskpo.launch").iterdir() if path.name.endswith(".yaml"))


def launched() -> bool:
    """Whether a launcher (accelerate, torchrun) has started this process."""
    return "LOCAL_RANK" in os.environ


def launcher_file(launch: str) -> Path:
    """The launcher file of a packaged name or a path.

    Raises:
        ConfigError: neither.
    """
    if launch in launchers():
        return Path(str(resources.files("riskpo.launch") / f"{launch}.yaml"))
    if launch.endswith((".yaml", ".yml", ".json")):
        if Path(launch).is_file():
            return Path(launch)
        raise ConfigError(f"the launcher file {launch} does not exist, or is no file.")
    raise ConfigError(unknown_name("--launch", launch, launchers()) + " Or the path of an Accelerate file (.yaml).")


def sharding_of(launch: str) -> str | None:
    """What shards the model: "FSDP", "DEEPSPEED", or None where every process holds all of it.

    Raises:
        ConfigError: a file that cannot be read, or one of another kind.
    """
    kind = _options_of(launch).get("distributed_type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigError(f"{launcher_file(launch)} has distributed_type {kind}: --launch takes {', '.join(_KINDS)}.")
    return _KINDS[kind]


def _options_of(launch: str) -> dict[str, Any]:
    """What a launcher file says, as Accelerate will read it."""
    path = launcher_file(launch)
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} could not be read as YAML: {error}") from error
    if not isinstance(options, dict):
        raise ConfigError(f"{path} must hold a mapping of Accelerate's options, got {type(options).__name__}.")
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        load_config_from_file(str(path))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Accelerate does not take {path}: {error}") from error
    return options


def _check_not_the_recipes(launch: str) -> None:
    """Raises ConfigError for a file that sets what the recipe sets: it would win, and the run's record be false."""
    options = _options_of(launch)
    precision = options.get("mixed_precision")
    if precision not in (None, False, "no"):
        raise ConfigError(
            f"{launch} sets mixed_precision {precision}: leave it out there (or 'no'), it is the recipe's (bf16)."
        )
    sharding = options.get("deepspeed_config") or {}
    for name in ("gradient_clipping", "gradient_accumulation_steps"):
        if isinstance(sharding, dict) and sharding.get(name) not in (None, "auto"):
            raise ConfigError(
                f"{launch} sets {name} {sharding[name]}: set it to auto there, it is the recipe's "
                "(max_grad_norm, gradient_accumulation_steps)."
            )


def launch_command(launch: str, processes: int, arguments: Sequence[str]) -> list[str]:
    """The command that runs `riskpo ARGUMENTS` on so many processes."""
    options = ["--config_file", str(launcher_file(launch)), "--num_processes", str(processes)]
    return ["accelerate", "launch", *options, "-m", "riskpo.cli", *arguments]


def check_launch(plan: Any) -> None:
    """What `--launch` asks for, before anything is started.

    Raises:
        ConfigError: an unknown launcher, no number of processes, a sharded model on CPUs or with an evaluation.
    """
    launch = plan.run.launch
    if launch is None:
        return
    sharding = sharding_of(launch)
    _check_not_the_recipes(launch)
    if plan.run.processes < 1:
        raise ConfigError(f"--launch {launch} needs --processes N, the number of GPUs to train on.")
    if sharding is not None:
        if _asked_for_cpu(plan):
            raise ConfigError(
                f"--launch {launch} with use_cpu: Accelerate shards models on accelerators only, and would train "
                "unsharded without a word. Take --launch ddp on CPUs."
            )
        if plan.run.eval_prompts:
            raise ConfigError(
                f"--eval_prompts samples on one process, which a model sharded by --launch {launch} does not allow: "
                "set it to 0, and evaluate the run's model/ with riskpo eval."
            )


def check_devices(plan: Any) -> None:
    """Raises ConfigError where there are fewer devices than processes."""
    if _asked_for_cpu(plan):
        return
    import torch

    found = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    if found < plan.run.processes:
        raise ConfigError(
            f"--launch {plan.run.launch} with {plan.run.processes} processes needs as many GPUs, and {found} "
            f"{'is' if found == 1 else 'are'} here. --dry-run shows the run and its command without them; another "
            "--processes needs sizes of its own (per_device_train_batch_size * steps_per_generation responses a "
            "process and generation)."
        )


def check_started(plan: Any) -> None:
    """What a process that a launcher has started is, against what the run asks for.

    Raises:
        ConfigError: another kind of sharding than `--launch` names, sharding on CPUs, or activations checkpointed both
            by FSDP and by the trainer.
    """
    running, training = launched_sharding(), plan.training
    if running is not None and training.use_cpu:
        raise ConfigError(
            f"the launcher asked for {running} and the run for use_cpu: Accelerate shards models on accelerators only, "
            "and would train unsharded without a word."
        )
    own = os.environ.get("FSDP_ACTIVATION_CHECKPOINTING", "false") == "true"
    if running == "FSDP" and own and training.gradient_checkpointing:
        raise ConfigError(
            "fsdp_activation_checkpointing of the launcher file and gradient_checkpointing of the run cannot both be "
            "on: add --gradient_checkpointing false."
        )
    if plan.run.launch is None or not launched():
        return
    wanted = sharding_of(plan.run.launch)
    if wanted != running:
        raise ConfigError(
            f"the run is set to --launch {plan.run.launch}, and was started {_in_words(running)}: leave the starting "
            f"to riskpo (riskpo train ..., without accelerate launch), or set --launch to what it is started with."
        )


def start(launch: str, processes: int, arguments: Sequence[str]) -> int:
    """Puts Accelerate's launcher in the place of this process; does not return."""
    command = launch_command(launch, processes, arguments)
    print(shlex.join(command), flush=True)
    words = [sys.executable, "-m", "accelerate.commands.launch", *command[2:]]
    os.execve(sys.executable, words, {**PATIENCE, **os.environ})


def _asked_for_cpu(plan: Any) -> bool:
    """Whether the run was set to CPUs, and not only looked at without a GPU."""
    return bool(plan.settings.get("use_cpu", False))


def _in_words(sharding: str | None) -> str:
    return "without sharding" if sharding is None else f"with {sharding}"
