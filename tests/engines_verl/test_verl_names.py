"""What the engine relies on in verl, by name: an upgrade that takes one away fails here, loudly."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from riskpo.engines.verl import environment, options
from riskpo.errors import ConfigError, EngineError
from tests.engines_verl.conftest import HAS_VERL, needs_verl

if HAS_VERL:
    from hydra import compose, initialize_config_module
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, AdvantageEstimator
    from verl.trainer.ppo.v1 import PPOTrainer, get_trainer_cls

    from riskpo.engines.verl import trainer

CONF = Path(options.__file__).with_name("conf") / "riskpo.yaml"


def test_the_configuration_has_every_option() -> None:
    assert set(yaml.safe_load(CONF.read_text())["algorithm"]["riskpo"]) == set(options.OPTIONS)


@needs_verl
def test_methods_and_attributes() -> None:
    for name in trainer.VERL_NAMES["methods"]:
        assert inspect.isfunction(getattr(PPOTrainer, name)), name
    source = inspect.getsource(PPOTrainer)
    for name in trainer.VERL_NAMES["attributes"]:
        assert f"self.{name}" in source, name
    assert list(inspect.signature(PPOTrainer._compute_advantage).parameters) == ["self", "batch", "metrics"]
    assert "upsample_batch_to_divisible_size" in source
    padding = inspect.getsource(sys.modules["verl.trainer.ppo.padding_utils"])
    assert 'pad_uid = f"pad' in padding  # how padding is told from prompts


@needs_verl
def test_every_name_is_registered_and_verls_own_are_left_alone() -> None:
    assert {member.value for member in AdvantageEstimator} == options.VERL_ESTIMATORS
    ours = {name for name, function in ADV_ESTIMATOR_REGISTRY.items() if function.__module__.startswith("riskpo.")}
    assert ours == set(options.ESTIMATORS)
    for mine, theirs in options.TRAINER_MODES.items():
        assert issubclass(get_trainer_cls(mine), get_trainer_cls(theirs))


@needs_verl
def test_the_plugin_costs_other_processes_nothing() -> None:
    code = "import sys, verl; print(sorted(m for m in sys.modules if m.startswith('riskpo')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1] == str(
        ["riskpo", "riskpo.engines", "riskpo.engines.verl", "riskpo.engines.verl.plugin"]
    )


@needs_verl
def test_without_the_plugin_the_trainer_is_unknown() -> None:
    code = "from verl.trainer.ppo.v1 import get_trainer_cls; get_trainer_cls('riskpo_sync')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "VERL_USE_EXTERNAL_PLUGINS": "none"},
    )
    assert "Unknown trainer 'riskpo_sync'" in done.stderr


def composed(*overrides: str) -> Any:
    with initialize_config_module(config_module="riskpo.engines.verl.conf", version_base=None):
        return compose("riskpo", overrides=list(overrides))


@needs_verl
def test_the_configuration_composes_and_knows_its_options() -> None:
    config = composed("algorithm.riskpo.risk_low=0.1", "actor_rollout_ref.rollout.name=vllm")
    assert config.trainer.v1.trainer_mode == "riskpo_sync"
    assert config.algorithm.riskpo.risk_low == 0.1
    assert config.actor_rollout_ref.actor.policy_loss.loss_mode == "gspo"
    assert config.algorithm.gamma == 1.0  # verl's
    with pytest.raises(Exception, match=r"Could not override 'algorithm\.riskpo\.risk_lo'"):
        composed("algorithm.riskpo.risk_lo=0.1")


@needs_verl
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["algorithm.use_kl_in_reward=true"], "use_kl_loss=true for a KL penalty"),
        (["actor_rollout_ref.rollout.n=1"], "needs at least 2 responses"),
        (["algorithm.adv_estimator=grpo"], "unknown algorithm.adv_estimator for a riskpo trainer 'grpo'"),
        (["algorithm.riskpo.risk_low=0.9"], "must be below `risk_high`"),
        (["+algorithm.riskpo.risk_lo=0.1"], "Did you mean 'risk_low'"),
        (["data.train_batch_size=4"], "4 prompts in a step cannot fill a bundle of 5"),
        (
            ["trainer.v1.trainer_mode=riskpo_separate_async", "data.train_batch_size=18"],
            "is no multiple of trainer.v1.separate_async.parameter_sync_step=4",
        ),
        (
            ["trainer.v1.trainer_mode=riskpo_separate_async", "data.train_batch_size=16"],
            "4 prompts in a step cannot fill a bundle of 5",
        ),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_anything_is_loaded(overrides: list[str], message: str) -> None:
    config = composed("actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.n=4", *overrides)
    with pytest.raises(ConfigError, match=message):
        get_trainer_cls(config.trainer.v1.trainer_mode)(config)


def test_trl_beside_verl_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.metadata, "version", lambda name: "1.16.0")
    with pytest.raises(EngineError, match=r"trl 1.16.0 is installed beside verl.*environment of its own"):
        environment.check_environment()
    monkeypatch.setattr(environment.metadata, "version", lambda name: "0.27.0")
    environment.check_environment()
