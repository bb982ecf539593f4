"""Figures that are no lines over steps: the law of bundle scores as it moves, weight by difficulty, pass@k."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from riskpo.evaluation.intervals import Interval, question_interval
from riskpo.evaluation.passk import pass_at_k
from riskpo.reports.figures import BLUE, GREEN, GREY, ORANGE, smooth
from riskpo.reports.findings import is_sure
from riskpo.reports.page.drawing import (
    Cell,
    Drawing,
    Entry,
    Floats,
    LeftOut,
    color_of,
    left_out,
    legend,
    new_figure,
    series,
    short,
    step_axis,
    thinned,
)
from riskpo.reports.page.laws import StepLaw, Window
from riskpo.reports.page.palette import INK, STYLE, Dash
from riskpo.reports.page.record import Record
from riskpo.reports.page.texts import DASH
from riskpo.risk.audit import BIN_EDGES
from riskpo.risk.measured import Measured

_COLUMNS, _ROWS = 60, 24  # cells of a heat map at most
_SEEN = 0.004  # a share of bundles below this is left white
_CURVE = 25  # points of a pass@k curve
_MEAN = "risk/score_mean"
_QUANTILES = (ORANGE, GREEN, *(GREY for _ in range(6)))
BINS = tuple(f"{low:g}{DASH}{high:g}" for low, high in itertools.pairwise(BIN_EDGES))

LAW = "Tracked quantiles over the scores"
WEIGHT = "Weight by difficulty as it evolves"
PASS = "pass@k before and after"


def score_map(
    records: Sequence[Record], laws: Mapping[str, list[StepLaw]], why: Mapping[str, str]
) -> Drawing | LeftOut:
    """A heat map of bundle scores by step, with tracked quantiles and mean: one panel a run.

    Args:
        records: all runs.
        laws: of each run by name; absent or empty where there are none.
        why: for those, the reason.
    """
    shown = [record for record in records if laws.get(record.name)]
    if not shown:
        return LeftOut(LAW, _reasons(records, why, several=len(records) > 1))
    grids = {record.name: _grid(laws[record.name], record.last_step) for record in shown}
    top = max(float(grid.shares.max()) for grid in grids.values())
    panels = {}
    rows: list[list[Cell]] = []
    for record in shown:
        panels[record.name] = _law_panel(record, records, grids[record.name], top)
        found = laws[record.name]
        means: list[list[Cell]] = [[record.name, law.step, law.law.mean(), law.law.std()] for law in found]
        picked = sorted({round(i) for i in np.linspace(0, len(means) - 1, min(12, len(means)))})
        rows += [means[place] if len(records) > 1 else means[place][1:] for place in picked]
    caption = (
        "Each column is the law of the bundle scores of a logged step, stronger where more bundles lie (strongest: "
        f"{top:.0%}); the lines are the quantiles that the estimator tracks. Between them a score has slope. They "
        "should move with the mass; where two of them meet, or all mass lies outside, the step teaches little."
    )
    missing = [record for record in records if record not in shown]
    caption += f" Not shown: {_reasons(missing, why, several=True)}." if missing else ""
    tracked = sorted({name for record in shown for name in _tracked(record)}, reverse=True)
    lines = [*((name, name.removeprefix("risk/")) for name in tracked), (_MEAN, "mean score")]
    caption += left_out(shown, lines)
    columns = [*(["run"] if len(records) > 1 else []), "step", "mean score", "standard deviation"]
    return Drawing("scores", LAW, caption, "docs/method.md, sections 1 and 9", panels, columns, rows)


def _reasons(records: Sequence[Record], why: Mapping[str, str], *, several: bool) -> str:
    if not several:
        return why.get(records[0].name, "too little was logged")
    return "; ".join(f"{record.name}: {why.get(record.name, 'no completions')}" for record in records)


@dataclass(frozen=True)
class _Grid:
    """Shares of bundles by column (steps) and row (scores), with the edges of both."""

    sides: Floats
    edges: Floats
    shares: Floats


def _grid(laws: Sequence[StepLaw], last_step: int) -> _Grid:
    """The cells, which end where the run does: half a step before its first and after its last one."""
    edges = _score_edges(laws)
    steps = np.array([law.step for law in laws], dtype=np.float64)
    parts = np.array_split(np.arange(len(laws)), min(_COLUMNS, len(laws)))
    shares = np.stack([np.mean([_binned(laws[i], edges) for i in part], axis=0) for part in parts])
    middles = np.array([steps[part].mean() for part in parts])
    between = (middles[1:] + middles[:-1]) / 2
    first, last = (between[0] - middles[0], middles[-1] - between[-1]) if len(between) else (0.5, 0.5)
    sides = np.concatenate([[middles[0] - first], between, [middles[-1] + last]])
    return _Grid(np.clip(sides, 0.5, max(last_step, laws[-1].step) + 0.5), edges, shares)


def _law_panel(record: Record, records: Sequence[Record], grid: _Grid, top: float) -> Figure:
    """The heat map of a run: opacity of one colour, so that it reads the same on light and dark ground."""
    cells, colors = [], []
    for (column, row), share in np.ndenumerate(grid.shares):
        if share > _SEEN:
            (left, right), (low, high) = grid.sides[column : column + 2], grid.edges[row : row + 2]
            cells.append([(left, low), (right, low), (right, high), (left, high)])
            colors.append((*to_rgb(BLUE), round(0.08 + 0.77 * float(share) / top, 2)))
    figure, axis = new_figure()
    with rc_context(STYLE):
        axis.add_collection(PolyCollection(cells, facecolors=colors, edgecolors="none", linewidths=0.0))
        axis.yaxis.set_major_locator(MaxNLocator(6, integer=record.reward_ends == (0.0, 1.0)))
        entries = _quantile_lines(axis, record)
        axis.set(xlabel="step", ylabel="bundle score", ylim=(grid.edges[0], grid.edges[-1]))
        axis.set_xlim(grid.sides[0], grid.sides[-1])
        step_axis(axis, records)
        axis.grid(False)
    legend(figure, entries)
    return figure


def _score_edges(laws: Sequence[StepLaw]) -> Floats:
    """Edges of the rows: around each score where they are few, else even ones."""
    values = np.unique(np.concatenate([law.law.values_N.numpy() for law in laws]).round(9))
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    if len(values) <= _ROWS:
        between = (values[1:] + values[:-1]) / 2
        return np.concatenate([[2 * values[0] - between[0]], between, [2 * values[-1] - between[-1]]])
    return np.linspace(values[0], values[-1], _ROWS + 1)


def _binned(law: StepLaw, edges: Floats) -> Floats:
    shares: Floats = np.histogram(law.law.values_N.numpy(), bins=edges, weights=law.law.probs_N.numpy())[0]
    return shares


def _tracked(record: Record) -> list[str]:
    return sorted({key for row in record.metrics for key in row if key.startswith("risk/q_")}, reverse=True)


def _quantile_lines(axis: Axes, record: Record) -> list[Entry]:
    """Draws what is tracked, and the mean; returns the entries of the legend."""
    entries: list[Entry] = []
    for name, color in zip(_tracked(record), _QUANTILES, strict=False):
        steps, values = series(record, name)
        if len(steps):
            axis.plot(*thinned(steps, values), color=color, linewidth=1.8)
            entries.append((name.removeprefix("risk/"), color, "-", 1.0))
    steps, means = series(record, _MEAN)
    if len(steps):
        axis.plot(*thinned(steps, smooth(means, 5)), ":", color=INK, linewidth=1.2)
        entries.append(("mean score", INK, ":", 1.0))
    return entries


def weight_map(
    records: Sequence[Record], windows: Mapping[str, list[Window]], why: Mapping[str, str]
) -> Drawing | LeftOut:
    """Weight of a prompt's gradient by its pass rate, a line for each window of steps, a panel for each run."""
    shown = [record for record in records if any(_sure_bins(w) for w in windows.get(record.name, []))]
    if not shown:
        return LeftOut(WEIGHT, _reasons(records, why, several=len(records) > 1))
    panels = {}
    rows: list[list[Cell]] = []
    middles = np.array([(low + high) / 2 for low, high in itertools.pairwise(BIN_EDGES)])
    for record in shown:
        found = windows[record.name]
        strengths = [0.25 + 0.75 * (number + 1) / len(found) for number in range(len(found))]
        figure, axis = new_figure()
        with rc_context(STYLE):
            tops = [
                _weight_line(axis, middles, w, s, last=w is found[-1]) for w, s in zip(found, strengths, strict=True)
            ]
            axis.set(xlabel="pass rate of the prompt", ylabel="weight", xlim=(0.0, 1.0))
            axis.set_ylim(min(0.0, axis.get_ylim()[0]), 1.15 * max(tops))
        labels = [_steps(window) for window in found]
        legend(figure, [(label, BLUE, "-", strength) for label, strength in zip(labels, strengths, strict=True)], 3)
        panels[record.name] = figure
        for label, window in zip(labels, found, strict=True):
            cells: list[Cell] = [label.split(" ")[1], *(_told(weight) for weight in window.weight_b)]
            rows.append([record.name, *cells] if len(records) > 1 else cells)
    caption = (
        "What the estimator multiplies a prompt's gradient with, by the prompt's pass rate, in windows of steps, faint "
        "(first) to strong (last); the band is two standard errors of the last. Flat: all prompts count alike; falling "
        "to the right: hard ones count more; the height is a matter of learning rate. Measured as riskpo audit does."
    )
    missing = [record for record in records if record not in shown]
    caption += f" Not shown: {_reasons(missing, why, several=True)}." if missing else ""
    columns = [*(["run"] if len(records) > 1 else []), "steps", *(f"pass rate {name}" for name in BINS)]
    return Drawing("weight", WEIGHT, caption, "docs/method.md, sections 2 and 3", panels, columns, rows)


