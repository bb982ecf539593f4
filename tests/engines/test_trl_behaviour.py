"""What a user of TRL relies on still holds: evaluation, unscorable rewards, weights, logs, metrics, other data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset

from riskpo.engines.row_labels import bundle_labels
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from tests.engines.conftest import coin_reward, make_config, make_trainer, step_logs

SCORE_METRICS = {"objective", "mvar", "cvar_low", "rvar_mid", "score_mean", "score_std", "q_low", "q_high"}
SCORE_METRICS |= {"mean_slope"}
SHARE_METRICS = {
    "frac_zero_advantage",
    "frac_uniform_prompts_all_wrong",
    "frac_uniform_prompts_all_right",
    "advantage_on_uniform_prompts",
    "frac_unscorable",
}
COVARIANCES = {"cov_logp_advantage", "cov_logp_mean_advantage", "corr_logp_advantage", "corr_logp_mean_advantage"}


def risk_keys(row: dict[str, Any]) -> set[str]:
    return {key.removeprefix("risk/") for key in row if key.startswith("risk/")}


def test_every_step_logs_every_metric(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path), prompts)
    trainer.train()
    for row in step_logs(trainer):
        assert risk_keys(row) == SCORE_METRICS | SHARE_METRICS | COVARIANCES
        assert row["risk/score_mean"] == pytest.approx(5 * row["reward"], abs=1e-6)


def test_covariances_cost_nothing_where_old_logps_are_there(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options = {"per_device_train_batch_size": 20, "steps_per_generation": 2}
    trainer = make_trainer(tiny_model, make_config(tmp_path, log_covariances=False, **options), prompts)
    trainer.train()
    assert risk_keys(step_logs(trainer)[0]) >= COVARIANCES


def test_covariances_are_absent_with_a_word_otherwise(
    tiny_model: str, prompts: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="riskpo.engines.trl.hints")  # the command line silences it
    trainer = make_trainer(tiny_model, make_config(tmp_path, log_covariances=False, max_steps=1), prompts)
    trainer.train()
    assert not risk_keys(step_logs(trainer)[0]) & COVARIANCES
    assert "logprob" not in trainer.last_completions()
    assert caplog.text.count("log_covariances=True") == 1


def test_covariance_against_a_forward_pass(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def reward(prompts: list[str], completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        seen.update(prompts=prompts, ids=completion_ids, rewards=coin_reward(prompts, completions))
        return seen["rewards"]

    args = make_config(tmp_path, max_steps=1, learning_rate=0.0, check_rewards=False)
    trainer = make_trainer(tiny_model, args, prompts, reward)
    trainer.train()
    model, tokenizer = trainer.model.eval(), trainer.processing_class
    logps = []
    for prompt, ids in zip(seen["prompts"], seen["ids"], strict=True):
        start = tokenizer(prompt)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([start + list(ids)])).logits[0, len(start) - 1 : -1].log_softmax(-1)
        logps.append(logits.gather(1, torch.tensor(ids)[:, None]).sum().item())
    logps_PG = torch.tensor(logps, dtype=torch.float64).view(10, 4)
    rewards_PG = torch.tensor(seen["rewards"], dtype=torch.float64).view(10, 4)
    expected = sum(torch.cov(torch.stack(pair))[0, 1].item() for pair in zip(logps_PG, rewards_PG, strict=True)) / 10
    assert step_logs(trainer)[0]["risk/cov_logp_mean_advantage"] == pytest.approx(expected, abs=1e-5)
    assert trainer.last_completions()["logprob"] == pytest.approx(logps, abs=1e-4)


def test_evaluation_never_moves_the_tracker(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 4}
    quiet = make_trainer(tiny_model, make_config(tmp_path / "quiet"), prompts)
    quiet.train()
    evaluated = make_trainer(
        tiny_model, make_config(tmp_path / "eval", **options), prompts, eval_dataset=prompts.select(range(3))
    )
    evaluated.train()
    assert evaluated.risk.risk_state.steps == quiet.risk.risk_state.steps == 4
    before = evaluated.risk.state()
    assert "logprob" in quiet.last_completions()
    assert "eval_reward" in evaluated.evaluate()
    assert "logprob" not in evaluated.last_completions(), "its rows are the evaluation's"
    assert evaluated.risk.state() == before


def test_unscorable_responses(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float | None]:
        known = coin_reward(prompts, completions)
        return [None if index % 7 == 0 else value for index, value in enumerate(known)]

    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=2), prompts, reward)
    trainer.train()
    table = trainer.last_completions()
    unscorable = [math.isnan(value) for value in table["reward"]]
    assert [index for index, missing in enumerate(unscorable) if missing] == list(range(0, 40, 7))
    assert all(table["advantage"][index] == 0.0 for index in range(0, 40, 7))
    assert any(table["advantage"])
    assert step_logs(trainer)[0]["risk/frac_unscorable"] == pytest.approx(6 / 40)


def test_several_weighted_rewards(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    def length(completions: list[str], **_: Any) -> list[float | None]:
        return [None if len(text) % 3 == 0 else float(len(text) % 2) for text in completions]

    args = make_config(tmp_path, max_steps=1, reward_weights=[1.0, 0.5], reward_range=[0, 1.5], seed=9)
    trainer = make_trainer(tiny_model, args, prompts, [coin_reward, length])
    trainer.train()
    table = trainer.last_completions()
    total = [
        first + (0.0 if math.isnan(second) else 0.5 * second)
        for first, second in zip(table["coin_reward"], table["length"], strict=True)
    ]
    config = RiskConfig(reward_range=(0.0, 1.5))
    generator = torch.Generator().manual_seed(9)
    step = risk_advantages(torch.tensor(total).view(10, 4), config, RiskState(), generator)
    assert table["advantage"] == pytest.approx(step.advantages_PG.flatten().tolist(), abs=1e-6)
    assert table["bundle"] == bundle_labels(step)["bundle"]


def test_completion_files_show_our_advantages(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options = {"log_completions": True, "num_completions_to_print": 1}
    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=2, **options), prompts)
    trainer.train()
    logged = pd.read_parquet(tmp_path / "completions" / "completions_00002.parquet")
    assert logged["advantage"].tolist() == trainer.last_completions()["advantage"]
    assert (logged["advantage"] <= 0.0).all(), "the published signal is never positive"
    assert (logged["advantage"] < 0.0).any()


def test_a_model_card_names_what_trained_the_model(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    for estimator, said in (("dr_grpo", "the estimator dr_grpo of riskpo."), ("two_level", "RiskPO, a method introd")):
        trainer = make_trainer(tiny_model, make_config(tmp_path / estimator, estimator=estimator), prompts)
        (tmp_path / estimator).mkdir(exist_ok=True)
        trainer.create_model_card("some-model")
        card = (tmp_path / estimator / "README.md").read_text()
        assert f"This model was trained with {said}" in card
        assert ("2510.00911" in card) == (estimator == "two_level")


def test_conversations(tiny_model: str, tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": f"{number}+2"}], "answer": "x"} for number in range(100, 110)]

    def reward(completions: list[list[dict[str, str]]], answer: list[str], **_: Any) -> list[float]:
        assert all(message[-1]["role"] == "assistant" for message in completions)
        return [float(len(message[-1]["content"]) % 2) for message in completions]

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}="
    trainer = make_trainer(
        tiny_model, make_config(tmp_path, max_steps=1), Dataset.from_list(rows), reward, processing_class=tokenizer
    )
    trainer.train()
    assert trainer.risk.risk_state.steps == 1


def test_streamed_data(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=2), prompts.to_iterable_dataset())
    trainer.train()
    assert trainer.risk.risk_state.steps == 2


def test_batch_scale(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path, scale_rewards="batch", preset="exact"), prompts)
    trainer.train()
    advantages = torch.tensor(trainer.last_completions()["advantage"])
    assert advantages.std(correction=0).item() == pytest.approx(1.0, abs=1e-4)


def test_arguments_are_logged_as_they_were_run(tmp_path: Path) -> None:
    logged = make_config(tmp_path, preset="exact", risk_low=0.1).to_dict()
    assert (logged["preset"], logged["pairing"], logged["baseline"]) == ("exact", "exact", "loo")
    assert (logged["risk_low"], logged["risk_high"], logged["reward_range"]) == (0.1, 0.8, [0.0, 1.0])
