"""Which estimator is best on the built-in task? A grid of estimators, seeds and tasks through the real engine.

    python experiments/estimators.py tune            # learning rates, on prompts of their own
    python experiments/estimators.py run             # the grid, at each estimator's best learning rate
    python experiments/estimators.py table           # tables and figure of what is there

Every estimator gets the same number of learning rates, tried with one seed on the `tune` split, 250 steps, and the one
of the highest pass@1 is kept; then `seeds` runs of 1 000 steps, evaluated on 256 `test` prompts x 64 samples after 250,
500 and 1 000. A cell that has its JSON is not run again: killed and started anew, the script goes on where it was.
Cells run in order of seeds, so that what is there when it is stopped compares all estimators on the same seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "estimators"
LEARNING_RATES = ("2e-4", "6e-4", "1.2e-3")
TASKS = ("chain", "chain-long")
STEPS, EVALUATED, TUNE_STEPS, TUNE_SEED = 1000, (250, 500), 250, 100

# Estimators that need history see the same 400 prompts again and again; so do their controls.
FIXED = {"task_prompts": "400"}
UPPER = {"measure": "custom", "spectrum_levels": ["0.2", "0.8"], "spectrum_weights": ["0", "1", "1.5"]}  # `upper_tail`
# A schedule follows the length of the run: after 250 of 1 000 steps `two-level` is in its first phase still.
SHORT = ", 250 steps"
VARIANTS: dict[str, dict[str, Any]] = {
    "grpo": {"estimator": "grpo"},
    "dr_grpo": {"estimator": "dr_grpo"},
    "paper": {"preset": "paper"},
    "exact": {"preset": "exact"},
    "prompt-mvar": {"preset": "prompt-mvar"},
    "prompt-seeking": {"preset": "prompt-mvar", **UPPER},
    "two-level": {"preset": "two-level"},
    f"two-level{SHORT}": {"preset": "two-level"},
    "rs_grpo": {"estimator": "rs_grpo"},
    "maxrl": {"estimator": "maxrl"},
    "pass_at_k": {"estimator": "pass_at_k"},
    "sorted, 400 prompts": {"preset": "sorted", **FIXED},
    "exact, 400 prompts": {"preset": "exact", **FIXED},
    "dr_grpo, 400 prompts": {"estimator": "dr_grpo", **FIXED},
    "prompt-mvar, 400 prompts": {"preset": "prompt-mvar", **FIXED},
}


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    task: str
    variant: str
    seed: int
    learning_rate: str
    tuning: bool

    @property
    def path(self) -> Path:
        name = self.variant.replace(", ", "_").replace(" ", "-")
        if self.tuning:
            return RESULTS / self.task / "tune" / f"{name}_lr{self.learning_rate}.json"
        return RESULTS / self.task / f"{name}_seed{self.seed}.json"

    @property
    def steps(self) -> int:
        """The length of the run."""
        return TUNE_STEPS if self.tuning or self.variant.endswith(SHORT) else STEPS

    def flags(self) -> list[str]:
        """The command line of the run."""
        split = "tune" if self.tuning else "test"
        options = {"task": self.task, "seed": self.seed, "task_seed": self.seed + 1, "max_steps": self.steps}
        options |= {"learning_rate": self.learning_rate, "eval_split": split, "completions_every": 0}
        options |= {"save_strategy": "no", "logging_steps": 5, **VARIANTS[self.variant]}
        if not self.tuning and self.steps == STEPS:
            options["eval_at"] = list(map(str, EVALUATED))
        flags = []
        for key, value in options.items():
            flags += [f"--{key}", *(value if isinstance(value, list) else [str(value)])]
        return flags


def run_cell(cell: Cell) -> None:
    """Trains and evaluates a cell, and writes its JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        command = [
            sys.executable,
            "-m",
            "riskpo.cli",
            "train",
            "quickstart",
            "--output_dir",
            str(folder),
            *cell.flags(),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{cell} failed with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
        evaluations = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "eval").glob("*.json"))}
        environment = json.loads((folder / "environment.json").read_text())
        summary = json.loads((folder / "summary.json").read_text())
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    del environment["command"]  # names a scratch folder
    kept = ("step", "reward", "entropy", "grad_norm", "risk/mean_slope", "risk/frac_unseen_prompts")
    result = {
        "task": cell.task,
        "variant": cell.variant,
        "seed": cell.seed,
        "learning_rate": cell.learning_rate,
        "flags": cell.flags(),
        "method": summary["method"],
        "wall_seconds": summary["wall_seconds"],
        "environment": environment,
        "evaluations": evaluations,
        "metrics": {key: [_short(row.get(key)) for row in metrics] for key in kept if key in metrics[0]},
    }
    cell.path.parent.mkdir(parents=True, exist_ok=True)
    scratch_file = cell.path.with_suffix(f".{os.getpid()}")
    scratch_file.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    os.replace(scratch_file, cell.path)


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def run_cells(cells: list[Cell], jobs: int) -> None:
    """Runs the cells that have no JSON yet, `jobs` at a time."""
    missing = [cell for cell in cells if not cell.path.is_file()]
    print(f"{len(cells)} cells, {len(cells) - len(missing)} there already", flush=True)

    def one(numbered: tuple[int, Cell]) -> None:
        number, cell = numbered
        run_cell(cell)
        print(
            f"{number}/{len(missing)} {cell.task}: {cell.variant}, seed {cell.seed}, {cell.learning_rate}", flush=True
        )

    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(one, enumerate(missing, 1)):
            pass


def tuning_cells(tasks: list[str], variants: list[str]) -> list[Cell]:
    """Every estimator with every learning rate; all runs of a tuning are of 250 steps already."""
    tuned = dict.fromkeys(variant.removesuffix(SHORT) for variant in variants)
    return [Cell(t, v, TUNE_SEED, rate, True) for t in tasks for v in tuned for rate in LEARNING_RATES]


def best_rate(task: str, variant: str) -> str | None:
    """The learning rate of the highest pass@1 on the tuning prompts; None where one was not tried yet."""
    found = []
    for cell in tuning_cells([task], [variant]):
        if not cell.path.is_file():
            return None
        after = json.loads(cell.path.read_text())["evaluations"]["after"]
        found.append((sum(after["correct"]), cell.learning_rate))
    return max(found, key=lambda pair: pair[0])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tune", "run", "table"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, a thread each")
    options = parser.parse_args()
    if options.what == "tune":
        run_cells(tuning_cells(options.tasks, options.variants), options.jobs)
    elif options.what == "run":
        rates = {(t, v): best_rate(t, v) for t in options.tasks for v in options.variants}
        if untuned := [pair for pair, rate in rates.items() if rate is None]:
            parser.error(f"not tuned yet: {untuned}. Run `tune` first, or name --tasks and --variants.")
        cells = [
            Cell(t, v, seed, str(rates[t, v]), False)
            for t in options.tasks
            for seed in options.seeds
            for v in options.variants
        ]
        run_cells(cells, options.jobs)
    else:
        from estimators_report import report

        report(options.tasks, list(VARIANTS), RESULTS)


if __name__ == "__main__":
    main()