def _steps(window: Window) -> str:
    if window.first == window.last:
        return f"step {window.first}"
    return f"steps {window.first}{DASH}{window.last}"


def _sure_bins(window: Window) -> list[int]:
    scale = abs(window.mean_weight.value)
    return [b for b, weight in enumerate(window.weight_b) if is_sure(weight, scale)]


def _weight_line(axis: Axes, middles: Floats, window: Window, strength: float, *, last: bool) -> float:
    """Draws a window's line over the bins that can be told; returns the height that it needs."""
    sure = _sure_bins(window)
    values = np.array([window.weight_b[b].value for b in sure])
    if not sure:
        return 0.0
    axis.plot(middles[sure], values, marker="o", markersize=3, color=BLUE, alpha=strength, linewidth=1.6)
    if last:
        errors = 2 * np.array([window.weight_b[b].error for b in sure])
        axis.fill_between(middles[sure], values - errors, values + errors, color=BLUE, alpha=0.12, linewidth=0)
    return float(values.max())


def _told(weight: Measured) -> float | None:
    return None if math.isnan(weight.value) else weight.value


def pass_curves(records: Sequence[Record]) -> Drawing | LeftOut:
    """pass@k of every evaluation of each run, with 95 % bands over questions."""
    shown = [record for record in records if record.evaluations]
    if not shown:
        return LeftOut(PASS, "no held-out prompts were evaluated (eval_prompts)")
    figure, axis = new_figure()
    rows: list[list[Cell]] = []
    entries: list[Entry] = []
    several = len(records) > 1
    most = 1
    with rc_context(STYLE):
        for record in shown:
            color = color_of(list(records).index(record))
            for name, evaluation in _in_order(record.evaluations):
                line, dash = (color, "--" if name == "before" else "-") if several else _of_one(name)
                _pass_line(axis, evaluation, line, dash, faint=name.startswith("step-"))
                rows += [[*([record.name] if several else []), name, *cells] for cells in _pass_rows(evaluation)]
                most = max(most, evaluation["samples"])
                if not several and not name.startswith("step-"):
                    entries.append((name, line, dash, 1.0))
        axis.set(xscale="log", xlabel="k", ylabel="pass@k", ylim=(-0.02, 1.02))
        axis.set_xticks([2**power for power in range(most.bit_length()) if 2**power <= most])
        axis.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
        axis.minorticks_off()
    if several:
        entries = [(short(r.name), color_of(list(records).index(r)), "-", 1.0) for r in shown]
        entries += [("before", GREY, "--", 1.0), ("after", GREY, "-", 1.0)]
    legend(figure, entries)
    caption = (
        "Chance that at least one of k samples of a held-out prompt is right; bands are 95 % intervals over prompts. "
        "Lines that cross mean that training sharpened what the model could do already, and lost some of the rest."
    )
    missing = [record.name for record in records if record not in shown]
    unfinished = [record.name for record in shown if "after" not in record.evaluations]
    caption += f" Not evaluated: {', '.join(missing)}." if missing else ""
    caption += f" Not evaluated after training: {', '.join(unfinished)}." if unfinished else ""
    columns = [*(["run"] if several else []), "evaluation", "k", "pass@k", "low", "high"]
    return Drawing("passk", PASS, caption, "docs/evaluation.md", {"": figure}, columns, rows)


