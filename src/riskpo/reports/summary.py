"""How a run ends: a table of what changed, a figure, and both as JSON beside them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from riskpo.atomic import read_json, write_json
from riskpo.evaluation.intervals import Interval, change_interval, question_interval
from riskpo.evaluation.passk import pass_at_k
from riskpo.reports.describe import describe_estimator
from riskpo.reports.figures import run_figure, save_figure
from riskpo.runs.files import read_metrics


def summarise(
    run_dir: Path, plan: Any, steps: int, before: dict[str, Any] | None, after: dict[str, Any] | None, console: Console
) -> None:
    """Writes figure.png and summary.json into the run's folder, and prints what they say."""
    metrics = read_metrics(run_dir / "metrics.jsonl").rows
    what = describe_method(plan)
    figure = run_figure(metrics, before, after, f"{run_dir.name}: {what}")
    save_figure(figure, run_dir / "figure.png", 150)
    summary: dict[str, Any] = {"method": what, "steps": steps}
    if before and after:
        summary["evaluation"] = compare(before, after, plan.run.eval_ks)
        console.print(f"\n{what}", highlight=False, soft_wrap=True)
        console.print(table_of(summary["evaluation"]))
    summary["wall_seconds"] = _wall_seconds(run_dir)
    write_json(run_dir / "summary.json", summary)
    console.print(f"model, metrics, completions, figure.png: {run_dir}", highlight=False, soft_wrap=True)


def compare(before: dict[str, Any], after: dict[str, Any], ks: list[int]) -> dict[str, Any]:
    """pass@k before and after with 95 % intervals over questions, and of the paired difference; entropy."""
    samples = after["samples"]
    rows: dict[str, Any] = {"questions": len(after["correct"]), "samples": samples}
    for k in ks:
        first, last = (pass_at_k(np.array(part["correct"]), samples, k) for part in (before, after))
        rows[f"pass@{k}"] = {
            "before": _plain(question_interval(first)),
            "after": _plain(question_interval(last)),
            "change": _plain(change_interval(first, last, samples / k)),
        }
    rows["entropy"] = {"before": before["entropy"], "after": after["entropy"]}
    return rows


def _plain(interval: Interval) -> dict[str, float | None]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def table_of(evaluation: dict[str, Any]) -> Table:
    """The table that a run ends with; 80 columns wide at most."""
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=f"{evaluation['questions']} held-out prompts x {evaluation['samples']} samples; 95 % intervals over "
        "prompts, of the paired difference for the change; entropy in nats per token",
        caption_justify="left",
    )
    for column in ("", "before", "after", "change"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in evaluation.items():
        if name.startswith("pass@"):
            table.add_row(name, *(_cell(row[part], part) for part in ("before", "after", "change")))
    entropy = evaluation["entropy"]
    change = entropy["after"] - entropy["before"]
    cells = (f"{entropy['before']:.3f}", f"{entropy['after']:.3f}", f"{change:+.3f}")
    table.add_row("entropy", *map(_short, cells))
    return table


def describe_method(plan: Any) -> str:
    """One line that says what was run."""
    training = plan.training
    return (
        f"{describe_estimator(training.risk_config)}, {training.importance_sampling_level} ratio, "
        f"lr {training.learning_rate:g}, seed {training.seed}"
    )


def _cell(estimate: dict[str, float | None], part: str) -> str:
    sign = "+" if part == "change" else ""
    mean = _short(f"{estimate['mean']:{sign}.3f}")
    if estimate["low"] is None:  # one question
        return mean
    low, high = (_short(f"{estimate[side]:.3f}") for side in ("low", "high"))
    return f"{mean} [{low}, {high}]"


def _short(number: str) -> str:
    """`0.173` as `.173`."""
    return number.replace("0.", ".", 1) if number.lstrip("+-").startswith("0.") else number


def _wall_seconds(run_dir: Path) -> float:
    """From the first line of the run's environment to now; a resumed run counts its pause too."""
    import datetime

    started = datetime.datetime.fromisoformat(read_json(run_dir / "environment.json")["started"])
    return round(time.time() - started.timestamp(), 1)
