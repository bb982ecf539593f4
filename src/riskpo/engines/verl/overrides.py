"""A run's options as verl's: TRL counts responses a process, verl prompts a step. Pure: options in, overrides out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpo.engines.verl.training import VerlTraining
from riskpo.errors import ConfigError

_PLAIN = re.compile(r"[\w./:+@-]+")
_AGGREGATION = {
    "grpo": "seq-mean-token-mean",
    "bnpo": "token-mean",
    "dapo": "token-mean",
    "dr_grpo": "seq-mean-token-sum-norm",
}
_NO_DUAL_CLIP = 1e6  # verl always clips a second time, at clip_ratio_c; TRL does at `delta` only


@dataclass(frozen=True)
class StepSizes:
    """What a step of verl holds.

    Args:
        prompts: that are sampled together and share bundles (data.train_batch_size).
        mini_batch: prompts of an update.
        updates: of a step.
        steps: in all; None: as many as `epochs` have.
        epochs: through the training set.
        save_every: steps.
    """

    prompts: int
    mini_batch: int
    updates: int
    steps: int | None
    epochs: int
    save_every: int


def step_sizes(training: VerlTraining, processes: int) -> StepSizes:
    """The sizes that TRL's options mean on so many processes.

    Raises:
        ConfigError: sizes that are no whole prompts, updates or steps.
    """
    group = training.num_generations
    each = training.per_device_train_batch_size * processes
    generation = each * (training.steps_per_generation or training.gradient_accumulation_steps)
    update = each * training.gradient_accumulation_steps
    prompts = _whole(generation, group, "responses of a generation", f"num_generations={group}")
    mini_batch = _whole(update, group, "responses of an update", f"num_generations={group}")
    updates = _whole(prompts, mini_batch, "prompts of a generation", f"an update's {mini_batch} prompts")
    updates *= training.num_iterations
    steps = None
    if training.max_steps > 0:
        steps = _whole(training.max_steps, updates, "max_steps", f"the {updates} updates of a step of verl")
    save_every = _whole(training.save_steps, updates, "save_steps", f"the {updates} updates of a step of verl")
    epochs = int(training.num_train_epochs)
    if steps is None and epochs != training.num_train_epochs:
        raise ConfigError(f"num_train_epochs={training.num_train_epochs}: verl counts whole epochs, or set max_steps.")
    training.risk_config.check_step(prompts, group)
    return StepSizes(prompts, mini_batch, updates, steps, max(epochs, 1) if steps is None else 10**6, save_every)


def overrides_of(training: VerlTraining, sizes: StepSizes, where: Where) -> list[str]:
    """The overrides of verl's configuration (`--config-name riskpo`), `key=value` each, in a fixed order."""
    pairs = {
        **_data(training, sizes, where),
        **_update(training, sizes),
        **_sampling(training),
        **_model(training),
        **_estimator(training),
        **_trainer(training, sizes, where),
    }
    return [f"{key}={hydra_value(value)}" for key, value in pairs.items()]


@dataclass(frozen=True)
class Where:
    """Where a run's files and machines are.

    Args:
        name: the run's.
        folder: its folder, absolute.
        max_prompt_tokens: of the longest prompt, chat template included; longer ones are left out.
        reward: the names of its parts.
        processes, nodes: GPUs in all, and machines.
        held_out: whether `held_out.parquet` is evaluated, before, and after the last step.
        eval_samples: a held-out prompt.
        rollouts: whether every step's completions are kept.
    """

    name: str
    folder: Path
    max_prompt_tokens: int
    reward: Sequence[str]
    processes: int
    nodes: int = 1
    held_out: bool = False
    eval_samples: int = 1
    rollouts: bool = True


