"""A resumed run is the run that was not interrupted, to the last digit, tracked quantiles included."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from riskpo.engines.generations import steps_between_generations
from riskpo.engines.trl_state import between_generations, check_alignment, check_save_steps
from riskpo.errors import ConfigError, ResumeError
from tests.engines.conftest import coin_reward, make_config, make_trainer, step_logs

# 40 prompts in steps of 10: an epoch has 4 generations.
ONE_BATCH: dict[str, Any] = {}
TWO_MINI_BATCHES = {"per_device_train_batch_size": 20, "steps_per_generation": 2}
ACCUMULATION = {"per_device_train_batch_size": 20, "gradient_accumulation_steps": 2}
TWO_PASSES = {"per_device_train_batch_size": 20, "steps_per_generation": 2, "num_iterations": 2}
# 3 batches and 6 prompts a generation, 2 batches a step: an epoch has 6 generations, 18 batches, 9 steps.
ODD_BATCHES = {
    "per_device_train_batch_size": 8,
    "steps_per_generation": 3,
    "gradient_accumulation_steps": 2,
    "num_generations": 4,
}


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
        pytest.param(ODD_BATCHES, 12, 15, id="a generation that ends within a step, second epoch"),
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


def test_a_save_loses_nothing_that_was_to_be_logged(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    """Every fifth step is logged, every fourth saved: what was gathered in steps 6 to 8 is in the row of step 8."""
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 4, "logging_steps": 5, "max_steps": 12}
    whole = make_trainer(tiny_model, make_config(tmp_path / "whole", **options), prompts)
    whole.train()
    shutil.copytree(tmp_path / "whole" / "checkpoint-8", tmp_path / "part" / "checkpoint-8")
    part = make_trainer(tiny_model, make_config(tmp_path / "part", **options), prompts)
    part.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-8"))
    assert step_logs(part) == step_logs(whole)
    steps = [row["step"] for row in whole.state.log_history if "train_runtime" not in row]
    assert steps == [4, 5, 8, 10, 12]


def test_a_stop_that_saves_is_logged(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    """A callback given to the trainer decides to save, as the command line's does on Ctrl-C."""

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                control.should_save = control.should_training_stop = True

    args = make_config(tmp_path, logging_steps=5, max_steps=8)
    trainer = make_trainer(tiny_model, args, prompts, callbacks=[Stop()])
    trainer.train()
    saved = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())
    assert [row["step"] for row in saved["log_history"]] == [2]


def args_of(**options: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"num_iterations": 1, "save_strategy": "steps", **options})


@pytest.mark.parametrize(
    ("batches", "iterations", "accumulation", "every"),
    [(1, 1, 1, 1), (4, 1, 2, 2), (2, 2, 1, 4), (2, 1, 2, 1), (3, 1, 2, 3), (1, 1, 2, 1), (4, 1, 6, 2)],
)
def test_steps_between_generations(batches: int, iterations: int, accumulation: int, every: int) -> None:
    """By counting batches: a step takes `accumulation`, a generation gives `batches * iterations`."""
    args = args_of(steps_per_generation=batches, num_iterations=iterations, gradient_accumulation_steps=accumulation)
    ends = [step for step in range(1, 25) if step * accumulation % (batches * iterations) == 0]
    assert ends[0] == every == steps_between_generations(args)
    assert ends == [step for step in range(1, 25) if between_generations(args, step, None)]


def test_saving_between_batches_of_a_generation_is_refused(tmp_path: Path) -> None:
    """Step 1 ends after two of three batches. Every third step ends with the second generation."""
    args = make_config(tmp_path, save_strategy="steps", save_steps=1, **ODD_BATCHES)
    with pytest.raises(ConfigError, match=r"save_steps=1 would save in the middle .* multiple of 3"):
        check_save_steps(args, 1)
    check_save_steps(args, 6)


def test_epochs_of_odd_length() -> None:
    """9 batches, 5 steps an epoch: step 3 lies between generations, step 6 is the first of the second epoch."""
    args = args_of(steps_per_generation=3, gradient_accumulation_steps=2)
    state = SimpleNamespace(save_steps=3, max_steps=4, global_step=0)
    check_alignment(args, state, range(9))
    state.max_steps = 7
    with pytest.raises(ConfigError, match="save_steps=3 would save in the middle of a generation at step 6"):
        check_alignment(args, state, range(9))
    check_alignment(args, state, range(12))
    args.save_strategy = "no"
    check_alignment(args, SimpleNamespace(save_steps=3, max_steps=9, global_step=8), range(9))
    with pytest.raises(
        ResumeError, match=r"step 6 was saved in the middle .* multiple of 3, counted from the start of"
    ):
        check_alignment(args, SimpleNamespace(save_steps=3, max_steps=9, global_step=6), range(9))


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
