"""How well do the paper's numbers stand, and what would repeating them cost?

    python experiments/paper_recipes.py    # a second; writes results/<this name>.json and docs/recipes/*.md

The paper's scores are pass@1 of one sample a question (arXiv 2510.00911, tables 1 and 2; GRPO's row beside it). A score
p over M questions then has the standard error sqrt(p (1 - p) / M) over what the questions and the samples may be, and
the difference of two of them, unpaired, the root of the sum of both squares; an average over K benchmarks that of the
sum of all squares over K. Both methods answered the same questions, which is not in the tables: paired, the error of a
difference would be smaller, so what stands here is at most as large as it looks.

The cost is an estimate by arithmetic, not a measurement: every completion as long as allowed; 10 N operations per
token and parameter (forward and backward 6, recomputed activations 2, old log-probabilities 2) at 40 %
of an H100's 989 TFLOP/s; sampling at `SAMPLED` tokens per second and GPU. Not in it: prompts, attention, transfer of
weights to the sampling engine, checkpoints, evaluation, the programs' time. Memory of a GPU in training: weights,
gradients and Adam's two moments (16 bytes a parameter in float32; with ZeRO-2 and a bfloat16 model 2 and 14 / GPUs;
with FSDP2 16 / GPUs, and in bfloat16 two layers and both embeddings, gathered at a time),
the inputs of checkpointed layers in float32, and the logits of a micro-batch with their gradient in float32.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from riskpo.runs.arguments import plan_new

RESULTS = Path(__file__).parent / "results" / "paper_recipes.json"
# benchmark: (questions, RiskPO's pass@1 in %, GRPO's)
PAPER: dict[str, dict[str, tuple[int, float, float | None]]] = {
    "paper-hard": {
        "AIME25": (30, 33.3, 20.0),
        "AIME24": (30, 33.3, 20.0),
        "AMC": (83, 60.8, 56.6),
        "MATH500": (500, 81.8, 79.2),
        "Minerva": (272, 29.5, 27.1),
        "OlympiadBench": (674, 41.2, 39.6),
    },
    "paper-easy": {"MATH": (5000, 56.2, None), "GSM8K": (1319, 80.3, None)},
    "paper-code": {"LiveCodeBench": (1055, 26.8, None)},
    "paper-geometry3k": {"Geometry3K": (601, 54.5, None)},
}
AVERAGES = {"paper-hard": (46.65, 40.41), "paper-easy": (68.25, 66.55)}
# layers, hidden size, vocabulary, the longest sequence, what lies in shards
SHAPES = {
    "paper-hard": (28, 1536, 151_936, 4096, ""),
    "paper-easy": (28, 1536, 151_936, 2048, ""),
    "paper-code": (28, 1536, 151_936, 12_288, ""),
    "paper-geometry3k": (36, 2048, 151_936, 4096, "zero2"),
    "dapo-7b": (28, 3584, 152_064, 4096, "fsdp2"),
    "multi-node": (28, 3584, 152_064, 9216, "fsdp2"),
}
PARAMETERS = {
    "paper-hard": 1.78e9,
    "paper-easy": 1.54e9,
    "paper-code": 1.78e9,
    "paper-geometry3k": 3.75e9,
    "dapo-7b": 7.62e9,
    "multi-node": 7.62e9,
}
PEAK, SHARE, SAMPLED = 989e12, 0.4, {"paper-geometry3k": 4e3, "dapo-7b": 3e3, "multi-node": 3e3}
DEFAULT_SAMPLED = 8e3


def score_row(name: str, questions: int, score: float, other: float | None) -> dict[str, Any]:
    """A benchmark's scores in % with their standard errors."""

    def error(value: float) -> float:
        return 100 * math.sqrt(value / 100 * (1 - value / 100) / questions)

    row = {"benchmark": name, "questions": questions, "paper": score, "error": error(score), "grpo": other}
    if other is not None:
        row |= {"difference": score - other, "difference_error": math.hypot(error(score), error(other))}
    return row


def average_row(rows: list[dict[str, Any]], score: float, other: float) -> dict[str, Any]:
    """The average of a table's benchmarks; its difference's error only where every row of GRPO's is known."""
    each = len(rows)
    row = {"benchmark": "average", "questions": sum(one["questions"] for one in rows), "paper": score, "grpo": other}
    row |= {"error": math.sqrt(sum(one["error"] ** 2 for one in rows)) / each, "difference": score - other}
    if all(one["grpo"] is not None for one in rows):
        row["difference_error"] = math.sqrt(sum(one["difference_error"] ** 2 for one in rows)) / each
    return row


