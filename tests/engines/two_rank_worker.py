"""One rank of tests/engines/test_trl_ranks.py, started by torchrun: writes what this rank saw to a JSON file.

torchrun --nproc_per_node N two_rank_worker.py MODEL OUT_DIR RESPONSES_PER_RANK GENERATIONS_PER_PROMPT PRESET
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.tasks import chain


class Ranked(RiskPOTrainer):
    """Notes what this rank trains on."""

    local: list[list[float]]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        self.local = [*getattr(self, "local", []), output["advantages"].tolist()]
        return output


def main() -> None:
    model, out, per_rank, generations = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    args = RiskPOConfig(
        output_dir=str(out / "trainer"),
        preset=sys.argv[5],
        per_device_train_batch_size=per_rank,
        num_generations=generations,
        max_completion_length=6,
        max_steps=7,
        learning_rate=1e-3,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        log_covariances=True,
        check_rewards=False,
        seed=7,
    )
    calls = 0
    rank, world = args.process_index, args.world_size

    def placed_reward(completions: list[str], **_: Any) -> list[float]:
        """Decided by the step and the response's place among all ranks' responses: the same data for any world size."""
        nonlocal calls
        calls += 1
        places = range(rank * len(completions), (rank + 1) * len(completions))
        return [float((1103515245 * (calls * 1000 + place) + 12345) // 65536 % 5 < 2) for place in places]

    data = Dataset.from_list(chain.rows("train", 30, seed=3))
    trainer = Ranked(model, placed_reward, args, data)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    rows = [row for row in trainer.state.log_history if "train_runtime" not in row]
    seen = {
        "world": world,
        "local": trainer.local,
        "table": trainer.last_completions()["advantage"],
        "state": trainer.risk.state(),
        "metrics": [{k: v for k, v in row.items() if k.startswith("risk/") and "logp" not in k} for row in rows],
        "covariances": [{k: v for k, v in row.items() if "logp" in k} for row in rows],
        "prompts": [row["prompt"] for row in trainer.train_dataset][:1],
    }
    (out / f"rank{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
