"""One rank of the two-rank test of dynamic sampling, started by torchrun: writes what this rank saw to a JSON file.

torchrun --nproc_per_node 2 dynamic_rank_worker.py MODEL OUT_DIR
"""

from __future__ import annotations

import dataclasses
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.tasks import chain

G = 4


def mostly_uniform(prompt: str, completion: str) -> float:
    """Decided by the texts alone. Four prompts of five have one reward; the others 0 or 1, by the completion."""
    group = zlib.crc32(f"group of {prompt}".encode()) % 10
    if group >= 2:
        return float(group % 2)
    return float(zlib.crc32(f"{prompt}|{completion}".encode()) % 5 < 2)


class Ranked(RiskPOTrainer):
    """Notes what this rank generates and trains on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rewards: list[list[float]] = []
        self.steps: list[dict[str, Any]] = []

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        self.rewards.clear()
        output = super()._generate_and_score_completions(inputs)
        tokenizer = self.processing_class
        rows = []
        for row in range(len(inputs)):
            prompt = output["prompt_ids"][row][output["prompt_mask"][row].bool()]
            text = output["completion_ids"][row][output["completion_mask"][row].bool()]
            rows.append([tokenizer.decode(prompt), tokenizer.decode(text, skip_special_tokens=True)])
        first = [self.rewards[0][start : start + G] for start in range(0, len(inputs), G)]
        self.steps.append(
            {
                "rows": rows,
                "advantages": output["advantages"].tolist(),
                "tokens": int(output["completion_mask"].sum()),
                "items": int(output["num_items_in_batch"]),
                "generated": [len(rewards) for rewards in self.rewards],
                "lacking": sum(len(set(group)) == 1 for group in first),
                "table": self.last_completions(),
            }
        )
        return output


def main() -> None:
    model, out = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    args = RiskPOConfig(
        output_dir=str(out / "trainer"),
        per_device_train_batch_size=10,
        steps_per_generation=2,
        num_generations=G,
        max_completion_length=6,
        max_steps=6,
        learning_rate=1e-3,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        check_rewards=False,
        dynamic_sampling=True,
        dynamic_sampling_max_rounds=3,
        seed=7,
    )

    def reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        rewards = [mostly_uniform(p, c) for p, c in zip(prompts, completions, strict=True)]
        trainer.rewards.append(rewards)
        return rewards

    trainer = Ranked(model, reward, args, Dataset.from_list(chain.rows("train", 200, seed=3)))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    assert trainer.risk.draws is not None
    seen = {
        "steps": trainer.steps,
        "state": trainer.risk.state(),
        "draws": dataclasses.asdict(trainer.risk.draws),
    }
    (out / f"rank{args.process_index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