def cost_of(recipe: str) -> dict[str, Any]:
    """Tokens, operations, hours and memory of a recipe."""
    plan = plan_new(recipe, None, [], dry=True)
    training = plan.training
    generations = training.max_steps * training.gradient_accumulation_steps // training.steps_per_generation
    tokens = generations * training.generation_batch_size * training.max_completion_length
    operations = 10 * PARAMETERS[recipe] * tokens
    sampled = SAMPLED.get(recipe, DEFAULT_SAMPLED)
    hours = {
        "sampling": tokens / sampled / plan.run.processes / 3600,
        "training": operations / (PEAK * SHARE) / plan.run.processes / 3600,
    }
    return {
        "gpus": plan.run.processes,
        "generations": generations,
        "tokens": tokens,
        "operations": operations,
        "sampled_per_second_and_gpu": sampled,
        "hours": hours,
        "gpu_hours": sum(hours.values()) * plan.run.processes,
        "gigabytes": memory_of(recipe, training.per_device_train_batch_size, training.max_completion_length),
    }


def memory_of(recipe: str, batch: int, completion: int) -> float:
    """Gigabytes of a GPU in training."""
    layers, hidden, vocabulary, longest, sharded = SHAPES[recipe]
    gpus, parameters = plan_new(recipe, None, [], dry=True).run.processes, PARAMETERS[recipe]
    embeddings = 2 * vocabulary * hidden
    state = {
        "": parameters * 16,
        "zero2": parameters * (2 + 14 / gpus),
        "fsdp2": parameters * 16 / gpus + 2 * (embeddings + 2 * (parameters - embeddings) / layers),
    }[sharded]
    inputs, logits = 4 * layers * batch * longest * hidden, 2 * 4 * batch * completion * vocabulary
    return round((state + inputs + logits) / 1e9, 1)


def measure() -> dict[str, Any]:
    """Every recipe's scores and cost."""
    found = {}
    for recipe in PARAMETERS:
        rows = [score_row(name, *values) for name, values in PAPER.get(recipe, {}).items()]
        if recipe in AVERAGES:
            rows.append(average_row(rows, *AVERAGES[recipe]))
        found[recipe] = {"scores": rows, "cost": cost_of(recipe)}
    return found


def score_table(rows: list[dict[str, Any]]) -> str:
    """The scores as Markdown."""

    def of(value: float | None, error: float | None, form: str) -> str:
        if value is None:
            return "-"
        return f"{value:{form}}" + ("" if error is None else f" ± {error:.1f}")

    both = any(row["grpo"] is not None for row in rows)
    head = ["benchmark", "questions", "paper, pass@1 % ± standard error", *(["GRPO", "difference"] if both else [])]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        form = ".2f" if row["benchmark"] == "average" else ".1f"
        cells = [row["benchmark"], f"{row['questions']:,}", of(row["paper"], row["error"], form)]
        if both:
            cells += [of(row["grpo"], None, form), of(row.get("difference"), row.get("difference_error"), f"+{form}")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cost_table(cost: dict[str, Any]) -> str:
    """The cost as Markdown."""
    hours = cost["hours"]
    return "\n".join(
        [
            "| GPUs | generations | tokens | sampling | training | GPU-hours | memory in training |",
            "|---|---|---|---|---|---|---|",
            f"| {cost['gpus']} | {cost['generations']:,} | {cost['tokens'] / 1e9:.1f} billion | "
            f"{hours['sampling']:.0f} h at {cost['sampled_per_second_and_gpu']:,.0f} tokens/s a GPU | "
            f"{hours['training']:.0f} h | {cost['gpu_hours']:,.0f} | {cost['gigabytes']:.0f} GB |",
        ]
    )


def main() -> None:
    found = measure()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for recipe, one in found.items():
        if one["scores"]:
            write_block(f"recipes/{recipe}.md", "scores", score_table(one["scores"]))
        write_block(f"recipes/{recipe}.md", "cost", cost_table(one["cost"]))


if __name__ == "__main__":
    main()
