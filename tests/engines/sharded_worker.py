"""One rank of tests/engines/test_trl_sharded.py, started by torchrun: RiskPOTrainer with FSDP2 over gloo on CPUs.

torchrun --nproc_per_node N sharded_worker.py MODEL OUT_DIR RESPONSES_PER_RANK STEPS REWARD [CHECKPOINT]

Without ACCELERATE_USE_FSDP in the environment it is DDP, or one process. Sharding, collectives, checkpoints and generation are PyTorch's, Accelerate's and TRL's own. One thing is changed:
Accelerate turns FSDP on for accelerators only, and takes several processes on CPUs for DDP without a word
(`AcceleratorState.__init__`: MULTI_CPU is not in its list), so `PartialState` says MULTI_GPU here, on CPU devices.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from datasets import Dataset
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import PrinterCallback
from trl.generation.vllm_generation import VLLMGeneration

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.runs.sharding import launched_sharded, save_whole_model
from riskpo.tasks import chain

_initialise = PartialState.__init__


def _initialise_shardable(self: PartialState, *args: Any, **kwargs: Any) -> None:
    _initialise(self, *args, **kwargs)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


class Ranked(RiskPOTrainer):
    """Notes what this rank trains on."""

    local: list[list[float]]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        self.local = [*getattr(self, "local", []), output["advantages"].tolist()]
        return output


def text_reward(prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
    """Decided by the text alone: equal only if the same texts were sampled."""
    return [float(zlib.crc32(f"{p}|{c}".encode()) % 5 < 2) for p, c in zip(prompts, completions, strict=True)]


def placed_reward(rank: int) -> Any:
    """Decided by the step and the response's place among all ranks' responses: the same data for any world size."""

    def reward(completions: list[str], trainer_state: Any, **_: Any) -> list[float]:
        step = trainer_state.global_step + 1
        places = range(rank * len(completions), (rank + 1) * len(completions))
        return [float((1103515245 * (step * 1000 + place) + 12345) // 65536 % 5 < 2) for place in places]

    reward.__name__ = "reward"
    return reward


def streamed(trainer: RiskPOTrainer) -> dict[str, list[int]]:
    """Names and shapes of the weights that TRL hands to vLLM, by its own walk over the sharded model."""
    walk = object.__new__(VLLMGeneration)
    walk.model, walk.accelerator, walk._dist = trainer.model, trainer.accelerator, trainer._dist
    return {name: list(weight.shape) for name, weight in walk._iter_named_params()}


def main() -> None:
    model, out, per_rank, steps, reward, *checkpoint = sys.argv[1:]
    if launched_sharded():
        PartialState.__init__ = _initialise_shardable
    torch.set_num_threads(1)
    args = RiskPOConfig(
        output_dir=str(Path(out) / "trainer"),
        preset="sorted",
        per_device_train_batch_size=int(per_rank),
        num_generations=4,
        max_completion_length=6,
        max_steps=int(steps),
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="steps",
        save_steps=2,
        logging_steps=1,
        disable_tqdm=True,
        log_covariances=True,
        check_rewards=False,
        seed=7,
    )
    rank = args.process_index
    data = Dataset.from_list(chain.rows("train", 30, seed=3))
    trainer = Ranked(model, text_reward if reward == "text" else placed_reward(rank), args, data)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint[0] if checkpoint else None)
    rows = [row for row in trainer.state.log_history if "train_runtime" not in row]
    wrapped = trainer.accelerator.unwrap_model(trainer.model)
    seen = {
        "world": args.world_size,
        "sharded": isinstance(wrapped, FSDPModule),
        "shards": [list(p.to_local().shape) for p in wrapped.parameters() if isinstance(p, DTensor)],
        "shapes": [list(p.shape) for p in wrapped.parameters()],
        "streamed": streamed(trainer) if isinstance(wrapped, FSDPModule) else {},
        "local": trainer.local,
        "table": trainer.last_completions(),
        "state": trainer.risk.state(),
        "metrics": [
            {k: v for k, v in row.items() if k.startswith(("risk/", "reward", "loss", "grad_norm"))} for row in rows
        ],
    }
    save_whole_model(trainer, Path(out) / "model")
    (Path(out) / f"rank{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
