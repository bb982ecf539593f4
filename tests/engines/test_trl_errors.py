"""Bad input ends in a clear error, before the model is loaded or at the latest before the first generation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.errors import ConfigError, DataError, EngineError, RewardError
from tests.engines.conftest import coin_reward, make_config, make_trainer

NOWHERE = "/nowhere/no-such-model"  # any attempt to load it fails: an earlier error proves that nothing was loaded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"risk_low": 0.8, "risk_high": 0.2}, "must be below"),
        ({"risk_low": 0.5, "risk_high": 0.5}, "must be below"),
        ({"risk_low": 0.0}, "strictly between 0 and 1"),
        ({"risk_high": 1.0}, "strictly between 0 and 1"),
        ({"tail_weight": -0.1}, ">= 0"),
        ({"bundle_size": 0}, ">= 1"),
        ({"bundle_size": 11}, "holds 10 prompts .* cannot fill a bundle of 11"),
        ({"num_generations": 1}, "num_generations=1: each prompt needs at least 2 responses"),
        ({"preset": "papre"}, "Did you mean 'paper'"),
        ({"pairing": "exakt"}, "Did you mean 'exact'"),
        ({"measure": "custom"}, "needs both"),
        ({"measure": "custom", "spectrum_levels": [0.5], "spectrum_weights": [1.0]}, "needs 2 weights"),
        ({"reward_range": [1.0, 0.0]}, "smaller first"),
        ({"reward_step": 0.3}, "divides the reward range"),
        ({"scale_rewards": "group"}, "undoes the risk measure"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "sum_then_normalize"),
    ],
)
def test_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        make_config(tmp_path, **options)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": f"{number}"} for number in range(20)], "lacks the column.*prompt"),
        ([{"prompt": f"{number}"} for number in range(9)], "has 9 prompts, but one step takes 10"),
        ([{"prompt": "1"}, {"prompt": "  "}] + [{"prompt": f"{n}"} for n in range(20, 40)], "empty .rows 2"),
        ([{"prompt": f"{n % 19}"} for n in range(20)], "repeat an earlier one .rows .1, 20"),
    ],
)
def test_data(rows: list[dict[str, str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        RiskPOTrainer(NOWHERE, coin_reward, make_config(tmp_path), Dataset.from_list(rows))


def test_duplicates_can_be_allowed(tiny_model: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"{number % 19}"} for number in range(20)]
    make_trainer(tiny_model, make_config(tmp_path, allow_duplicate_prompts=True), Dataset.from_list(rows))


def test_another_trainers_arguments(prompts: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes a RiskPOConfig"):
        RiskPOTrainer(NOWHERE, coin_reward, GRPOConfig(str(tmp_path), bf16=False), prompts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda completions, **_: [1.0], "returned 1 rewards"),
        (lambda completions, **_: ["good"] * len(completions), "a list with a str in it .*must return one number per"),
        (lambda completions, **_: [[1.0, 2.0]] * len(completions), "with a list in it .*must return one number per"),
        (lambda completions, **_: None, "returned a NoneType, not a list. Each must return one number per"),
        (lambda completions, **_: "good", "returned a str, not a list. Each must return one number per"),
        (lambda completions, gold, **_: [1.0] * len(completions), "gold"),
        (lambda completions, **_: 1 / 0, "division by zero"),
    ],
)
def test_rewards_are_tried_before_generation(
    reward: Any, message: str, tiny_model: str, prompts: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was asked to generate")

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", generate)
    with pytest.raises(RewardError, match=message):
        make_trainer(tiny_model, make_config(tmp_path), prompts, reward).train()


@pytest.mark.parametrize(
    ("reward", "options", "message"),
    [
        (lambda completions, **_: [2.0] * len(completions), {}, "outside the declared reward_range"),
        (lambda completions, **_: [float("inf")] * len(completions), {}, "outside the declared reward_range"),
        (lambda completions, **_: [0.5] * len(completions), {"preset": "exact"}, "not on the declared grid"),
    ],
)
def test_rewards_out_of_declaration(
    reward: Any, options: dict[str, Any], message: str, tiny_model: str, prompts: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(RewardError, match=message):
        make_trainer(tiny_model, make_config(tmp_path, **options), prompts, reward).train()


def test_nothing_could_be_scored(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    def none(completions: list[str], **_: Any) -> list[None]:
        return [None] * len(completions)

    with pytest.raises(RewardError, match=r"not one of the 40 responses of the first step could be scored: .*'none'"):
        make_trainer(tiny_model, make_config(tmp_path), prompts, none).train()


def test_left_over_prompts_are_mentioned(
    tiny_model: str, prompts: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        make_trainer(tiny_model, make_config(tmp_path), prompts.select(range(19)))
    assert "9 of 19 prompts do not fill a step of 10" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rewards: rewards[:-1], id="a row is missing"),
        pytest.param(lambda rewards: rewards.flip(0), id="another order than its own advantages"),
        pytest.param(lambda rewards: rewards[:, 0], id="another shape"),
    ],
)
def test_an_engine_that_changed_is_noticed(
    change: Any, tiny_model: str, prompts: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=1), prompts)
    original = RiskPOTrainer._calculate_rewards

    def changed(self: RiskPOTrainer, *args: Any) -> torch.Tensor:
        rewards = original(self, *args)
        self._rewards_per_func = change(rewards)
        return rewards

    monkeypatch.setattr(RiskPOTrainer, "_calculate_rewards", changed)
    with pytest.raises(EngineError, match="TRL"):
        trainer.train()


def test_an_engine_that_no_longer_calls_us_is_noticed(
    tiny_model: str, prompts: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=1), prompts)
    monkeypatch.setattr(RiskPOTrainer, "_calculate_rewards", GRPOTrainer._calculate_rewards)
    monkeypatch.setattr(trainer, "_try_rewards", lambda: None)
    with pytest.raises(EngineError, match="rewards of shape None"):
        trainer.train()


def test_the_default_step_is_too_small_for_a_bundle() -> None:
    # TRL's defaults generate 8 responses a step, one prompt: the error names what to raise.
    with pytest.raises(ConfigError, match=r"holds 1 prompts .*per_device_train_batch_size"):
        RiskPOConfig("unused", bf16=False)
