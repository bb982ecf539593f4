"""Figures of a run, drawn from its files."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from riskpo.atomic import write_bytes
from riskpo.evaluation.intervals import question_interval
from riskpo.evaluation.passk import pass_at_k

# Okabe and Ito's colours: distinct for colour-blind readers and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def run_figure(
    metrics: list[dict[str, Any]], before: dict[str, Any] | None, after: dict[str, Any] | None, title: str
) -> Figure:
    """Reward, entropy, tracked quantiles over steps; pass@k before and after, with 95 % bands over questions.

    Args:
        metrics: rows of metrics.jsonl.
        before, after: evaluations, as in a run's eval/*.json; None leaves the fourth panel out.
        title: of the figure.
    """
    panels = 4 if before and after else 3
    figure = Figure(figsize=(3.6 * panels, 3.2), layout="constrained")
    axes = figure.subplots(1, panels)
    _line(axes[0], metrics, "reward", "mean reward", BLUE)
    _line(axes[1], metrics, "entropy", "entropy (nats per token)", ORANGE)
    _quantiles(axes[2], metrics)
    if before and after:
        _pass_curve(axes[3], before, "before", GREY)
        _pass_curve(axes[3], after, "after", BLUE)
        axes[3].set(xscale="log", xlabel="k", ylabel="pass@k", ylim=(0.0, 1.0))
        axes[3].set_xticks([k for k in (1, 2, 4, 8, 16, 32, 64) if k <= after["samples"]])
        axes[3].xaxis.set_major_formatter(lambda k, _: f"{k:g}")
        axes[3].minorticks_off()
        axes[3].legend(frameon=False, loc="lower right")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.suptitle(title)
    return figure


def _line(axis: Axes, metrics: list[dict[str, Any]], key: str, label: str, color: str) -> None:
    points = [(row["step"], row[key]) for row in metrics if _is_finite(row.get(key))]
    if points:
        steps, values = np.array(points, dtype=float).T
        axis.plot(steps, values, color=color, alpha=0.3, linewidth=1)
        axis.plot(steps, smooth(values), color=color, linewidth=2)
    without = sum(key in row for row in metrics) - len(points)
    left_out = f" ({without} rows left out: not finite)" if without else ""
    axis.set(xlabel=f"step{left_out}", ylabel=label, ylim=(0.0, None))


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _quantiles(axis: Axes, metrics: list[dict[str, Any]]) -> None:
    points = [(row["step"], row["risk/score_mean"]) for row in metrics if "risk/score_mean" in row]
    if points:
        steps, values = np.array(points).T
        axis.plot(steps, values, color=GREY, alpha=0.5, linewidth=1, label="mean score")
    names = sorted({key for row in metrics for key in row if key.startswith("risk/q_")}, reverse=True)
    for name, color in zip(names, (BLUE, ORANGE, GREEN, GREY) * 3, strict=False):
        tracked = [(row["step"], row[name]) for row in metrics if name in row]
        steps, values = np.array(tracked).T
        axis.plot(steps, values, color=color, linewidth=2, label=name.removeprefix("risk/"))
    axis.set(xlabel="step", ylabel="bundle score", ylim=(0.0, None))
    if points or names:
        axis.legend(frameon=False, loc="lower right")


def _pass_curve(axis: Axes, evaluation: dict[str, Any], label: str, color: str) -> None:
    samples, correct = evaluation["samples"], np.array(evaluation["correct"])
    ks = np.unique(np.geomspace(1, samples, 25).round().astype(int))
    estimates = [question_interval(pass_at_k(correct, samples, int(k))) for k in ks]
    axis.plot(ks, [e.mean for e in estimates], color=color, linewidth=2, label=label)
    if len(correct) > 1:  # one question says nothing about others
        low, high = ([getattr(e, side) for e in estimates] for side in ("low", "high"))
        axis.fill_between(ks, low, high, color=color, alpha=0.15)


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Writes a figure whole or not at all, in the format that its name ends with."""
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix.removeprefix("."), dpi=dpi)
    write_bytes(path, file.getvalue())


def smooth(values: NDArray[np.float64], least: int = 1) -> NDArray[np.float64]:
    """Running mean over the last twentieth of the run (at least `least` points): none smeared forwards."""
    window = max(len(values) // 20, least)
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    means: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return means
