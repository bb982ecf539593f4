"""Options whose values cannot be run with, found before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from riskpo.engines.trl_state import check_save_steps
from riskpo.errors import ConfigError
from riskpo.extras import require_vllm
from riskpo.runs.arguments import Plan
from riskpo.runs.launching import check_started
from riskpo.runs.sharding import launched_sharding
from riskpo.runs.vllm_options import check_sender

_POSITIVE = "a finite number > 0", lambda value: 0 < value < math.inf
_NOT_NEGATIVE = "a finite number >= 0", lambda value: 0 <= value < math.inf
_COUNT = "at least 1", lambda value: value >= 1
_OR_NONE = "at least 0", lambda value: value >= 0
_SHARE = "in (0, 1]", lambda value: 0 < value <= 1
_DECAY = "in [0, 1)", lambda value: 0 <= value < 1

# An option that is unset (None) passes.
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "temperature": _POSITIVE,
    "repetition_penalty": _POSITIVE,
    "top_p": _SHARE,
    "min_p": ("in [0, 1]", lambda value: 0 <= value <= 1),
    "learning_rate": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "max_grad_norm": _NOT_NEGATIVE,
    "beta": _NOT_NEGATIVE,
    "adam_beta1": _DECAY,
    "adam_beta2": _DECAY,
    "adam_epsilon": _NOT_NEGATIVE,
    "warmup_steps": _NOT_NEGATIVE,
    "num_train_epochs": _POSITIVE,
    "num_iterations": _COUNT,
    "max_completion_length": _COUNT,
    "max_prompt_tokens": _OR_NONE,
    "processes": _OR_NONE,
    "threads": _OR_NONE,
    "completions_every": _OR_NONE,
    "task_prompts": _OR_NONE,
    "eval_offset": _OR_NONE,
}


def check_ranges(plan: Plan) -> None:
    """Raises ConfigError for an option outside its range, and for any that is not a number where it should be one."""
    for name, value in {**vars(plan.training), **vars(plan.run)}.items():
        wanted, allowed = _RANGES.get(name, ("a number", lambda _: True))
        if isinstance(value, (int, float)) and (math.isnan(value) or not allowed(value)):
            raise ConfigError(f"--{name} must be {wanted}, got {value}.")
    if plan.run.nodes != 1:
        raise ConfigError(
            "--nodes is for --engine verl; under TRL the launcher knows the machines (accelerate launch)."
        )


def check_machine(plan: Plan) -> None:
    """What a run needs of the machine that it is started on, and of how it is started.

    Raises:
        ConfigError: another number of processes than the batch sizes are meant for, or another kind of sharding; a vLLM
            server without a GPU to send weights from.
        MissingExtraError: `use_vllm` without vLLM.
    """
    if plan.training.use_vllm:
        require_vllm()
    check_started(plan)
    check_sender(plan)
    wanted, running = plan.run.processes, plan.training.world_size
    if wanted in (0, running):
        return
    raise ConfigError(
        f"the batch sizes of {plan.name} are meant for {wanted} processes, and {running} "
        f"{'is' if running == 1 else 'are'} running: start it with --launch ddp (docs/multi-gpu.md) or with "
        f"accelerate launch --multi_gpu --num_processes {wanted} -m riskpo.cli train ..., or set --processes {running} "
        "and sizes of your own (per_device_train_batch_size * steps_per_generation responses a process and "
        "generation). docs/recipes has the launcher's flags for each of the paper's."
    )


def check_saving(plan: Plan) -> None:
    """Raises ConfigError for checkpoints that a run could not be resumed from exactly."""
    training = plan.training
    if training.save_only_model:
        raise ConfigError("save_only_model leaves out optimizer and random states: such a run could not be resumed.")
    if training.save_strategy == "steps" and training.save_steps >= 1:
        check_save_steps(training, int(training.save_steps))


def check_evaluation(plan: Plan) -> None:
    """Raises ConfigError for an evaluation that cannot be done."""
    run = plan.run
    if run.eval_prompts < 0 or run.eval_samples < 1 or run.eval_batch_size < 1:
        raise ConfigError("--eval_prompts must be >= 0, --eval_samples and --eval_batch_size >= 1.")
    if run.eval_prompts and (plan.training.fsdp or plan.training.deepspeed or launched_sharding()):
        raise ConfigError("--eval_prompts samples on one process, which a sharded model does not allow: set it to 0.")
    if run.eval_split == "train":
        raise ConfigError("--eval_split train would evaluate on what is trained on: choose another split of the task.")
    if run.eval_at and not run.eval_prompts:
        raise ConfigError("--eval_at needs --eval_prompts: there is nothing to evaluate on.")
    if any(step < 1 for step in run.eval_at):
        raise ConfigError(f"--eval_at names steps from 1 on, got {run.eval_at}.")
    if run.eval_at and 0 < plan.training.max_steps < max(run.eval_at):
        raise ConfigError(
            f"--eval_at {max(run.eval_at)} is beyond the last step: --max_steps is {plan.training.max_steps}."
        )
    if run.eval_prompts and run.task is None:
        raise ConfigError("--eval_prompts needs a built-in --task: own data has no held-out split.")
    if run.eval_prompts and (not run.eval_ks or not all(1 <= k <= run.eval_samples for k in run.eval_ks)):
        raise ConfigError(f"--eval_ks {run.eval_ks} must lie between 1 and --eval_samples {run.eval_samples}.")
