"""Dynamic sampling in the real trainer: what reaches the loss belongs together and is what was generated."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM
from trl import GRPOTrainer

from riskpo.engines.trl_tensors import FORWARD_KEYS, PADDINGS
from riskpo.tasks import chain
from tests.engines.conftest import make_config, make_trainer, step_logs
from tests.engines.dynamic_rank_worker import G, mostly_uniform
from tests.engines.dynamic_runs import dynamic, expected_rows, watched
from tests.engines.recomputation import Recomputation

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


def test_every_tensor_of_trls_batch_is_known() -> None:
    """TRL puts these into its scored batch; what we do not merge belongs to images and tools, which are refused."""
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    literal = source[source.index("        output = {") :]
    keys = set(re.findall(r'^            "(\w+)": \w+,$', literal[: literal.index("}")], re.MULTILINE))
    keys |= set(re.findall(r'output\["(\w+)"\]', source))
    merged = {*PADDINGS, "prompt_ids", "completion_ids", "num_items_in_batch"}
    assert merged <= keys
    assert keys - merged <= {*FORWARD_KEYS, "tool_mask"}
