"""Tables and figure of the cells that experiments/estimators.py has finished."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from riskpo.evaluation.bounds import LEVEL
from riskpo.evaluation.passk import pass_at_k
from riskpo.evaluation.student import t_quantile

KS = (1, 8, 32)
STAGES = (0, 250, 500, 1000)
CONTROL = "dr_grpo"
CHOSEN = ("two-level", "maxrl", "rs_grpo", "prompt-mvar", "grpo", "dr_grpo", "exact", "pass_at_k", "paper")
WINDOW = 10  # logged steps in a running mean

Cells = dict[str, list[dict[str, Any]]]


def load(results: Path, task: str, variants: list[str]) -> Cells:
    """The finished cells of a task, by variant, in order of seeds."""
    cells: Cells = {}
    for path in sorted((results / task).glob("*.json")):
        cell = json.loads(path.read_text())
        cells.setdefault(cell["variant"], []).append(cell)
    return {variant: sorted(cells[variant], key=lambda c: c["seed"]) for variant in variants if variant in cells}


def length(cell: dict[str, Any]) -> int:
    """Steps of a cell's run."""
    return int(cell["flags"][cell["flags"].index("--max_steps") + 1])


def value(cell: dict[str, Any], steps: int, what: str | int) -> float:
    """pass@k or entropy of a cell's model after so many steps."""
    stage = "before" if steps == 0 else "after" if steps == length(cell) else f"step-{steps:05d}"
    evaluation = cell["evaluations"][stage]
    if what == "entropy":
        return float(evaluation["entropy"])
    return float(pass_at_k(np.array(evaluation["correct"]), evaluation["samples"], int(what)).mean())


def interval(values: list[float]) -> str:
    """Mean and the half-width of its 95 % interval over seeds."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    half = t_quantile(LEVEL, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.3f} ± {half:.3f}"


def paired(cells: Cells, variant: str, steps: int) -> str:
    """Difference of pass@1 to the control, seed by seed: the same base model, training prompts and held-out prompts."""
    control = "dr_grpo, 400 prompts" if variant.endswith("400 prompts") else CONTROL
    if variant == control or control not in cells:
        return ""
    theirs = {cell["seed"]: value(cell, steps, 1) for cell in cells[control]}
    pairs = [value(cell, steps, 1) - theirs[cell["seed"]] for cell in cells[variant] if cell["seed"] in theirs]
    return interval(pairs) if pairs else ""


def table(cells: Cells, steps: int) -> str:
    """Markdown; ± is the half-width of the 95 % interval over seeds (Student's t)."""
    lines = [
        "| estimator | lr | seeds | pass@1 | pass@8 | pass@32 | entropy | pass@1 - dr_grpo's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for variant, found in cells.items():
        if length(found[0]) < steps:
            continue
        columns = [interval([value(cell, steps, what) for cell in found]) for what in (*KS, "entropy")]
        rate = found[0]["learning_rate"]
        lines.append(f"| {variant} | {rate} | {len(found)} | {' | '.join(columns)} | {paired(cells, variant, steps)} |")
    return "\n".join(lines)


def chosen_table(results: Path) -> str:
    """The estimators that see fresh prompts after 1 000 steps, on both tasks: what the recommendation rests on."""
    tasks = {task: load(results, task, list(CHOSEN)) for task in ("chain", "chain-long")}
    lines = [
        "| estimator | "
        + " | ".join(f"{task}: seeds | pass@1 | pass@32 | pass@1 - dr_grpo's" for task in tasks)
        + " |",
        "|" + "---|" * (1 + 4 * len(tasks)),
    ]
    for variant in CHOSEN:
        row = [variant]
        for cells in tasks.values():
            found = cells.get(variant, [])
            if not found:
                row += ["0", "", "", ""]
                continue
            scores = [interval([value(cell, STAGES[-1], k) for cell in found]) for k in (1, 32)]
            row += [str(len(found)), *scores, paired(cells, variant, STAGES[-1])]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def figure(cells: Cells, title: str) -> Figure:
    """pass@k and entropy against steps, entropy and pass@32 against reward or pass@1."""
    drawn = Figure(figsize=(16, 8), layout="constrained")
    axes = drawn.subplots(2, 3).flatten()
    cells = {variant: found for variant, found in cells.items() if length(found[0]) == STAGES[-1]}
    colors = [f"C{n % 10}" for n in range(len(cells))]
    for (variant, found), color in zip(cells.items(), colors, strict=True):
        style = {"color": color, "label": variant, "linestyle": "--" if "400" in variant else "-"}
        for axis, k in zip(axes, KS, strict=False):
            rows = np.array([[value(cell, stage, k) for stage in STAGES] for cell in found])
            axis.plot(STAGES, rows.mean(0), marker="o", markersize=3, **style)
            axis.fill_between(STAGES, rows.min(0), rows.max(0), color=color, alpha=0.08)
            axis.set(xlabel="step", ylabel=f"pass@{k}", ylim=(0, 1))
        steps = np.array(found[0]["metrics"]["step"])
        logged = min(len(cell["metrics"]["step"]) for cell in found)
        reward, entropy = (
            np.mean([_smooth(cell["metrics"][name][:logged]) for cell in found], axis=0)
            for name in ("reward", "entropy")
        )
        axes[3].plot(steps[:logged], entropy, **style)
        axes[4].plot(reward, entropy, **style)
        axes[5].plot(
            [np.mean([value(cell, stage, 1) for cell in found]) for stage in STAGES],
            [np.mean([value(cell, stage, 32) for cell in found]) for stage in STAGES],
            marker="o",
            markersize=3,
            **style,
        )
    axes[3].set(xlabel="step", ylabel="entropy (nats per token)", ylim=(0, None))
    axes[4].set(xlabel="training reward", ylabel="entropy (nats per token)", ylim=(0, None))
    axes[5].set(xlabel="pass@1", ylabel="pass@32")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    axes[2].legend(frameon=False, fontsize=8, loc="lower right", ncols=2)
    drawn.suptitle(f"{title}: means over seeds, band = all seeds")
    return drawn


def _smooth(values: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Running mean over the last WINDOW logged values."""
    sums = np.cumsum(np.insert(np.array(values, dtype=float), 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - WINDOW, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def report(tasks: list[str], variants: list[str], results: Path) -> None:
    """Prints the tables, writes a figure a task, and the table of docs/quickstart.md."""
    for task in tasks:
        cells = load(results, task, variants)
        if not cells:
            print(f"{task}: no cell is finished")
            continue
        for steps in (250, 1000):
            print(f"\n{task}, {steps} steps\n\n{table(cells, steps)}")
        missing = [variant for variant in variants if variant not in cells]
        if missing:
            print(f"\nwithout a finished cell: {', '.join(missing)}")
        figure(cells, task).savefig(results / f"{task}.png", dpi=110)
    write_block("quickstart.md", "estimators", chosen_table(results))
