"""What reaches TRL's loss is what the equations say, whatever the batching, precision or adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from riskpo import RiskPOTrainer
from tests.engines.conftest import make_config, make_trainer
from tests.engines.recomputation import Recomputation


class Watched(RiskPOTrainer):
    """Notes the rewards of every generation, and every advantage that arrives at the loss, with its row."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rewards: list[torch.Tensor] = []
        self.arrived: list[list[tuple[int, float]]] = []

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        assert self._rewards_per_func is not None
        self.rewards.append(self._rewards_per_func[:, 0].clone())
        self.arrived.append([])
        output["row"] = torch.arange(len(inputs))
        return output

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        assert inputs["advantages"].dtype == torch.float32
        self.arrived[-1] += list(zip(inputs["row"].tolist(), inputs["advantages"].tolist(), strict=True))
        return super()._compute_loss(model, inputs)


def adapter() -> Any:
    peft = pytest.importorskip("peft", reason="LoRA needs the extra `peft`")
    return peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["c_attn"])


CASES = {
    "one batch": {},
    "accumulation": {"per_device_train_batch_size": 10, "gradient_accumulation_steps": 4},
    "two mini-batches": {"per_device_train_batch_size": 20, "steps_per_generation": 2},
    "two passes": {"per_device_train_batch_size": 20, "steps_per_generation": 2, "num_iterations": 2},
    "bf16": {"bf16": True},
    "lora": {"peft": True},
    "token ratio, dr_grpo": {"importance_sampling_level": "token", "loss_type": "dr_grpo"},
}


@pytest.mark.parametrize("preset", ["paper", "exact"])
@pytest.mark.parametrize("case", CASES)
def test_advantages_at_the_loss(case: str, preset: str, tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    options = dict(CASES[case])
    kwargs = {"peft_config": adapter()} if options.pop("peft", False) else {}
    args = make_config(tmp_path, preset=preset, max_steps=24, seed=5, **options)
    trainer = make_trainer(tiny_model, args, prompts, kind=Watched, **kwargs)
    assert isinstance(trainer, Watched)
    trainer.train()

    passes = args.num_iterations
    generations = 24 * args.gradient_accumulation_steps // (args.steps_per_generation * passes)
    assert len(trainer.rewards) == generations >= 6
    expected = Recomputation(preset, seed=5)
    for rewards, arrived in zip(trainer.rewards, trainer.arrived, strict=True):
        advantages = torch.tensor(expected.step(rewards.view(-1, 4).tolist())).flatten()
        assert sorted(row for row, _ in arrived) == sorted(list(range(40)) * passes)
        for row, advantage in arrived:
            assert advantage == pytest.approx(float(advantages[row]), abs=1e-6)
    assert trainer.risk.risk_state.quantiles_L == pytest.approx(expected.quantiles, abs=1e-9)
    assert torch.cat(trainer.rewards).float().std() > 0.1, "a reward without variation would prove nothing"
