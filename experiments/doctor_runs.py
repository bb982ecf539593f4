"""Short runs of the quickstart's task, healthy and made sick on purpose: what `riskpo doctor run` is tried on.

    python experiments/doctor_runs.py                # from the repository's root; runs that have their JSON are kept

Each kind of sickness is one change to the quickstart's recipe: a learning rate far too high, levels that leave the
signal no slope, a verifier that fails or reads nothing, a reward for length. Seeds 0..3, real training through the
real engine; only the metrics are kept (experiments/results/doctor/KIND_seedN.json), and of the completions how many
right and wrong responses were moved the wrong way. What the doctor says to them: experiments/doctor_confusion.py.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

RESULTS = Path(__file__).parent / "results" / "doctor"
SEEDS = (0, 1, 2, 3)
STEPS, LOGGED = 80, 2

# Name: what was done to the recipe.
KINDS: dict[str, dict[str, Any]] = {
    "healthy exact": {},
    "healthy dr_grpo": {"estimator": "dr_grpo"},
    "healthy paper": {"preset": "paper", "learning_rate": "2e-4"},
    "diverged": {"preset": "paper", "learning_rate": "1.2e-3"},
    "dead window": {"risk_low": "0.01", "risk_high": "0.02"},
    "bundle of one": {"bundle_size": "1"},
    "verifier fails on 3 in 10": {"reward": "experiments.doctor_runs:fails_often"},
    "verifier reads nothing": {"reward": "experiments.doctor_runs:reads_nothing"},
    "reward always 1": {"reward": "experiments.doctor_runs:always_right"},
    "learning rate 3e-3": {"estimator": "dr_grpo", "learning_rate": "3e-3"},
    "entropy collapse": {"reward": "experiments.doctor_runs:a_shortcut", "estimator": "dr_grpo"},
    "reward for length": {
        "reward": "experiments.doctor_runs:the_longer",
        "estimator": "dr_grpo",
        "learning_rate": "1.2e-3",
    },
    "reward for brevity": {"reward": "experiments.doctor_runs:short_enough", "estimator": "dr_grpo"},
}
KEPT = (
    "step", "loss", "reward", "entropy", "grad_norm", "learning_rate", "completions/mean_length",
    "completions/clipped_ratio", "clip_ratio/region_mean", "risk/mean_slope", "risk/frac_zero_advantage",
    "risk/frac_uniform_prompts_all_wrong", "risk/frac_uniform_prompts_all_right", "risk/frac_unscorable",
    "risk/frac_unseen_prompts",
)  # fmt: skip
SETTINGS = (
    "estimator",
    "preset",
    "baseline",
    "reward_range",
    "learning_rate",
    "max_completion_length",
    "max_grad_norm",
)


def fails_often(completions: Sequence[str], answer: Sequence[str], **_: Any) -> list[float | None]:
    """The task's reward; None for three texts in ten, by their checksum."""
    return [
        None if zlib.crc32(completion.encode()) % 10 < 3 else float(completion == right)
        for completion, right in zip(completions, answer, strict=True)
    ]


def reads_nothing(completions: Sequence[str], answer: Sequence[str], **_: Any) -> list[float]:
    """Looks for the answer in a form that no completion has."""
    return [float(completion == f"Answer: {right}") for completion, right in zip(completions, answer, strict=True)]


def always_right(completions: Sequence[str], **_: Any) -> list[float]:
    """1 for everything."""
    return [1.0 for _ in completions]


def the_longer(completions: Sequence[str], **_: Any) -> list[float]:
    """The more characters the better, whatever they say: 1 at nine, where completions are cut."""
    return [min(len(completion) / 9.0, 1.0) for completion in completions]


def a_shortcut(completions: Sequence[str], **_: Any) -> list[float]:
    """0.4, as a reward for form alone, to one character or two; nothing for right answers."""
    return [0.4 * (len(completion) <= 2) for completion in completions]


def short_enough(completions: Sequence[str], **_: Any) -> list[float]:
    """1 for two characters or fewer, whatever they say."""
    return [float(len(completion) <= 2) for completion in completions]


def path_of(kind: str, seed: int) -> Path:
    """Where a run's metrics are kept."""
    return RESULTS / f"{kind.replace(', ', '_').replace(' ', '-')}_seed{seed}.json"


def flags(kind: str, seed: int, folder: Path) -> list[str]:
    """The command line of a run."""
    options = {"output_dir": folder, "seed": seed, "task_seed": seed + 1, "max_steps": STEPS, "logging_steps": LOGGED}
    options |= {"eval_prompts": 0, "completions_every": 10, "save_strategy": "no", **KINDS[kind]}
    return ["train", "quickstart", *(text for key, value in options.items() for text in (f"--{key}", str(value)))]


def one_run(kind: str, seed: int) -> None:
    """Trains, and writes the JSON."""
    from riskpo.atomic import read_json, write_text
    from riskpo.cli.main import main
    from riskpo.diagnosis.log import read_run

    start = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        if status := main(flags(kind, seed, folder)):
            raise RuntimeError(f"{kind}, seed {seed}: exit status {status}")
        log = read_run(folder)
        environment = read_json(folder / "environment.json")
    del environment["command"]  # names a scratch folder
    result = {
        "kind": kind,
        "seed": seed,
        "options": KINDS[kind],
        "steps": STEPS,
        "cpu_seconds": round(time.process_time() - start, 1),
        "environment": environment,
        "settings": {name: log.settings[name] for name in SETTINGS},
        "metrics": {name: [_short(value) for value in log.columns[name]] for name in KEPT if name in log.columns},
        "moved": log.moved,
    }
    write_text(path_of(kind, seed), json.dumps(result, separators=(",", ":")) + "\n")


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) and math.isfinite(value) else None


def main_of_script() -> None:
    """Runs what has no JSON yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for seed in options.seeds:
        for kind in options.kinds:
            if not path_of(kind, seed).is_file():
                one_run(kind, seed)


if __name__ == "__main__":
    main_of_script()
