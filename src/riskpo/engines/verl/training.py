"""The engine's options of a run under verl, by the names and with the defaults that they have under TRL.

Only options that verl has a counterpart of are here: any other one in a recipe is an error, not silence.
tests/engines_verl/test_verl_overrides.py compares names and defaults with TRL's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from riskpo.engines.options import RISK_OPTIONS, risk_config_of, schedule_of
from riskpo.errors import ConfigError, unknown_name
from riskpo.risk.config import RiskConfig


@dataclass
class VerlTraining:
    """See the module. Sizes of a step are counted in responses, as TRL does; `riskpo.engines.verl.overrides` divides.

    Raises:
        ConfigError: values that verl has no counterpart of, or that cannot be run.
    """

    # the estimator
    preset: str = "paper"
    scale_rewards: str = "none"
    risk: dict[str, Any] | None = None  # those of RISK_OPTIONS that were given
    log_covariances: bool = False
    reward_weights: list[float] | None = None
    # sizes of a step
    num_generations: int = 8
    per_device_train_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    steps_per_generation: int | None = None
    num_iterations: int = 1
    max_completion_length: int | None = 512
    dynamic_sampling: bool = False
    allow_duplicate_prompts: bool = False
    shuffle_dataset: bool = True
    # length of the run
    max_steps: int = -1
    num_train_epochs: float = 3.0
    save_steps: int = 500
    save_total_limit: int | None = None
    logging_steps: int = 10  # verl logs every step
    # the update
    learning_rate: float = 1e-6
    lr_scheduler_type: str = "linear"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    loss_type: str = "grpo"
    importance_sampling_level: str = "sequence"
    epsilon: float = 0.2
    epsilon_high: float | None = None
    delta: float | None = None
    beta: float = 0.0
    # sampling
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    use_vllm: bool = False
    vllm_mode: str = "colocate"
    vllm_gpu_memory_utilization: float = 0.3
    vllm_tensor_parallel_size: int = 1
    vllm_max_model_length: int | None = None
    vllm_enable_sleep_mode: bool = False
    vllm_importance_sampling_correction: bool = True
    # the model
    model_name_or_path: str | None = None
    dtype: str = "float32"
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    use_peft: bool = False
    lora_r: int = 16
    lora_alpha: int = 32
    lora_target_modules: list[str] | None = None
    gradient_checkpointing: bool = True
    bf16: bool | None = None  # None: yes, as TRL has it
    chat_template_kwargs: dict[str, Any] | None = None
    # the rest
    seed: int = 42
    output_dir: str | None = None
    report_to: str = "none"

    def __post_init__(self) -> None:
        given = dict(self.risk or {})
        given["schedule"] = schedule_of(given.get("schedule"))
        self.risk = {name: value for name, value in given.items() if value is not None}
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(unknown_name(f"`{name}` under verl", getattr(self, name), allowed))
        for name, (wanted, holds) in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise ConfigError(f"{name} must be {wanted}, got {value}.")
        if self.num_generations < 2:
            raise ConfigError("num_generations: each prompt needs at least 2 responses, which are compared.")
        if not self.use_vllm:
            raise ConfigError("verl samples with a server: set use_vllm: true (--use_vllm true).")
        if self.vllm_mode != "colocate":
            raise ConfigError(
                "vllm_mode: server is TRL's. Under verl the override trainer.v1.trainer_mode=riskpo_separate_async "
                "gives sampling GPUs of its own (docs/engines.md)."
            )
        if self.vllm_importance_sampling_correction:
            raise ConfigError(
                "vllm_importance_sampling_correction: true is TRL's way: set it to false, and use verl's "
                "algorithm.rollout_correction.* as overrides if wanted."
            )
        if self.max_completion_length is None:
            raise ConfigError("max_completion_length: verl needs a number.")
        self.risk_config  # noqa: B018  (raises for options that cannot be run)

    @property
    def risk_config(self) -> RiskConfig:
        """The preset with the options that were given, validated."""
        return risk_config_of(self.preset, self.risk or {}, self.scale_rewards)


_COUNT: tuple[str, Callable[[float], bool]] = "at least 1", lambda value: value >= 1
_SHARE: tuple[str, Callable[[float], bool]] = "in (0, 1)", lambda value: 0.0 < value < 1.0
# Beside those of riskpo.runs.limits.
_NUMBERS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "num_generations": _COUNT,
    "per_device_train_batch_size": _COUNT,
    "gradient_accumulation_steps": _COUNT,
    "steps_per_generation": _COUNT,
    "save_steps": _COUNT,
    "save_total_limit": _COUNT,
    "vllm_tensor_parallel_size": _COUNT,
    "lora_r": _COUNT,
    "lora_alpha": _COUNT,
    "epsilon": _SHARE,
    "epsilon_high": ("above 0", lambda value: value > 0.0),
    "delta": ("above 1", lambda value: value > 1.0),
    "top_k": ("at least 0", lambda value: value >= 0),
    "seed": ("at least 0", lambda value: value >= 0),
    "vllm_gpu_memory_utilization": _SHARE,
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "loss_type": ("grpo", "bnpo", "dapo", "dr_grpo"),
    "importance_sampling_level": ("token", "sequence"),
    "lr_scheduler_type": ("constant", "constant_with_warmup", "cosine"),
    "dtype": ("float32", "bfloat16"),
    "report_to": ("none", "wandb", "tensorboard", "mlflow", "swanlab", "trackio"),
}

# The options by name, those of the estimator beside the engine's.
NAMES = tuple(option.name for option in fields(VerlTraining) if option.name != "risk") + RISK_OPTIONS
