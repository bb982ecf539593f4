"""The estimators of the family through the real trainer: ids, progress, and what is said when they cannot work."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from riskpo import RiskPOTrainer
from riskpo.engines import trl as engine
from riskpo.engines.prompt_ids import prompt_id
from riskpo.errors import ConfigError
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from tests.engines.conftest import coin_reward, make_config, make_trainer, step_logs
from tests.engines.test_trl_errors import NOWHERE

# What decides the numbers of a run, in both trainers' arguments.
SHARED = ("output_dir", "per_device_train_batch_size", "num_generations", "max_completion_length", "max_steps")
SHARED += ("learning_rate", "lr_scheduler_type", "gradient_checkpointing", "bf16", "use_cpu", "report_to")
SHARED += ("save_strategy", "logging_steps", "disable_tqdm", "loss_type", "importance_sampling_level")


class Noted(RiskPOTrainer):
    """Keeps every step's prompts, rewards and advantages."""

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        table = self.last_completions()
        self.steps = [*getattr(self, "steps", []), (table["prompt"], table["coin_reward"], output["advantages"])]
        return output


@pytest.mark.parametrize("preset", ["sorted", "prompt-mvar", "two-level"])
def test_advantages_that_reach_the_loss(preset: str, tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    """Two epochs and a half: recomputed with ids made here, and progress counted here."""
    args = make_config(tmp_path, max_steps=10, preset=preset, seed=5)
    trainer = make_trainer(tiny_model, args, prompts, kind=Noted)
    trainer.train()
    config, state, generator = RiskConfig.from_preset(preset), RiskState(), torch.Generator().manual_seed(5)
    for number, (texts, rewards, advantages) in enumerate(trainer.steps):
        step = risk_advantages(
            torch.tensor(rewards).view(10, 4),
            config,
            state,
            generator,
            prompt_ids=[f"id of {text}" for text in texts[::4]],
            progress=number / 10,
        )
        state = step.state
        torch.testing.assert_close(advantages.double(), step.advantages_PG.flatten(), rtol=0, atol=1e-6)
    assert len(trainer.steps) == 10
    if preset == "sorted":
        shares = [row["risk/frac_unseen_prompts"] for row in step_logs(trainer)]
        assert shares == [1.0] * 4 + [0.0] * 6


def test_a_training_set_that_never_repeats_is_told_once(
    tiny_model: str, prompts: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_STEPS_UNSEEN", 1)
    trainer = make_trainer(tiny_model, make_config(tmp_path, preset="sorted"), prompts)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert caplog.text.count("no prompt has come back, so composition='sorted' composes at random") == 1


def test_ids() -> None:
    chat = [{"role": "user", "content": "2+2"}]
    assert prompt_id({"prompt": "2+2"}) == prompt_id({"prompt": "2+2", "answer": "4"})
    assert prompt_id({"prompt": chat}) == prompt_id({"prompt": [dict(reversed(chat[0].items()))]})
    assert len({prompt_id({"prompt": prompt}) for prompt in ("2+2", "2+3", chat)}) == 3
    assert prompt_id({"prompt": "2+2", "prompt_id": 7}) == "7"
    assert prompt_id({"prompt": "2+2", "prompt_id": None}) == prompt_id({"prompt": "2+2"})


def test_images_without_ids_are_refused(tmp_path: Path) -> None:
    rows = [{"prompt": "what is it?", "image": "x", "prompt_id": number} for number in range(20)]
    data = Dataset.from_list(rows)
    with pytest.raises(ConfigError, match="add a column `prompt_id`"):
        RiskPOTrainer(NOWHERE, coin_reward, make_config(tmp_path, preset="sorted"), data.remove_columns("prompt_id"))
    with pytest.raises(OSError, match="no-such-model"):
        RiskPOTrainer(NOWHERE, coin_reward, make_config(tmp_path, preset="sorted"), data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "{'tail_weight': 1}"}, "`schedule` is not JSON"),
        ({"schedule": '{"tail_wait": {"0": 1.0}}'}, "Did you mean 'tail_weight'"),
        (
            {"estimator": "two_level", "inner": "pass_at_k", "k": 5},
            "at least 5 responses per prompt are needed",
        ),
        ({"estimator": "dr_grpo", "bundle_size": 4}, "estimator 'dr_grpo' does not read bundle_size"),
        ({"estimator": "dr_gpro"}, "Did you mean 'dr_grpo'"),
    ],
)
def test_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(tmp_path, **options)


def test_a_schedule_from_the_command_line_is_logged_as_given(tmp_path: Path) -> None:
    args = make_config(tmp_path, schedule='{"tail_weight": {"0": 0, "1": 0.5}}')
    assert args.to_dict()["schedule"] == {"tail_weight": {"0": 0.0, "1": 0.5}}


def test_one_prompt_a_step_is_enough_for_risk_over_prompts(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options = {"per_device_train_batch_size": 4, "num_generations": 4, "max_steps": 3}
    trainer = make_trainer(tiny_model, make_config(tmp_path, preset="prompt-mvar", **options), prompts)
    trainer.train()
    assert trainer.risk.risk_state.steps == 3


@pytest.mark.parametrize(("estimator", "scaling"), [("grpo", "group"), ("dr_grpo", "none")])
def test_the_mean_peers_are_trls_own(
    estimator: str, scaling: str, tiny_model: str, prompts: Dataset, tmp_path: Path
) -> None:
    """Three steps of GRPOTrainer and of this trainer from one seed: the same completions, advantages and losses."""

    class Theirs(GRPOTrainer):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
            self.steps = [*getattr(self, "steps", []), output["advantages"]]
            return output

    args = make_config(tmp_path / "ours", max_steps=3, estimator=estimator)
    ours = make_trainer(tiny_model, args, prompts, kind=Noted)
    ours.train()
    values = {name: getattr(args, name) for name in SHARED}
    theirs = Theirs(tiny_model, coin_reward, GRPOConfig(**{**values, "scale_rewards": scaling}), prompts)
    theirs.remove_callback(PrinterCallback)
    theirs.train()
    for (_, _, mine), own in zip(ours.steps, theirs.steps, strict=True):
        torch.testing.assert_close(mine, own, rtol=0, atol=1e-5)
    losses = [[row["loss"] for row in trainer.state.log_history if "loss" in row] for trainer in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
