"""One rank of tests/engines/test_trl_sharded.py: RiskPOTrainer with FSDP2 or ZeRO-3 over gloo, on CPUs.

accelerate launch --config_file FILE --num_processes N sharded_worker.py MODEL OUT_DIR ROWS STEPS REWARD [CHECKPOINT]

Sharding, collectives, checkpoints and generation are PyTorch's, DeepSpeed's, Accelerate's and TRL's own. One thing is
changed: Accelerate shards on accelerators only, and takes several processes on CPUs for DDP without a word
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
from torch.distributed.tensor import DTensor
from transformers import PrinterCallback
from trl.generation.vllm_generation import VLLMGeneration

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.runs.sharding import launched_sharding, save_whole_model
from riskpo.tasks import chain


def shard_on_cpus(sharding: str | None) -> None:
    """Makes Accelerate shard over gloo, as its launcher asked for."""
    initialise = PartialState.__init__

    def initialise_as_gpus(self: PartialState, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    if sharding == "FSDP":
        PartialState.__init__ = initialise_as_gpus
    if sharding == "DEEPSPEED":  # with ACCELERATE_TORCH_DEVICE=cpu and DS_ACCELERATOR=cpu in the environment
        PartialState._prepare_backend = lambda self, *_, **__: ("gloo", DistributedType.MULTI_GPU)


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


def share_held(trainer: RiskPOTrainer) -> float:
    """The share of the model's numbers that lies in this process."""
    whole = held = 0
    for weight in trainer.accelerator.unwrap_model(trainer.model).parameters():
        if isinstance(weight, DTensor):
            held += weight.to_local().numel()
        elif hasattr(weight, "ds_tensor"):
            held += weight.ds_tensor.numel()
        else:
            held += weight.numel()
        whole += getattr(weight, "ds_numel", weight.numel())
    return held / whole


def main() -> None:
    model, out, per_rank, steps, reward, *checkpoint = sys.argv[1:]
    sharding = launched_sharding()
    shard_on_cpus(sharding)
    torch.set_num_threads(1)
    args = RiskPOConfig(
        output_dir=str(Path(out) / "trainer"),
        preset="sorted",
        per_device_train_batch_size=int(per_rank),
        num_generations=4,
        max_completion_length=6,
        max_steps=int(steps),
        learning_rate=1e-3,
        max_grad_norm=0.1,  # the gradients are larger: clipping takes part in the comparison
        lr_scheduler_type="constant",
        bf16=False,
        use_cpu=sharding != "DEEPSPEED",
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
    if sharding == "DEEPSPEED":  # its default keeps weights as small as these whole
        args.deepspeed_plugin.hf_ds_config.config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    rank = args.process_index
    data = Dataset.from_list(chain.rows("train", 30, seed=3))
    trainer = Ranked(model, text_reward if reward == "text" else placed_reward(rank), args, data)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint[0] if checkpoint else None)
    rows = [row for row in trainer.state.log_history if "train_runtime" not in row]
    seen = {
        "world": args.world_size,
        "share": share_held(trainer),
        "shapes": streamed(trainer),
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