def _data(training: VerlTraining, sizes: StepSizes, where: Where) -> dict[str, Any]:
    train = where.folder / "train.parquet"
    kwargs = "reward.custom_reward_function.reward_kwargs"
    found = {
        "data.train_files": train,
        "data.val_files": where.folder / "held_out.parquet" if where.held_out else train,
        "data.train_batch_size": sizes.prompts,
        "data.max_prompt_length": where.max_prompt_tokens,
        "data.max_response_length": training.max_completion_length,
        "data.filter_overlong_prompts": True,
        "data.truncation": "error",
        "data.shuffle": training.shuffle_dataset,
        "data.seed": training.seed,
        "data.trust_remote_code": training.trust_remote_code,
        "reward.custom_reward_function.path": "pkg://riskpo.engines.verl.reward",
        "reward.custom_reward_function.name": "compute_score",
        f"+{kwargs}.reward": list(where.reward),
    }
    for name, value in (training.chat_template_kwargs or {}).items():
        found[f"++data.apply_chat_template_kwargs.{name}"] = value
    return found | ({f"+{kwargs}.weights": training.reward_weights} if training.reward_weights else {})


def _update(training: VerlTraining, sizes: StepSizes) -> dict[str, Any]:
    actor, optim = "actor_rollout_ref.actor", "actor_rollout_ref.actor.optim"
    token = training.importance_sampling_level == "token"
    cosine = training.lr_scheduler_type == "cosine"
    # verl moves the learning rate once a step, TRL at every update; Transformers' `constant` knows no warm-up.
    warmup = 0 if training.lr_scheduler_type == "constant" else training.warmup_steps
    if warmup:
        warmup = _whole(warmup, sizes.updates, "warmup_steps", f"the {sizes.updates} updates of a step of verl")
    found = {
        f"{actor}.strategy": "fsdp2",
        f"{actor}.ppo_mini_batch_size": sizes.mini_batch,
        f"{actor}.ppo_micro_batch_size_per_gpu": training.per_device_train_batch_size,
        f"{actor}.ppo_epochs": training.num_iterations,
        f"{actor}.data_loader_seed": training.seed,
        f"{optim}.lr": training.learning_rate,
        f"{optim}.lr_scheduler_type": "cosine" if cosine else "constant",
        f"{optim}.lr_warmup_steps": warmup,
        f"{optim}.weight_decay": training.weight_decay,
        f"{optim}.betas": [training.adam_beta1, training.adam_beta2],
        f"{optim}.override_optimizer_config": {"eps": training.adam_epsilon},
        f"{actor}.grad_clip": training.max_grad_norm,
        f"{actor}.policy_loss.loss_mode": "vanilla" if token else "gspo",
        f"{actor}.loss_agg_mode": _AGGREGATION[training.loss_type],
        f"{actor}.clip_ratio": training.epsilon,
        f"{actor}.clip_ratio_low": training.epsilon,
        f"{actor}.clip_ratio_high": training.epsilon if training.epsilon_high is None else training.epsilon_high,
        f"{actor}.use_kl_loss": training.beta > 0.0,
    }
    if token:
        found[f"{actor}.clip_ratio_c"] = _NO_DUAL_CLIP if training.delta is None else training.delta
    elif training.delta is not None:
        raise ConfigError("delta: verl clips a second time with importance_sampling_level: token only.")
    if training.loss_type == "dr_grpo":
        found[f"{actor}.loss_scale_factor"] = training.max_completion_length
    if training.beta > 0.0:
        found |= {f"{actor}.kl_loss_coef": training.beta, f"{actor}.kl_loss_type": "low_var_kl"}
        found["actor_rollout_ref.ref.strategy"] = "fsdp2"
        found["actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu"] = training.per_device_train_batch_size
    return found


def _sampling(training: VerlTraining) -> dict[str, Any]:
    rollout = "actor_rollout_ref.rollout"
    found = {
        f"{rollout}.name": "vllm",
        f"{rollout}.n": training.num_generations,
        f"{rollout}.temperature": training.temperature,
        f"{rollout}.top_p": training.top_p,
        f"{rollout}.top_k": training.top_k or -1,
        f"{rollout}.seed": training.seed,
        f"{rollout}.gpu_memory_utilization": training.vllm_gpu_memory_utilization,
        f"{rollout}.tensor_model_parallel_size": training.vllm_tensor_parallel_size,
        f"{rollout}.free_cache_engine": training.vllm_enable_sleep_mode,
        f"{rollout}.log_prob_micro_batch_size_per_gpu": training.per_device_train_batch_size,
    }
    if training.vllm_max_model_length is not None:
        found[f"{rollout}.max_model_len"] = training.vllm_max_model_length
    return found


