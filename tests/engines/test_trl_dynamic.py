"""Dynamic sampling in the real trainer: what reaches the loss belongs together, is what was generated, and resumes."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import PropertyMock

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM
from trl import GRPOTrainer

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.engines.prompt_ids import prompt_id
from riskpo.engines.trl import _FORWARD_KEYS, _PADDINGS
from riskpo.errors import ConfigError
from riskpo.tasks import chain
from tests.engines.conftest import make_config, make_trainer, step_logs
from tests.engines.dynamic_rank_worker import G, mostly_uniform
from tests.engines.recomputation import Recomputation

WORKER = Path(__file__).with_name("dynamic_rank_worker.py")
NOWHERE = "/nowhere/no-such-model"


class Watched(RiskPOTrainer):
    """Notes every generation as the reward sees it, every batch as it leaves, every row as it reaches the loss."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[list[tuple[str, str, list[int], float]]] = []  # of the present step
        self.steps: list[dict[str, Any]] = []

    def reward(
        self, prompts: list[str], completions: list[str], completion_ids: list[list[int]], log_extra: Any, **_: Any
    ) -> list[float]:
        rewards = [mostly_uniform(p, c) for p, c in zip(prompts, completions, strict=True)]
        log_extra("said", [f"{p}|{c}" for p, c in zip(prompts, completions, strict=True)])
        self.calls.append(list(zip(prompts, completions, completion_ids, rewards, strict=True)))
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        self.calls = []
        output = super()._generate_and_score_completions(inputs)
        self.steps.append({"calls": self.calls, "table": self.last_completions(), "arrived": [], "output": output})
        return {**output, "row": torch.arange(len(inputs))}

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        self.steps[-1]["arrived"].append({key: value.clone() for key, value in inputs.items()})
        return super()._compute_loss(model, inputs)


def watched(model: Any, args: RiskPOConfig, data: Dataset, **kwargs: Any) -> Watched:
    def reward(**columns: Any) -> list[float]:
        return trainer.reward(**columns)

    trainer = make_trainer(model, args, data, reward, kind=Watched, **kwargs)
    assert isinstance(trainer, Watched)
    return trainer


def dynamic(folder: Path, **options: Any) -> RiskPOConfig:
    return make_config(
        folder, **{"dynamic_sampling": True, "dynamic_sampling_max_rounds": 5, "check_rewards": False, **options}
    )


def expected_rows(calls: list[list[tuple[str, str, list[int], float]]]) -> list[tuple[str, str, list[int], float]]:
    """The batch by the rule, from what the reward function was shown: one rank."""
    groups = [calls[0][start : start + G] for start in range(0, len(calls[0]), G)]
    for call in calls[1:]:
        fresh = [call[start : start + G] for start in range(0, len(call), G)]
        found = [group for group in fresh if len({row[3] for row in group}) > 1]
        places = [place for place, group in enumerate(groups) if len({row[3] for row in group}) == 1]
        assert len(fresh) == len(places), "one rank generates for exactly the prompts it lacks"
        for place, group in zip(places, found, strict=False):
            groups[place] = group
    return [row for group in groups for row in group]


@pytest.fixture(scope="module")
def many_prompts() -> Dataset:
    return Dataset.from_list(chain.rows("train", 200, seed=3))


CASES: dict[str, dict[str, Any]] = {
    "one batch": {},
    "accumulation": {"per_device_train_batch_size": 10, "gradient_accumulation_steps": 4},
    "two mini-batches, exact": {"per_device_train_batch_size": 20, "steps_per_generation": 2, "preset": "exact"},
    "two passes": {"per_device_train_batch_size": 20, "steps_per_generation": 2, "num_iterations": 2},
    "kl": {"beta": 0.1, "max_steps": 6},
}


