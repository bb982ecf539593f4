"""A resumed run is the run that was not interrupted, to the last digit, tracked quantiles included."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from riskpo.errors import ConfigError, ResumeError
from tests.engines.conftest import coin_reward, make_config, make_trainer, step_logs

# 40 prompts in steps of 10: an epoch has 4 generations.
ONE_BATCH: dict[str, Any] = {}
TWO_MINI_BATCHES = {"per_device_train_batch_size": 20, "steps_per_generation": 2}
ACCUMULATION = {"per_device_train_batch_size": 20, "gradient_accumulation_steps": 2}
TWO_PASSES = {"per_device_train_batch_size": 20, "steps_per_generation": 2, "num_iterations": 2}


@pytest.mark.parametrize(
    ("options", "stop", "end"),
    [
        pytest.param(ONE_BATCH, 2, 4, id="within the first epoch"),
        pytest.param(ONE_BATCH, 4, 7, id="between epochs"),
        pytest.param(ONE_BATCH, 6, 9, id="within the second epoch"),
        pytest.param({"preset": "exact"}, 6, 9, id="exact"),
        pytest.param({"preset": "sorted"}, 6, 9, id="pass rates, second epoch"),
        pytest.param({"preset": "two-level"}, 2, 9, id="a schedule, before it changes what is tracked"),
        pytest.param({"preset": "two-level"}, 6, 9, id="a schedule, after that"),
        pytest.param({"preset": "exact", "adaptive_slope": 0.9}, 6, 9, id="an adaptive level"),
        pytest.param(TWO_MINI_BATCHES, 10, 14, id="two mini-batches, second epoch"),
        pytest.param(ACCUMULATION, 5, 7, id="accumulation, second epoch"),
        pytest.param(TWO_PASSES, 4, 12, id="two passes"),
        pytest.param({"restore_callback_states_from_checkpoint": True}, 6, 9, id="callback restored by the engine"),
    ],
)
def test_resumed_equals_uninterrupted(
    options: dict[str, Any], stop: int, end: int, tiny_model: str, prompts: Dataset, tmp_path: Path
) -> None:
    saving = {**options, "save_strategy": "steps", "save_steps": stop, "max_steps": end}
    whole = make_trainer(tiny_model, make_config(tmp_path / "whole", **saving), prompts)
    whole.train()
    shutil.copytree(tmp_path / "whole" / f"checkpoint-{stop}", tmp_path / "part" / f"checkpoint-{stop}")

    part = make_trainer(tiny_model, make_config(tmp_path / "part", **saving), prompts)
    part.train(resume_from_checkpoint=str(tmp_path / "part" / f"checkpoint-{stop}"))
    assert step_logs(part) == step_logs(whole)
    assert part.risk.risk_state == whole.risk.risk_state
    assert part.risk.risk_state.steps > 0
    for name, weights in part.model.state_dict().items():
        assert weights.equal(whole.model.state_dict()[name]), name


def test_epochs_differ_and_the_first_is_trls(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    ours = make_trainer(tiny_model, make_config(tmp_path / "ours"), prompts)
    theirs = GRPOTrainer(
        tiny_model,
        coin_reward,
        GRPOConfig(
            str(tmp_path / "theirs"), per_device_train_batch_size=40, num_generations=4, use_cpu=True, bf16=False
        ),
        prompts,
    )
    first = list(ours._get_train_sampler())
    assert first == list(theirs._get_train_sampler())
    ours.state.epoch = 1.0
    second = list(ours._get_train_sampler())
    assert first != second
    assert sorted(first) == sorted(second)
    ours.state.epoch = 1.5
    assert list(ours._get_train_sampler()) == second


def test_saving_within_a_generation_is_refused(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    args = make_config(tmp_path, save_strategy="steps", save_steps=3, **TWO_MINI_BATCHES)
    with pytest.raises(ConfigError, match="multiple of 2"):
        make_trainer(tiny_model, args, prompts).train()


def test_resuming_within_a_generation_is_refused(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options = {**TWO_MINI_BATCHES, "save_strategy": "steps", "save_steps": 2}
    make_trainer(tiny_model, make_config(tmp_path, max_steps=3, **options), prompts).train()
    assert (tmp_path / "checkpoint-3").is_dir(), "the engine saves at the end, wherever that is"
    with pytest.raises(ResumeError, match="step is a multiple of 2"):
        make_trainer(tiny_model, make_config(tmp_path, max_steps=8, **options), prompts).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-3")
        )


def test_another_number_of_quantiles_is_refused(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2}
    make_trainer(tiny_model, make_config(tmp_path, max_steps=2, **options), prompts).train()
    other = make_trainer(tiny_model, make_config(tmp_path, max_steps=4, measure="cvar", **options), prompts)
    with pytest.raises(
        ResumeError, match="tracks 2 quantiles, riskpo, bundles of 5, the options now ask for 1 quantiles"
    ):
        other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_a_plain_grpo_checkpoint_starts_the_quantiles(
    tiny_model: str, prompts: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    args = GRPOConfig(
        str(tmp_path),
        per_device_train_batch_size=40,
        num_generations=4,
        max_completion_length=6,
        max_steps=2,
        save_steps=2,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
    )
    theirs = GRPOTrainer(tiny_model, coin_reward, args, prompts)
    theirs.remove_callback(PrinterCallback)
    theirs.train()
    ours = make_trainer(tiny_model, make_config(tmp_path, max_steps=4), prompts)
    with caplog.at_level(logging.WARNING):
        ours.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert "no risk state" in caplog.text
    assert ours.risk.risk_state.steps == 2


def test_the_state_is_plain_json(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    args = make_config(tmp_path, save_strategy="steps", save_steps=2, max_steps=2)
    trainer = make_trainer(tiny_model, args, prompts)
    trainer.train()
    state = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())
    saved = state["stateful_callbacks"]["RiskStateCallback"]["attributes"]["saved"]
    assert tuple(saved["risk_state"]["quantiles"]) == trainer.risk.risk_state.quantiles_L
    assert saved["risk_state"]["steps"] == 2
