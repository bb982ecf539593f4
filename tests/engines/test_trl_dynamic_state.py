"""Around dynamic sampling in the real trainer: what follows the kept rows, checkpoints, ranks, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock

import pytest
import torch
from datasets import Dataset

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.engines.prompt_ids import prompt_id
from riskpo.errors import ConfigError
from tests.engines.conftest import make_config, make_trainer, step_logs
from tests.engines.dynamic_rank_worker import G, mostly_uniform
from tests.engines.dynamic_runs import dynamic, expected_rows, watched
from tests.engines.recomputation import Recomputation

WORKER = Path(__file__).with_name("dynamic_rank_worker.py")
NOWHERE = "/nowhere/no-such-model"


# ---- what else follows the kept rows ----


def test_difficulty_sees_the_kept_prompts(tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    trainer = watched(tiny_model, dynamic(tmp_path, max_steps=5, composition="sorted"), many_prompts)
    trainer.train()
    kept: dict[str, list[float]] = {}
    for step in trainer.steps:
        rows = expected_rows(step["calls"])
        for start in range(0, 40, G):
            name = prompt_id({"prompt": rows[start][0]})
            kept.setdefault(name, []).append(sum(row[3] for row in rows[start : start + G]))
    visits = trainer.risk.risk_state.pass_rates.visits
    assert visits.keys() == kept.keys()
    once = [name for name, totals in kept.items() if len(totals) == 1]
    assert len(once) > 10
    for name in once:
        assert visits[name] == (kept[name][0], 4.0)


@pytest.mark.parametrize("options", [{"estimator": "dr_grpo"}, {"preset": "two-level"}, {"preset": "released-hard"}])
def test_other_estimators(options: dict[str, Any], tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    trainer = watched(tiny_model, dynamic(tmp_path, max_steps=2, **options), many_prompts)
    trainer.train()
    for step in trainer.steps:
        table = step["table"]
        assert step["output"]["advantages"].tolist() == pytest.approx(table["advantage"], abs=1e-6)
        if options.get("estimator") == "dr_grpo":
            rewards_PG = torch.tensor([row[3] for row in expected_rows(step["calls"])]).view(-1, G)
            expected = (rewards_PG - rewards_PG.mean(1, keepdim=True)).flatten().tolist()
            assert table["advantage"] == pytest.approx(expected, abs=1e-6)
    assert step_logs(trainer)[0]["risk/frac_prompts_replaced"] > 0.0


def test_unscorable_responses(tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float | None]:
        known = [mostly_uniform(p, c) for p, c in zip(prompts, completions, strict=True)]
        return [None if index % G == 0 else value for index, value in enumerate(known)]

    trainer = make_trainer(tiny_model, dynamic(tmp_path, max_steps=2), many_prompts, reward)
    trainer.train()
    table = trainer.last_completions()
    assert all(value != value for value in table["reward"][::G]), "NaN: unscorable, in its place"
    assert not any(table["advantage"][::G])
    uniform = sum(len(set(table["reward"][start + 1 : start + G])) == 1 for start in range(0, 40, G))
    assert step_logs(trainer)[-1]["risk/frac_uniform_after_sampling"] == uniform / 10 < 1.0


def test_evaluation_is_untouched(tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    args = dynamic(tmp_path, max_steps=1, per_device_eval_batch_size=4)
    trainer = watched(tiny_model, args, many_prompts, eval_dataset=many_prompts.select(range(3)))
    trainer.train()
    before, metrics = trainer.risk.state(), trainer.evaluate()
    assert sum(map(len, trainer.calls)) == 4, "one generation a batch, the last of which has one prompt"
    assert trainer.risk.state() == before
    assert not [key for key in metrics if "sampling" in key or "replaced" in key]


# ---- state ----

TWO_MINI_BATCHES = {"per_device_train_batch_size": 20, "steps_per_generation": 2}


@pytest.mark.parametrize(
    ("options", "stop", "end"),
    [
        pytest.param(TWO_MINI_BATCHES, 12, 16, id="two mini-batches, second epoch, a later turn"),
        pytest.param({"restore_callback_states_from_checkpoint": True}, 2, 4, id="callback restored by the engine"),
        pytest.param({"composition": "sorted"}, 2, 4, id="sorted, first epoch"),
    ],
)
def test_resumed_equals_uninterrupted(
    options: dict[str, Any], stop: int, end: int, tiny_model: str, many_prompts: Dataset, tmp_path: Path
) -> None:
    saving = {
        **options,
        "save_strategy": "steps",
        "save_steps": stop,
        "max_steps": end,
        "dynamic_sampling_max_rounds": 3,
    }
    many_prompts = many_prompts.select(range(50))
    whole = watched(tiny_model, dynamic(tmp_path / "whole", **saving), many_prompts)
    whole.train()
    shutil.copytree(tmp_path / "whole" / f"checkpoint-{stop}", tmp_path / "part" / f"checkpoint-{stop}")
    saved = json.loads((tmp_path / "whole" / f"checkpoint-{stop}" / "trainer_state.json").read_text())
    draws = saved["stateful_callbacks"]["RiskStateCallback"]["attributes"]["saved"]["draws"]
    assert draws["rows"] == 50
    assert draws["position"] > 0
    assert (draws["turn"] > 0) == (stop > 2)

    part = watched(tiny_model, dynamic(tmp_path / "part", **saving), many_prompts)
    part.train(resume_from_checkpoint=str(tmp_path / "part" / f"checkpoint-{stop}"))
    assert step_logs(part) == step_logs(whole)
    assert part.risk.state() == whole.risk.state()
    assert part.risk.draws != whole.risk.draws.__class__(**draws), "prompts were drawn after the restart"
    assert part.steps[-1]["calls"] == whole.steps[-1]["calls"]
    for name, weights in part.model.state_dict().items():
        assert weights.equal(whole.model.state_dict()[name]), name


# ---- two ranks ----


@pytest.mark.slow
def test_two_ranks(tiny_model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(WORKER), tiny_model, str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert first["state"] == second["state"]
    assert first["draws"] == second["draws"]
    assert first["draws"]["position"] > 0
    expected = Recomputation("paper", seed=7)
    unequal = 0
    for ours, theirs in zip(first["steps"], second["steps"], strict=True):
        assert ours["table"] == theirs["table"]
        assert ours["generated"] == theirs["generated"], "every rank generates as many rows, round for round"
        rows = ours["rows"] + theirs["rows"]  # decoded from the tokens that reach the loss
        rewards = [mostly_uniform(prompt, text) for prompt, text in rows]
        assert ours["table"]["prompt"] == [row[0] for row in rows]
        assert ours["table"]["completion"] == [row[1] for row in rows]
        assert ours["table"]["reward"] == rewards
        assert len(set(ours["table"]["prompt"])) == 10
        advantages = torch.tensor(expected.step(torch.tensor(rewards).view(10, G).tolist())).flatten().tolist()
        assert ours["advantages"] + theirs["advantages"] == pytest.approx(advantages, abs=1e-6)
        assert ours["table"]["advantage"] == pytest.approx(advantages, abs=1e-6)
        assert ours["items"] == theirs["items"] == ours["tokens"] + theirs["tokens"]
        unequal += ours["lacking"] != theirs["lacking"]
    assert unequal, "ranks that always lack as many prompts as each other would prove little"


# ---- what cannot be run ----


@pytest.mark.parametrize(
    ("kwargs", "columns", "count", "message"),
    [
        ({"tools": [len]}, {}, 200, "cannot merge those of `tools`"),
        ({"rollout_func": lambda prompts, trainer: {}}, {}, 200, "`rollout_func`"),
        ({}, {"images": [[]] * 200}, 200, r"rows with images \(column \['images'\]\)"),
        ({}, {}, 109, "has 109 different prompts.*could use up 110.*dynamic_sampling_max_rounds=9"),
        ({}, {}, 15, "could use up 110: add prompts or make the step smaller"),
        ({}, {"prompt_id": [str(number // 2) for number in range(200)]}, 200, "has 100 different prompts"),
    ],
)
def test_data_and_rollouts(
    kwargs: dict[str, Any], columns: dict[str, Any], count: int, message: str, many_prompts: Dataset, tmp_path: Path
) -> None:
    data = Dataset.from_dict({"prompt": many_prompts["prompt"][:], **columns}).select(range(count))
    with pytest.raises(ConfigError, match=message):
        RiskPOTrainer(NOWHERE, lambda **_: [], dynamic(tmp_path, dynamic_sampling_max_rounds=10), data, **kwargs)


def test_streamed_data(many_prompts: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"IterableDataset cannot be asked for a row.*streaming=False"):
        RiskPOTrainer(NOWHERE, lambda **_: [], dynamic(tmp_path), many_prompts.to_iterable_dataset())


def test_no_rounds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dynamic_sampling_max_rounds=0 must be >= 1"):
        dynamic(tmp_path, dynamic_sampling_max_rounds=0)


def test_prompts_across_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RiskPOConfig, "world_size", PropertyMock(return_value=2), raising=True)
    make_config(tmp_path, per_device_train_batch_size=10)
    with pytest.raises(ConfigError, match=r"10 responses per rank .* no multiple of num_generations=4"):
        dynamic(tmp_path, per_device_train_batch_size=10)
