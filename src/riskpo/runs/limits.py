"""What the options of a run may be, whatever engine trains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from riskpo.errors import ConfigError
from riskpo.runs.run_arguments import RunArguments

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


def check_numbers(values: Mapping[str, Any]) -> None:
    """Raises ConfigError for an option outside its range, and for any that is not a number where it should be one."""
    for name, value in values.items():
        wanted, allowed = _RANGES.get(name, ("a number", lambda _: True))
        if isinstance(value, (int, float)) and (math.isnan(value) or not allowed(value)):
            raise ConfigError(f"--{name} must be {wanted}, got {value}.")


def check_held_out(run: RunArguments, max_steps: int) -> None:
    """Raises ConfigError for an evaluation that cannot be done."""
    if run.eval_prompts < 0 or run.eval_samples < 1 or run.eval_batch_size < 1:
        raise ConfigError("--eval_prompts must be >= 0, --eval_samples and --eval_batch_size >= 1.")
    if run.eval_split == "train":
        raise ConfigError("--eval_split train would evaluate on what is trained on: choose another split of the task.")
    if run.eval_at and not run.eval_prompts:
        raise ConfigError("--eval_at needs --eval_prompts: there is nothing to evaluate on.")
    if any(step < 1 for step in run.eval_at):
        raise ConfigError(f"--eval_at names steps from 1 on, got {run.eval_at}.")
    if run.eval_at and 0 < max_steps < max(run.eval_at):
        raise ConfigError(f"--eval_at {max(run.eval_at)} is beyond the last step: --max_steps is {max_steps}.")
    if run.eval_prompts and run.task is None:
        raise ConfigError("--eval_prompts needs a built-in --task: own data has no held-out split.")
    if run.eval_prompts and (not run.eval_ks or not all(1 <= k <= run.eval_samples for k in run.eval_ks)):
        raise ConfigError(f"--eval_ks {run.eval_ks} must lie between 1 and --eval_samples {run.eval_samples}.")