def _model(training: VerlTraining) -> dict[str, Any]:
    model, fsdp = "actor_rollout_ref.model", "actor_rollout_ref.actor.fsdp_config"
    found: dict[str, Any] = {
        f"{model}.path": training.model_name_or_path,
        f"{model}.trust_remote_code": training.trust_remote_code,
        f"{model}.enable_gradient_checkpointing": training.gradient_checkpointing,
        f"{fsdp}.model_dtype": "fp32" if training.dtype == "float32" else "bfloat16",
        f"{fsdp}.dtype": "float32" if training.bf16 is False else "bfloat16",
    }
    if training.attn_implementation is not None:
        found[f"+{model}.override_config.attn_implementation"] = training.attn_implementation
    if training.use_peft:
        found |= {f"{model}.lora_rank": training.lora_r, f"{model}.lora_alpha": training.lora_alpha}
        found[f"{model}.target_modules"] = training.lora_target_modules or "all-linear"
    return found


def _estimator(training: VerlTraining) -> dict[str, Any]:
    riskpo = "algorithm.riskpo"
    given = dict(training.risk or {})
    if "schedule" in given:
        given["schedule"] = json.dumps(given["schedule"])
    found = {
        "algorithm.adv_estimator": "riskpo",
        f"{riskpo}.preset": training.preset,
        **{f"{riskpo}.{name}": value for name, value in given.items()},
        f"{riskpo}.scale_rewards": training.scale_rewards,
        f"{riskpo}.seed": training.seed,
        f"{riskpo}.log_covariances": training.log_covariances,
    }
    if training.dynamic_sampling:
        found |= {"algorithm.filter_groups.enable": True, "algorithm.filter_groups.metric": "reward"}
    return found


def _trainer(training: VerlTraining, sizes: StepSizes, where: Where) -> dict[str, Any]:
    loggers = ["console", "file", *([] if training.report_to == "none" else [training.report_to])]
    found: dict[str, Any] = {
        "trainer.v1.trainer_mode": "riskpo_sync",
        "trainer.project_name": "riskpo",
        "trainer.experiment_name": where.name,
        "trainer.logger": loggers,
        "trainer.default_local_dir": where.folder / "checkpoints",
        "trainer.rollout_data_dir": where.folder / "rollouts" if where.rollouts else None,
        "trainer.nnodes": where.nodes,
        "trainer.n_gpus_per_node": _whole(where.processes, where.nodes, "processes", f"nodes={where.nodes}"),
        "trainer.total_epochs": sizes.epochs,
        "trainer.total_training_steps": sizes.steps,
        "trainer.save_freq": sizes.save_every,
        "trainer.max_actor_ckpt_to_keep": training.save_total_limit,
        "trainer.resume_mode": "auto",
        "trainer.val_before_train": where.held_out,
        "trainer.test_freq": 10**6 if where.held_out else -1,  # the last step is always evaluated
    }
    if where.held_out:
        val = "actor_rollout_ref.rollout.val_kwargs"
        found |= {f"{val}.n": where.eval_samples, f"{val}.do_sample": True, f"{val}.top_k": training.top_k or -1}
        found |= {f"{val}.temperature": training.temperature, f"{val}.top_p": training.top_p}
    return found


def hydra_value(value: Any) -> str:
    """A value as Hydra's command line reads it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{hydra_value(key)}:{hydra_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    text = str(value)
    if _PLAIN.fullmatch(text) and not re.fullmatch(r"(?i)null|true|false|[+-]?(nan|inf|[\d._e+-]+)", text):
        return text
    # Hydra reads a backslash as itself, but for those right before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def _whole(total: int, part: int, what: str, by: str) -> int:
    count, rest = divmod(total, part)
    if rest or not count:
        raise ConfigError(f"{what} ({total}) must be a multiple of {by}: verl counts whole ones.")
    return count
