"""Folders of runs as riskpo train would have left them, with whatever a test wants in them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ARGUMENTS = {
    "estimator": "riskpo",
    "measure": "mvar",
    "pairing": "exact",
    "baseline": "loo",
    "bundle_size": 2,
    "scale_rewards": "none",
    "reward_range": [0.0, 1.0],
    "max_steps": 20,
    "learning_rate": 1e-3,
    "seed": 3,
    "eval_ks": [1, 2, 4],
    "importance_sampling_level": "sequence",
}


def metric_row(step: int, total: int = 20) -> dict[str, Any]:
    share = step / total
    return {
        "step": step,
        "time": 1.7e9 + step,
        "reward": 0.2 + 0.6 * share,
        "entropy": 1.0 - 0.7 * share,
        "num_tokens": 100.0 * step,
        "risk/q_low": share,
        "risk/q_high": 1.0 + share,
        "risk/mvar": share,
        "risk/rvar_mid": share,
        "risk/cvar_low": share / 2,
        "risk/score_mean": 2 * share,
        "risk/frac_zero_advantage": 0.5,
        "risk/frac_uniform_prompts_all_wrong": 0.3,
        "risk/frac_uniform_prompts_all_right": 0.1,
        "risk/frac_unscorable": 0.0,
        "clip_ratio/low_mean": 0.01,
        "clip_ratio/high_mean": 0.02,
        "clip_ratio/region_mean": 0.03,
        "completions/mean_length": 5.0,
        "completions/max_length": 7.0,
        "completions/min_length": 3.0,
        "completions/clipped_ratio": 0.1,
        "risk/cov_logp_advantage": 0.2,
        "risk/cov_logp_mean_advantage": 0.3,
        "risk/corr_logp_advantage": 0.2,
        "risk/corr_logp_mean_advantage": 0.3,
        "grad_norm": 0.5,
    }


def completion_rows(step: int, prompts: int = 8, responses: int = 4, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(1000 * seed + step)
    rows = []
    for prompt in range(prompts):
        for response in range(responses):
            right = draw.random() < (prompt + 1) / (prompts + 2)
            rows.append(
                {
                    "step": step,
                    "prompt": f"prompt {prompt}",
                    "completion": f"answer {step}-{prompt}-{response}",
                    "reward_of_test": float(right),
                    "verdict": "correct" if right else "wrong",
                    "verdict_answer": str(response),
                    "verdict_reason": "" if right else f"expected 7, got {response}",
                    "advantage": draw.uniform(-1, 1),
                    "logprob": -draw.random() * 9,
                    "answer": "7",
                    "bundle": str(prompt // 2),
                }
            )
    return rows


def write_completions(folder: Path, step: int, rows: list[dict[str, Any]]) -> None:
    (folder / "completions").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "completions" / f"completions_{step:05d}.parquet")


def made_run(folder: Path, *, steps: int = 20, seed: int = 0, arguments: dict[str, Any] | None = None) -> Path:
    """A finished run of 20 steps with completions at every fourth, or one that got `steps` far."""
    folder.mkdir(parents=True)
    given = {**ARGUMENTS, **(arguments or {})}
    kept = {"task": "chain", "model_name_or_path": "builtin:chain-base", **(arguments or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(kept))
    (folder / "arguments.json").write_text(json.dumps(given))
    environment = {
        "riskpo": "0.1.0",
        "commit": "abc",
        "python": "3.11.0",
        "packages": {"torch": "2.6.0"},
        "machine": {"cores": 2, "accelerators": []},
        "command": "riskpo train quickstart --output_dir x",
        "started": "2026-01-02T03:04:05+00:00",
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    lines = [json.dumps(metric_row(step)) for step in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for step in range(4, steps + 1, 4):
        write_completions(folder, step, completion_rows(step, seed=seed))
    (folder / "eval").mkdir()
    evaluation = {"correct": [0, 1, 2, 4], "samples": 4, "entropy": 1.25, "unscorable": 0}
    (folder / "eval" / "before.json").write_text(json.dumps(evaluation))
    if steps >= given["max_steps"]:
        after = {**evaluation, "correct": [1, 2, 3, 4], "entropy": 0.5}
        (folder / "eval" / "after.json").write_text(json.dumps(after))
    return folder