def _in_order(evaluations: Mapping[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    order = {"before": 0, "after": 2}
    return sorted(evaluations.items(), key=lambda item: (order.get(item[0], 1), item[0]))


def _of_one(name: str) -> tuple[str, Dash]:
    known: dict[str, tuple[str, Dash]] = {"before": (GREY, "--"), "after": (BLUE, "-")}
    return known.get(name, (BLUE, ":"))


def _intervals(evaluation: Mapping[str, Any], ks: Sequence[int]) -> list[Interval]:
    correct_Q = np.array(evaluation["correct"], dtype=np.int64)
    samples = int(evaluation["samples"])
    return [question_interval(pass_at_k(correct_Q, samples, k)) for k in ks]


def _pass_line(axis: Axes, evaluation: Mapping[str, Any], color: str, dash: Dash, *, faint: bool) -> None:
    ks = np.unique(np.geomspace(1, int(evaluation["samples"]), _CURVE).round().astype(int))
    found = _intervals(evaluation, ks.tolist())
    axis.plot(ks, [one.mean for one in found], dash, color=color, alpha=0.5 if faint else 1.0)
    if not faint and all(one.low is not None for one in found):
        lows, highs = ([getattr(one, end) for one in found] for end in ("low", "high"))
        axis.fill_between(ks, lows, highs, color=color, alpha=0.14, linewidth=0)


def _pass_rows(evaluation: Mapping[str, Any]) -> list[list[Cell]]:
    samples = int(evaluation["samples"])
    ks = [2**power for power in range(samples.bit_length()) if 2**power <= samples]
    return [[k, one.mean, one.low, one.high] for k, one in zip(ks, _intervals(evaluation, ks), strict=True)]
