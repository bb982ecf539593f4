"""Which estimator should the quickstart run? Trains it with each variant and seed, and writes one JSON a cell.

    python experiments/quickstart_variants.py            # runs what is missing, then prints the table
    python experiments/quickstart_variants.py --seeds 0  # fewer seeds

A cell that has its JSON is not run again: killed and started anew, the script goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "quickstart_variants"

# Everything not named is the recipe's: mvar(.2, .8), 500 steps, learning rate 6e-4. `mean` is the mean objective in the
# same trainer: each response's reward minus the mean of its prompt's others (RLOO), sequence-level ratio.
MEAN = {"measure": "mean", "bundle_size": "1", "pairing": "random", "baseline": "loo"}
VARIANTS: dict[str, dict[str, str]] = {
    "mean": MEAN,
    "paper": {"preset": "paper"},
    "paper, lr 2e-4": {"preset": "paper", "learning_rate": "2e-4"},
    "random pairing, batch baseline": {"preset": "paper", "baseline": "batch"},
    "exact pairing, batch baseline": {"baseline": "batch"},
    "exact pairing, loo baseline": {},
    "exact pairing, loo baseline, batch scale": {"scale_rewards": "batch"},
    "exact pairing, loo baseline, continuous ties": {"ties": "continuous"},
}


def cell_path(variant: str, seed: int) -> Path:
    return RESULTS / f"{variant.replace(', ', '_').replace(' ', '-')}_seed{seed}.json"


def run_cell(variant: str, seed: int, steps: int) -> None:
    flags = [item for key, value in VARIANTS[variant].items() for item in (f"--{key}", value)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        command = [sys.executable, "-m", "riskpo.cli", "train", "quickstart", "--output_dir", str(folder)]
        command += ["--seed", str(seed), "--task_seed", str(seed + 1), "--max_steps", str(steps), *flags]
        command += ["--completions_every", "0", "--save_strategy", "no"]
        subprocess.run(command, check=True)
        result = {
            "variant": variant,
            "seed": seed,
            "flags": VARIANTS[variant],
            "summary": json.loads((folder / "summary.json").read_text()),
            "environment": json.loads((folder / "environment.json").read_text()),
            "entropy_at_reward": entropy_at_reward(folder / "metrics.jsonl"),
        }
    result["environment"].pop("command")  # names a scratch folder
    RESULTS.mkdir(parents=True, exist_ok=True)
    cell_path(variant, seed).write_text(json.dumps(result, indent=2) + "\n")


def entropy_at_reward(metrics: Path, level: float = 0.6, window: int = 10) -> float | None:
    """Entropy when the reward's running mean first reaches a level: variants learn at different speeds."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    for end in range(window, len(rows) + 1):
        part = rows[end - window : end]
        if np.mean([row["reward"] for row in part]) >= level:
            return float(np.mean([row["entropy"] for row in part]))
    return None


def print_table(seeds: list[int]) -> None:
    print("| variant | seeds | pass@1 | pass@8 | pass@32 | entropy | entropy at reward .6 |")
    print("|---|---|---|---|---|---|---|")
    for variant in VARIANTS:
        cells = [json.loads(path.read_text()) for seed in seeds if (path := cell_path(variant, seed)).is_file()]
        if not cells:
            continue
        evaluations = [cell["summary"]["evaluation"] for cell in cells]
        columns = [spread([e[f"pass@{k}"]["after"]["mean"] for e in evaluations]) for k in (1, 8, 32)]
        columns.append(spread([e["entropy"]["after"] for e in evaluations]))
        reached: list[Any] = [cell["entropy_at_reward"] for cell in cells if cell["entropy_at_reward"] is not None]
        columns.append(spread(reached) if len(reached) == len(cells) else f"{len(reached)} of {len(cells)} got there")
        print(f"| {variant} | {len(cells)} | " + " | ".join(columns) + " |")


def spread(values: list[float]) -> str:
    """Mean +- standard deviation over seeds."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    for seed in options.seeds:
        for variant in VARIANTS:
            if not cell_path(variant, seed).is_file():
                run_cell(variant, seed, options.steps)
    print_table(options.seeds)


if __name__ == "__main__":
    main()