@pytest.mark.parametrize("case", CASES)
def test_rows_and_advantages_at_the_loss(case: str, tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    args = dynamic(tmp_path, **{"max_steps": 8, "seed": 5, **CASES[case]})
    trainer = watched(tiny_model, args, many_prompts)
    trainer.train()
    tokenizer = trainer.processing_class
    expected = Recomputation(args.preset, seed=5)
    replaced = 0
    for step in trainer.steps:
        rows = expected_rows(step["calls"])
        prompts = [row[0] for row in rows[::G]]
        assert len(set(prompts)) == 10, "no prompt twice in a step"
        replaced += sum(row not in step["calls"][0] for row in rows)
        advantages = torch.tensor(expected.step([[r[3] for r in rows[s : s + G]] for s in range(0, 40, G)])).flatten()
        arrived = 0
        for batch in step["arrived"]:
            for index, row in enumerate(batch["row"].tolist()):
                prompt, text, ids, reward = rows[row]
                prompt_mask, mask = batch["prompt_mask"][index].bool(), batch["completion_mask"][index].bool()
                decoded = tokenizer.decode(batch["prompt_ids"][index][prompt_mask])
                said = tokenizer.decode(batch["completion_ids"][index][mask], skip_special_tokens=True)
                assert (decoded, said) == (prompt, text)
                assert batch["completion_ids"][index][mask].tolist() == ids
                assert mostly_uniform(decoded, said) == reward
                assert batch["advantages"][index].item() == pytest.approx(advantages[row].item(), abs=1e-6)
                arrived += 1
        assert arrived == 40 * args.num_iterations
        table = step["table"]
        assert table["prompt"] == [row[0] for row in rows]
        assert table["completion"] == [row[1] for row in rows]
        assert table["reward"] == [row[3] for row in rows]
        assert table["said"] == [f"{row[0]}|{row[1]}" for row in rows]
        assert table["advantage"] == pytest.approx(advantages.tolist(), abs=1e-6)
    assert trainer.risk.risk_state.quantiles_L == pytest.approx(expected.quantiles, abs=1e-9)
    assert replaced > len(trainer.steps) * 12, "of 8 uniform prompts of 10, many find a successor"


def test_metrics_with_most_prompts_uniform(tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    trainer = watched(tiny_model, dynamic(tmp_path, max_steps=6, dynamic_sampling_max_rounds=3), many_prompts)
    trainer.train()
    for step, logged in zip(trainer.steps, step_logs(trainer), strict=True):
        rows = expected_rows(step["calls"])
        groups = [rows[start : start + G] for start in range(0, 40, G)]
        uniform = sum(len({row[3] for row in group}) == 1 for group in groups)
        first = {row[0] for row in step["calls"][0]}
        assert logged["risk/sampling_rounds"] == len(step["calls"]) <= 4
        assert logged["risk/frac_prompts_replaced"] == sum(group[0][0] not in first for group in groups) / 10
        assert logged["risk/frac_uniform_after_sampling"] == uniform / 10
        shares = [logged[f"risk/frac_uniform_prompts_all_{word}"] for word in ("wrong", "right")]
        assert sum(shares) == pytest.approx(uniform / 10)
        # TRL's own metrics: the first generation alone. The estimator's: the kept rows.
        rewards = torch.tensor([row[3] for row in step["calls"][0]])
        lengths = torch.tensor([float(len(row[2])) for row in step["calls"][0]])
        assert logged["reward"] == pytest.approx(rewards.mean().item(), abs=1e-6)
        assert logged["reward_std"] == pytest.approx(rewards.std().item(), abs=1e-6)
        assert logged["completions/mean_length"] == pytest.approx(lengths.mean().item(), abs=1e-6)
        kept = sum(row[3] for row in rows) / 40
        assert logged["risk/score_mean"] == pytest.approx(5 * kept, abs=1e-6)
    assert max(row["risk/frac_uniform_after_sampling"] for row in step_logs(trainer)) > 0.0
    tokens = sum(chain.WIDTH + len(row[2]) for step in trainer.steps for call in step["calls"] for row in call)
    assert step_logs(trainer)[-1]["num_tokens"] == tokens, "what was generated in vain is counted as well"


def test_all_uniform(tiny_model: str, many_prompts: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def always(completions: list[str], **_: Any) -> list[float]:
        return [1.0] * len(completions)

    args = dynamic(tmp_path, max_steps=3, dynamic_sampling_max_rounds=2)
    trainer = make_trainer(tiny_model, args, many_prompts, always)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert caplog.text.count("still uniform") == 1
    assert "2 refills (dynamic_sampling_max_rounds) with 10 of 10 prompts still uniform" in caplog.text
    assert trainer.state.global_step == trainer.risk.risk_state.steps == 3
    for row in step_logs(trainer):
        assert (row["risk/sampling_rounds"], row["risk/frac_prompts_replaced"]) == (3.0, 0.0)
        assert (row["risk/frac_uniform_after_sampling"], row["reward"]) == (1.0, 1.0)
    assert len(trainer.last_completions()["prompt"]) == 40
    # 3 steps, 2 refills of 10 each.
    assert trainer.risk.draws is not None
    assert trainer.risk.draws.position >= 60


def test_nothing_to_replace_is_a_run_without(tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    calls = 0

    def varied(completions: list[str], **_: Any) -> list[float]:
        nonlocal calls
        calls += 1
        return [float((calls + index) % G < 2) for index in range(len(completions))]

    options: dict[str, Any] = {"per_device_train_batch_size": 20, "steps_per_generation": 2}
    runs = []
    for on in (False, True):
        calls = 0
        args = make_config(tmp_path / str(on), dynamic_sampling=on, check_rewards=False, **options)
        runs.append(make_trainer(tiny_model, args, many_prompts, varied))
        runs[-1].train()
    without, with_it = runs
    own = {"risk/sampling_rounds", "risk/frac_prompts_replaced", "risk/frac_uniform_after_sampling"}
    for plain, row in zip(step_logs(without), step_logs(with_it), strict=True):
        assert own & plain.keys() == set()
        assert {key: value for key, value in row.items() if key not in own} == plain
    assert step_logs(with_it)[0]["risk/sampling_rounds"] == 1.0
    assert with_it.risk.state() == without.risk.state()
    assert with_it.last_completions() == without.last_completions()
    for name, weights in with_it.model.state_dict().items():
        assert weights.equal(without.model.state_dict()[name]), name


# ---- padding ----


@pytest.fixture(scope="module")
def rotary(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> str:
    """Positions that padding does not move: what GPT-2's do in TRL's forward pass."""
    folder = tmp_path_factory.mktemp("rotary")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.5, **shape, **tokens))
    stops = [*tokenizer.convert_tokens_to_ids(list(".1357")), tokenizer.eos_token_id]
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_padding_and_masks_against_the_rows_alone(rotary: str, tmp_path: Path) -> None:
    # Prompts of 1 to 12 characters, and completions that end early.
    data = Dataset.from_dict({"prompt": [str(3**number)[: 1 + number % 12] + "=" for number in range(25, 225)]})
    data = Dataset.from_dict({"prompt": sorted(set(data["prompt"]))[:60]})
    options = {"per_device_train_batch_size": 12, "steps_per_generation": 2, "num_generations": G, "bundle_size": 2}
    args = dynamic(tmp_path, max_steps=6, learning_rate=0.0, beta=0.1, dynamic_sampling_max_rounds=8, **options)
    trainer = watched(rotary, args, data)
    trainer.train()
    tokenizer = trainer.processing_class
    model = trainer.model.double().eval()
    widths = set()
    for step in trainer.steps:
        output, rows = step["output"], expected_rows(step["calls"])
        widths |= {len(row[0]) for row in rows}
        assert output["prompt_ids"].shape == output["prompt_mask"].shape
        assert output["completion_ids"].shape == output["completion_mask"].shape
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], 1)
        mask = torch.cat([output["prompt_mask"], output["completion_mask"]], 1)
        start = output["prompt_ids"].shape[1]
        with torch.no_grad():
            positions = (mask.cumsum(1) - 1).clamp(
                min=0
            )  # rotations are single precision: shifted, they differ by 1e-6
            together = (
                model(input_ids=ids, attention_mask=mask, position_ids=positions)
                .logits[:, start - 1 : -1]
                .log_softmax(-1)
            )
        for index, (prompt, _, completion, _) in enumerate(rows):
            asked = tokenizer(prompt)["input_ids"]
            left, right = start - len(asked), output["completion_ids"].shape[1] - len(completion)
            pad = tokenizer.pad_token_id
            assert ids[index].tolist() == [pad] * left + asked + completion + [pad] * right
            assert mask[index].tolist() == [0] * left + [1] * (len(asked) + len(completion)) + [0] * right
            with torch.no_grad():
                alone = model(torch.tensor([asked + completion])).logits[0, len(asked) - 1 : -1].log_softmax(-1)
            chosen = torch.tensor(completion)[:, None]
            alone = alone.gather(1, chosen).flatten()
            count = len(completion)
            assert together[index, :count].gather(1, chosen).flatten().tolist() == pytest.approx(
                alone.tolist(), abs=1e-6
            )
            for name in ("old_per_token_logps", "ref_per_token_logps"):  # TRL's, in single precision
                assert output[name].shape == output["completion_ids"].shape
                assert output[name][index, :count].tolist() == pytest.approx(alone.tolist(), abs=2e-5)
    assert len(widths) > 3, "prompts of one width would need no padding"
    shorter = [
        step
        for step in trainer.steps
        for call in step["calls"]
        if max(len(row[2]) for row in call) < step["output"]["completion_ids"].shape[1]
        and any(row in call for row in expected_rows(step["calls"]))
    ]
    assert shorter, "a kept generation has to be narrower than the batch, or nothing was padded here"


def test_old_log_probabilities_are_those_of_the_merged_batch(rotary: str, tmp_path: Path) -> None:
    """At learning rate 0 the policy of the loss is the one that sampled: every ratio is 1, nothing is ever clipped."""
    data = Dataset.from_dict({"prompt": sorted({str(3**n)[: 1 + n % 12] + "=" for n in range(25, 225)})[:60]})
    options = {"per_device_train_batch_size": 12, "steps_per_generation": 2, "bundle_size": 2, "epsilon": 1e-6}
    args = dynamic(tmp_path, max_steps=4, learning_rate=0.0, dynamic_sampling_max_rounds=8, **options)
    trainer = watched(rotary, args, data)
    trainer.train()
    for step in trainer.steps:
        for batch in step["arrived"]:
            ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
            mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
            with torch.no_grad():
                now = trainer._get_per_token_logps_and_entropies(
                    trainer.model, ids, mask, batch["completion_ids"].shape[1]
                )[0]
            assert torch.equal(now * batch["completion_mask"], batch["old_per_token_logps"] * batch["completion_mask"])


@pytest.mark.parametrize("mini_batches", [1, 2])
def test_items_of_the_dapo_loss(mini_batches: int, tiny_model: str, many_prompts: Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {"loss_type": "dapo", "importance_sampling_level": "token"}
    options |= {"per_device_train_batch_size": 40 // mini_batches, "steps_per_generation": mini_batches}
    args = dynamic(tmp_path, max_steps=4 * mini_batches, learning_rate=0.0, **options)
    trainer = watched(tiny_model, args, many_prompts)
    trainer.train()
    logged = iter(step_logs(trainer))
    for step in trainer.steps:
        rows = expected_rows(step["calls"])
        tokens = sum(len(row[2]) for row in rows)
        assert tokens != sum(len(row[2]) for row in step["calls"][0]), "else TRL's first number would do"
        for batch in step["arrived"]:
            assert batch["num_items_in_batch"].item() == tokens
            # The policy that sampled: ratio 1, so the loss is -sum_i A_i |o_i| over the mini-batch's share of tokens.
            total = (batch["advantages"][:, None] * batch["completion_mask"]).sum().item()
            assert next(logged)["loss"] == pytest.approx(-total * mini_batches / tokens, abs=2e-4)


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


def test_every_tensor_of_trls_batch_is_known() -> None:
    """TRL puts these into its scored batch; what we do not merge belongs to images and tools, which are refused."""
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    literal = source[source.index("        output = {") :]
    keys = set(re.findall(r'^            "(\w+)": \w+,$', literal[: literal.index("}")], re.MULTILINE))
    keys |= set(re.findall(r'output\["(\w+)"\]', source))
    merged = {*_PADDINGS, "prompt_ids", "completion_ids", "num_items_in_batch"}
    assert merged <= keys
    assert keys - merged <= {*_FORWARD_KEYS, "tool_mask"}
