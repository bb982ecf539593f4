"""How much memory a model takes on each of 8 GPUs: in training by how it lies there, and in vLLM beside it.

    python experiments/multigpu_memory.py    # a second; writes results/<this name>.json and docs/multi-gpu.md

Arithmetic, not a measurement. Training: weights, gradients and Adam's two moments; 16 bytes a parameter with DDP
(float32), 2 + 14 / GPUs with ZeRO-2 (bfloat16 weights whole, the rest in shards), 16 / GPUs with FSDP2 and ZeRO-3.
Not in it: activations and logits, which grow with the micro-batch, and the layers gathered at a time. vLLM: bfloat16
weights over the GPUs of a tensor-parallel group; a sequence's cache is 2 (keys, values) x 2 bytes x layers x heads of
the cache x 128 for each of its tokens, over the same GPUs. Sequences at once: what is left of `UTILIZATION` of a GPU,
in whole sequences of `TOKENS`; vLLM's own buffers and CUDA graphs are not in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

RESULTS = Path(__file__).parent / "results" / "multigpu_memory.json"
# Qwen2.5, as its configurations say: parameters, layers, key-value heads (of 128)
MODELS = {
    "1.5B": (1.54e9, 28, 2),
    "3B": (3.09e9, 36, 2),
    "7B": (7.62e9, 28, 4),
    "14B": (14.77e9, 48, 8),
    "32B": (32.76e9, 64, 8),
}
GPUS, MEMORY, UTILIZATION, TOKENS, PARALLEL = 8, 80e9, 0.4, 4096, (1, 2, 4)


def training_bytes(parameters: float) -> dict[str, float]:
    """Bytes a GPU of the training state."""
    return {"ddp": 16 * parameters, "zero2": (2 + 14 / GPUS) * parameters, "sharded": 16 / GPUS * parameters}


def sampling(parameters: float, layers: int, heads: int, size: int) -> dict[str, Any]:
    """vLLM on a tensor-parallel group of `size` GPUs: bytes of weights on each, sequences at once in the group."""
    sequence = 2 * 2 * layers * heads * 128 * TOKENS / size
    left = UTILIZATION * MEMORY - 2 * parameters / size
    return {"weights": 2 * parameters / size, "sequence": sequence, "sequences": max(int(left // sequence), 0)}


def measure() -> dict[str, Any]:
    """Every model's row."""
    return {
        name: {"training": training_bytes(shape[0])} | {f"tp{size}": sampling(*shape, size) for size in PARALLEL}
        for name, shape in MODELS.items()
    }


def memory_table(found: dict[str, Any]) -> str:
    """The rows as Markdown."""
    head = ["model", "DDP", "ZeRO-2", "FSDP2, ZeRO-3"]
    head += [f"vLLM weights, sequences at once: TP {size}" for size in PARALLEL]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, row in found.items():
        cells = [f"{value / 1e9:.0f} GB" for value in row["training"].values()]
        for size in PARALLEL:
            one = row[f"tp{size}"]
            cells.append(f"{one['weights'] / 1e9:.0f} GB, {one['sequences']}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    found = measure()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write_block("multi-gpu.md", "memory", memory_table(found))


if __name__ == "__main__":
    main()
