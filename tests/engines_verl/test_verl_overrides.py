"""A run's options as verl's: sizes by hand, every value where verl reads it, and what has no counterpart."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from riskpo.engines.verl.compose import compose as compose_config
from riskpo.engines.verl.options import read_options
from riskpo.engines.verl.overrides import StepSizes, Where, hydra_value, overrides_of, step_sizes
from riskpo.engines.verl.training import NAMES, VerlTraining
from riskpo.errors import ConfigError
from riskpo.runs.recipes import read_recipe
from riskpo.runs.verl_plan import plan_verl
from tests.engines_verl.conftest import HAS_VERL, needs_verl

if HAS_VERL:
    from hydra import compose, initialize_config_module
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    from riskpo.engines.verl.trainer import _check_config

USABLE: dict[str, Any] = {
    "use_vllm": True,
    "vllm_importance_sampling_correction": False,
    "lr_scheduler_type": "constant",
    "model_name_or_path": "org/model",
}


def training(**options: Any) -> VerlTraining:
    return VerlTraining(**{**USABLE, **options})


def pairs(made: VerlTraining, **where: Any) -> dict[str, str]:
    sizes = StepSizes(prompts=10, mini_batch=5, updates=2, steps=20, epochs=10**6, save_every=4)
    place = Where("name", Path("/runs/name"), 64, ["math"], where.pop("processes", 4), **where)
    return dict(one.split("=", 1) for one in overrides_of(made, sizes, place))


def test_the_released_sizes() -> None:
    """512 prompts x 10 on 8 GPUs in updates of 128; 2 000 updates are 500 steps."""
    made = training(
        num_generations=10,
        per_device_train_batch_size=4,
        steps_per_generation=160,
        gradient_accumulation_steps=40,
        max_steps=2000,
        save_steps=40,
    )
    assert step_sizes(made, 8) == StepSizes(512, 128, 4, 500, 10**6, 10)


def test_several_passes_count_as_updates() -> None:
    made = training(per_device_train_batch_size=8, num_iterations=2, max_steps=6, save_steps=4)
    assert step_sizes(made, 5) == StepSizes(5, 5, 2, 3, 10**6, 2)


def test_epochs() -> None:
    assert step_sizes(training(num_train_epochs=2.0), 5).steps is None
    assert step_sizes(training(num_train_epochs=2.0), 5).epochs == 2


@pytest.mark.parametrize(
    ("options", "processes", "message"),
    [
        ({"num_generations": 7}, 5, r"responses of a generation \(40\) must be a multiple of num_generations=7"),
        ({"steps_per_generation": 4, "gradient_accumulation_steps": 3}, 5, "an update's 15 prompts"),
        ({"max_steps": 5, "num_iterations": 2}, 5, r"max_steps \(5\) must be a multiple of the 2 updates"),
        ({"save_steps": 5, "num_iterations": 2}, 5, r"save_steps \(5\)"),
        ({"num_train_epochs": 2.5}, 5, "verl counts whole epochs"),
        ({}, 4, "4 prompts in a step cannot fill a bundle of 5"),
    ],
)
def test_sizes_that_are_none(options: dict[str, Any], processes: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        step_sizes(training(**options), processes)


def test_the_paper_s_update() -> None:
    found = pairs(training(epsilon=0.2, epsilon_high=0.28, weight_decay=0.01, adam_beta2=0.99))
    actor = "actor_rollout_ref.actor"
    assert found[f"{actor}.policy_loss.loss_mode"] == "gspo"
    assert found[f"{actor}.loss_agg_mode"] == "seq-mean-token-mean"
    assert (found[f"{actor}.clip_ratio_low"], found[f"{actor}.clip_ratio_high"]) == ("0.2", "0.28")
    assert found[f"{actor}.optim.betas"] == "[0.9,0.99]"
    assert found[f"{actor}.use_kl_loss"] == "false"
    assert f"{actor}.clip_ratio_c" not in found
    assert found["algorithm.riskpo.preset"] == "paper"


def test_warm_up_is_counted_in_steps_of_verl() -> None:
    """TRL's 10 updates are 5 steps of two updates; Transformers' `constant` has none."""
    key = "actor_rollout_ref.actor.optim.lr_warmup_steps"
    assert pairs(training(lr_scheduler_type="constant_with_warmup", warmup_steps=10))[key] == "5"
    assert pairs(training(lr_scheduler_type="cosine", warmup_steps=4))[key] == "2"
    assert pairs(training(warmup_steps=10))[key] == "0"
    with pytest.raises(ConfigError, match=r"warmup_steps \(3\) must be a multiple of the 2 updates"):
        pairs(training(lr_scheduler_type="cosine", warmup_steps=3))


def test_the_released_update() -> None:
    made = training(preset="released-hard", importance_sampling_level="token", loss_type="dapo", delta=3.0)
    found = pairs(made)
    assert found["actor_rollout_ref.actor.policy_loss.loss_mode"] == "vanilla"
    assert found["actor_rollout_ref.actor.loss_agg_mode"] == "token-mean"
    assert found["actor_rollout_ref.actor.clip_ratio_c"] == "3.0"
    assert float(pairs(training(importance_sampling_level="token"))["actor_rollout_ref.actor.clip_ratio_c"]) == 1e6


def test_options_of_the_estimator_kl_lora_and_machines() -> None:
    schedule = {"tail_weight": {"0": 0.0, "1": 0.5}}
    made = training(
        risk={"risk_low": 0.1, "bundle_size": 4, "schedule": schedule},
        beta=0.01,
        use_peft=True,
        lora_target_modules=["q_proj", "v_proj"],
        dynamic_sampling=True,
        report_to="wandb",
        chat_template_kwargs={"enable_thinking": False},
        reward_weights=[1.0, 0.5],
        attn_implementation="sdpa",
    )
    found = pairs(made, processes=16, nodes=2, held_out=True, eval_samples=8, rollouts=False)
    assert (found["algorithm.riskpo.risk_low"], found["algorithm.riskpo.bundle_size"]) == ("0.1", "4")
    assert found["algorithm.riskpo.schedule"] == '\'{"tail_weight": {"0": 0.0, "1": 0.5}}\''
    assert found["actor_rollout_ref.actor.kl_loss_coef"] == "0.01"
    assert found["actor_rollout_ref.model.target_modules"] == "[q_proj,v_proj]"
    assert found["algorithm.filter_groups.enable"] == "true"
    assert found["trainer.logger"] == "[console,file,wandb]"
    assert found["++data.apply_chat_template_kwargs.enable_thinking"] == "false"
    assert found["+reward.custom_reward_function.reward_kwargs.weights"] == "[1.0,0.5]"
    assert (found["trainer.nnodes"], found["trainer.n_gpus_per_node"]) == ("2", "8")
    assert found["data.val_files"] == "/runs/name/held_out.parquet"
    assert found["actor_rollout_ref.rollout.val_kwargs.n"] == "8"
    assert found["trainer.rollout_data_dir"] == "null"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_scheduler_type": "linear"}, "unknown `lr_scheduler_type` under verl 'linear'. Allowed: constant"),
        ({"loss_type": "cispo"}, "unknown `loss_type` under verl"),
        ({"use_vllm": False}, "set use_vllm: true"),
        ({"vllm_mode": "server"}, "riskpo_separate_async"),
        ({"vllm_importance_sampling_correction": True}, "rollout_correction"),
        ({"num_generations": 1}, "at least 2 responses"),
        ({"scale_rewards": "group"}, "`scale`"),
        ({"risk": {"risk_low": 0.9}}, "must be below `risk_high`"),
    ],
)
def test_what_has_no_counterpart(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        training(**options)


def test_a_second_clip_needs_token_ratios() -> None:
    with pytest.raises(ConfigError, match="importance_sampling_level: token only"):
        pairs(training(delta=4.0))


VALUES = [
    None,
    True,
    3,
    0.5,
    1e-6,
    "a/b:c",
    "it's",
    "a b",
    "null",
    "1e-6",
    "x=y,z",
    r"back\slash'",
    "end\\",
    ["a", 1],
    {"k": "v w"},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@needs_verl
def test_values_come_back_from_hydra(value: Any) -> None:
    override = OverridesParser.create().parse_override(f"key={hydra_value(value)}")
    assert override.value() == value


def test_names_and_defaults_are_those_of_trl() -> None:
    config = pytest.importorskip("riskpo.engines.trl_config", reason="TRL is not installed here: make test")
    from trl import ModelConfig

    theirs = {
        option.name: option.default
        for part in (config.RiskPOConfig, ModelConfig)
        for option in dataclasses.fields(part)
    }
    assert set(NAMES) <= set(theirs)
    for option in dataclasses.fields(VerlTraining):
        if option.name != "risk":
            assert option.default == theirs[option.name], option.name


@needs_verl
@pytest.mark.parametrize("name", ["paper-hard", "paper-easy", "paper-code", "paper-geometry3k"])
@pytest.mark.parametrize(
    "flags", [[], ["--estimator", "dr_grpo", "--beta", "0.01"], ["--preset", "two-level"]], ids=str
)
def test_verl_takes_the_command_of_a_recipe(name: str, flags: list[str]) -> None:
    """Through verl's own configuration, its own checks, and ours at the start of a run."""
    longest = ["--max_prompt_tokens", "2048"] if "geometry" in name else []
    plan = plan_verl(*read_recipe(name, None), [*flags, *longest])
    with initialize_config_module(config_module="riskpo.engines.verl.conf", version_base=None):
        config = compose("riskpo", overrides=plan.overrides(Path("/runs/x"), ["math"]))
    OmegaConf.resolve(config)
    validate_config(config, need_reference_policy(config), need_critic(config))
    _check_config(config, "sync")
    risk = OmegaConf.to_container(config.algorithm.riskpo)
    options = read_options(config.algorithm.adv_estimator, risk, config.data.seed)
    assert options.risk == plan.training.risk_config
    assert options.seed == plan.training.seed
    assert config.reward.custom_reward_function.reward_kwargs.reward == ["math"]
    assert config.actor_rollout_ref.actor.use_kl_loss == ("--beta" in flags)


@needs_verl
def test_an_override_that_verl_does_not_know_is_found_before_a_run() -> None:
    with pytest.raises(ConfigError, match=r"does not take the command: Could not override 'nonsense\.key'"):
        compose_config(["nonsense.key=3"])
    assert compose_config(["data.train_batch_size=7"]).data.train_batch_size == 7
