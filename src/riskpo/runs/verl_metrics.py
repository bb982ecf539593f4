"""verl's log of a run as `metrics.jsonl`, under the names that reports and the doctor read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from riskpo.atomic import write_text
from riskpo.runs.files import read_metrics

FOLDER = "verl-metrics"  # in a run's folder: a file for each time it was started

# Our name by verl's. Names of ours (risk/...) are the same in both, and verl's others stay as they are.
NAMES = {
    "critic/score/mean": "reward",
    "actor/entropy": "entropy",
    "actor/loss": "loss",
    "actor/grad_norm": "grad_norm",
    "actor/lr": "learning_rate",
    "actor/pg_clipfrac": "clip_ratio/region_mean",
    "actor/kl_loss": "kl",
    "response_length/mean": "completions/mean_length",
    "response_length/min": "completions/min_length",
    "response_length/max": "completions/max_length",
    "response_length/clip_ratio": "completions/clipped_ratio",
    "training/epoch": "epoch",
}


def collect(run_dir: Path) -> int:
    """Writes metrics.jsonl from all parts of a run; of a step that was done twice the later one counts.

    Returns:
        How many steps it holds.
    """
    rows: dict[int, dict[str, Any]] = {}
    for part in sorted((run_dir / FOLDER).glob("*.jsonl"), key=lambda path: int(path.stem)):
        first = True
        for line in read_metrics(part, steps=True).rows:
            step = line["step"]
            if first:  # a part that was resumed does again what the one before had not saved
                rows = {known: row for known, row in rows.items() if known < step}
                first = False
            renamed = {NAMES.get(name, name): value for name, value in (line.get("data") or {}).items()}
            finite = {name: value for name, value in renamed.items() if _is_number(value)}
            rows[step] = rows.get(step, {}) | finite
    text = "".join(json.dumps({"step": step, **rows[step]}) + "\n" for step in sorted(rows))
    write_text(run_dir / "metrics.jsonl", text)
    return len(rows)


def next_part(run_dir: Path) -> Path:
    """The file that the next start of the run logs to."""
    folder = run_dir / FOLDER
    folder.mkdir(exist_ok=True)
    return folder / f"{1 + max((int(path.stem) for path in folder.glob('*.jsonl')), default=0)}.jsonl"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
