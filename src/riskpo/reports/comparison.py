"""A comparison as tables, Markdown and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich import box
from rich.console import Console
from rich.table import Table

from riskpo.atomic import write_json, write_text
from riskpo.comparison.grid import REPORT
from riskpo.reports.figures import save_figure

# Okabe and Ito's colours, without the yellow that is too light for a line.
_COLORS = ("#777777", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
# The gaps of each let what lies beneath be seen.
_STYLES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 2)), (0, (6, 2, 1, 2)))
_MARKED = 6  # points of a curve
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FILES = (REPORT, "comparison.md", "comparison.png")

Rows = list[list[str]]


def write_comparison(summary: dict[str, Any], folder: Path) -> None:
    """Writes comparison.json, comparison.md and comparison.png. The caller holds the lock of the folder."""
    write_json(folder / FILES[0], summary)
    write_text(folder / FILES[1], markdown(summary))
    save_figure(comparison_figure(summary), folder / FILES[2], 130)


def print_comparison_of_estimators(summary: dict[str, Any], console: Console) -> None:
    """The tables, and the sentences of what may be concluded."""
    for title, header, rows in _tables(summary):
        table = Table(box=box.SIMPLE, title=title, title_justify="left", collapse_padding=True, pad_edge=False)
        widest = max(len(row[0]) for row in rows) if rows else 0
        for number, name in enumerate(header):  # labels keep their width: a column that may wrap can shrink to nothing
            table.add_column(name, no_wrap=number > 0, overflow="fold", min_width=0 if number else min(widest, 6))
        for row in rows:
            table.add_row(*(cell.replace(" [", "\n[") if "pass@" in "".join(header) else cell for cell in row))
        console.print(table, markup=False)
    for line in [*summary["sentences"], *(f"note: {note}" for note in summary["notes"])]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def markdown(summary: dict[str, Any]) -> str:
    """The same for a page."""
    parts = [f"# {summary['recipe']}: {', '.join(summary['entries'])}"]
    for title, header, rows in _tables(summary):
        lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
        parts.append(f"{title}\n\n" + "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]))
    parts.append("## What may be concluded")
    parts.append("\n".join(f"- {sentence}" for sentence in summary["sentences"]))
    if summary["notes"]:
        parts.append("## Notes")
        parts.append("\n".join(f"- {note}" for note in summary["notes"]))
    methods = "\n".join(f"- {label}: {entry['method']}" for label, entry in summary["entries"].items())
    parts.append(f"## Entries\n\n{methods}\n\n![curves]({FILES[2]})")
    return "\n\n".join(parts) + "\n"


def _tables(summary: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    found = [_scores(summary)]
    if len(summary["entries"]) > 1:
        found.append(_differences(summary))
    if summary["tuning"] is not None:
        found.append(_trials(summary))
    return found


def _scores(summary: dict[str, Any]) -> tuple[str, list[str], Rows]:
    names = summary["scores"]
    over = {score["source"] for entry in summary["entries"].values() for score in entry["scores"].values()}
    what = {"runs": "seeds", "questions": "questions"}
    title = f"pass@k after training on {summary['prompts']} held-out prompts x {summary['samples']} samples"
    title += f"; 95 % intervals over {' or '.join(sorted(what[one] for one in over))}" if over else ""
    rows = []
    if summary["before"]:
        rows.append(["before", "", "", *(f"{summary['before'][name]:.3f}" for name in names), ""])
    for label, entry in summary["entries"].items():
        cells = [_score(entry["scores"].get(name)) for name in names]
        entropy = "-" if entry["entropy"] is None else f"{entry['entropy']:.3f}"
        rows.append([label, entry["learning_rate"] or "-", str(len(entry["done"])), *cells, entropy])
    return title, ["", "lr", "seeds", *names, "entropy"], rows


def _score(score: dict[str, Any] | None) -> str:
    if score is None:
        return "-"
    bounds = "" if score["low"] is None else f" [{score['low']:.3f}, {score['high']:.3f}]"
    return f"{score['mean']:.3f}{bounds}"


def _differences(summary: dict[str, Any]) -> tuple[str, list[str], Rows]:
    rows = []
    for metric, contrasts in summary["contrasts"].items():
        for one in contrasts:
            if one["difference"] is None:
                rows.append([one["entry"], metric, "-", "-", "-", "-", one["outcome"]])
                continue
            bounds = "-" if one["low"] is None else f"[{one['low']:+.3f}, {one['high']:+.3f}]"
            units = f"{one['units']} {one['over']}"
            difference, said = f"{one['difference']:+.3f}", one["outcome"].replace("not distinguishable", "-")
            rows.append([one["entry"], metric, units, difference, bounds, _p(one["p_holm"]), said])
    title = f"paired differences to {summary['baseline']}; p corrected for the number of entries (Holm)"
    title += "; -: not distinguishable"
    return title, ["", "score", "over", "difference", "95 %", "p", ""], rows


def _p(p: float | None) -> str:
    """A dash where no test was possible."""
    if p is None:
        return "-"
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"


def _trials(summary: dict[str, Any]) -> tuple[str, list[str], Rows]:
    tuning = summary["tuning"]
    rows = []
    for label, choice in tuning["entries"].items():
        for rate in sorted([*choice["trials"], *choice["missing"]], key=float):
            score = choice["trials"].get(rate)
            chosen = "chosen" if rate == choice["chosen"] else ""
            edge = f", the {choice['at_edge']}" if chosen and choice["at_edge"] else ""
            rows.append([label, rate, "-" if score is None else f"{score:.3f}", chosen + edge])
    title = f"learning rates, tried on other prompts ({' '.join(tuning['options'])}), seed {tuning['seed']}"
    return title, ["", "lr", "pass@1", ""], rows


def comparison_figure(summary: dict[str, Any]) -> Figure:
    """Mean reward and entropy over steps with bands over seeds, and pass@k after training with its intervals.

    Curves that are equal lie on each other: the later is dashed and thinner, and the marks of each stand elsewhere.
    """
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    reward, entropy, scores = figure.subplots(1, 3)
    names = summary["scores"]
    for number, (label, entry) in enumerate(summary["entries"].items()):
        look = _look(number, len(summary["entries"]))
        for axis, name in ((reward, "reward"), (entropy, "entropy")):
            _curve(axis, entry["curves"].get(name), label, look, number / len(summary["entries"]))
        _points(scores, [entry["scores"].get(name) for name in names], number, len(summary["entries"]), look)
    reward.set(xlabel="step", ylabel="mean reward")
    entropy.set(xlabel="step", ylabel="entropy (nats per token)")
    scores.set(ylabel="after training", ylim=(0, 1))
    scores.set_xticks(range(len(names)), names)
    for axis in (reward, entropy):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (reward, entropy, scores):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    if reward.get_legend_handles_labels()[0]:
        reward.legend(frameon=False, fontsize=8, handlelength=3.5)
    several = any(len(entry["done"]) > 1 for entry in summary["entries"].values())
    figure.suptitle(f"{summary['recipe']}: mean of the runs" + (", 95 % bands over seeds" if several else ", one seed"))
    return figure


def _look(number: int, entries: int) -> dict[str, Any]:
    """Of the lines of an entry. The first one is solid and the widest."""
    thinner = 1.4 * number / max(entries - 1, 1)
    return {
        "color": _COLORS[number % len(_COLORS)],
        "linestyle": _STYLES[number % len(_STYLES)],
        "linewidth": 2.8 - thinner,
        "marker": _MARKERS[number % len(_MARKERS)],
        "alpha": 0.85,
    }


def _curve(axis: Axes, curve: dict[str, Any] | None, label: str, look: dict[str, Any], shift: float) -> None:
    """A line with a few marks, those of each entry shifted by another part of the distance between them."""
    if not curve or not curve["steps"]:
        return
    every = max(len(curve["steps"]) // _MARKED, 1)
    first = round(shift * every) if len(curve["steps"]) > every else 0
    axis.plot(curve["steps"], curve["mean"], label=label, markersize=5, markevery=(first, every), **look)
    if curve["low"]:
        axis.fill_between(curve["steps"], curve["low"], curve["high"], color=look["color"], alpha=0.12, linewidth=0)


def _points(axis: Axes, scores: list[Any], number: int, entries: int, look: dict[str, Any]) -> None:
    """pass@k with its interval, the entries of each k beside each other."""
    place = (number - (entries - 1) / 2) * 0.8 / entries
    for at, score in enumerate(scores):
        if score is None:
            continue
        if score["low"] is not None:
            axis.plot([at + place] * 2, [score["low"], score["high"]], color=look["color"], linewidth=1.8)
        axis.plot([at + place], [score["mean"]], look["marker"], color=look["color"], markersize=5)
