"""An audit as tables, sentences, JSON and a figure."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from riskpo import __version__
from riskpo.reports.figures import BLUE, GREEN, GREY, ORANGE
from riskpo.reports.findings import findings, is_sure, thresholds
from riskpo.risk.audit import BIN_EDGES, Audit, EstimatorAudit
from riskpo.risk.measured import Measured
from riskpo.risk.presets import PRESETS
from riskpo.rollouts.read import Rollouts

BINS = tuple(f"{low:g}-{high:g}".replace("0.", ".") for low, high in itertools.pairwise(BIN_EDGES))
# Okabe and Ito's remaining colours, and dashes where a panel has more lines than colours.
_COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY, "#000000")
_DASHES = ("-", "--", ":", "-.")


def print_audit(result: Audit, log: Rollouts, ends: tuple[float, float], console: Console) -> None:
    """Tables and findings; 80 columns are enough."""
    for line in _heading(result, log, ends):
        console.print(line, highlight=False, markup=False)
    for table in (weight_table(result), signal_table(result), window_table(result)):
        if table.row_count:
            console.print(table)
    if result.skipped:
        console.print("skipped:", highlight=False)
        for name, why in result.skipped.items():
            console.print(f"  {name}: {why}", highlight=False, markup=False)
    for name, estimator in result.estimators.items():
        if estimator.refused:
            line = f"{name} took {estimator.steps} of {result.replayed} steps: {estimator.refused}"
            console.print(line, highlight=False, markup=False)
    said = findings(result)
    console.print("\nfindings:" if said else "\nfindings: none that the numbers support.", highlight=False)
    for finding in said:
        console.print(f"- {finding.text}", highlight=False, markup=False)


def _heading(result: Audit, log: Rollouts, ends: tuple[float, float]) -> list[str]:
    low, high = log.reward_bounds
    lines = [
        f"{result.rows} scored responses in {result.steps} steps ({log.format})",
        f"rewards from {low:g} to {high:g}, declared {ends[0]:g} to {ends[1]:g}",
        f"prompts all right {result.uniform['all_right']:.1%}, all wrong {result.uniform['all_wrong']:.1%}",
        *log.notes,
    ]
    if result.replayed < result.steps:
        lines.append(f"replayed: {result.replayed} steps of {result.steps}, evenly spaced")
    used = f"redrawn: {result.populations} steps x {result.draws} draws, the logged steps in turn"
    if result.redrawn_prompts < result.prompts:
        used += f", at most {result.redrawn_prompts} of up to {result.prompts} prompts each"
    return [*lines, used]


def weight_table(result: Audit) -> Table:
    """Weight per unit of gradient, by difficulty."""
    table = _table(
        "weight: the multiplier of a prompt's gradient, by its pass rate, all steps pooled; ~: rough, twice its "
        "standard error is above a quarter of the mean weight; -: no prompt there"
    )
    for name in ("weight", *BINS, "mean"):
        table.add_column(name, justify="left" if name == "weight" else "right", no_wrap=True)
    for name, estimator in result.estimators.items():
        scale = abs(estimator.mean_weight.value)
        cells = [_number(weight.value) if is_sure(weight, scale) else _rough(weight) for weight in estimator.weight_b]
        table.add_row(escape(name), *cells, _number(estimator.mean_weight.value))
    return table


def signal_table(result: Audit) -> Table:
    """Noise and signs."""
    table = _table(
        "snr: signal-to-noise of a step's gradient with respect to prompts' logits, and over paper's and dr_grpo's; "
        "+-: twice the standard error of the latter; in %: unif: share of |A| on uniform prompts, r-: right responses "
        "below their prompt's mean A, w+: wrong ones above it, r<0: right ones with A < 0, w>0: wrong ones with A > 0"
    )
    for name in ("signal", "snr", "/paper", "/dr_grpo", "+-", "unif", "r-", "w+", "r<0", "w>0"):
        table.add_column(name, justify="left" if name == "signal" else "right", no_wrap=True)
    for name, estimator in result.estimators.items():
        ratios = [estimator.snr_ratios.get(other) for other in ("paper", "dr_grpo")]
        cells = [_number(ratio.value) if ratio else "-" for ratio in ratios]
        error = _number(2 * ratios[1].error) if ratios[1] else "-"
        shares = (estimator.flips[key] for key in ("right_down", "wrong_up", "right_negative", "wrong_positive"))
        percents = [_percent(share) for share in (estimator.on_uniform, *shares)]
        table.add_row(escape(name), _number(estimator.snr.value), *cells, error, *percents)
    return table


def window_table(result: Audit) -> Table:
    """Tracked quantiles and entropy, for the estimators that have either."""
    logged = any(estimator.entropy for estimator in result.estimators.values())
    table = _table(
        "in %: flat: steps with mean slope < .05, tied: with equal quantiles, unseen: prompts with no past pass rate; "
        + (
            "cov, corr: of log-probability with A (corr mean: with the reward): the larger, the faster entropy falls"
            if logged
            else "entropy: skipped, the log has no column logprob"
        )
    )
    for name in ("windows, entropy", "flat", "tied", "unseen", "cov", "corr", "corr mean"):
        table.add_column(name, justify="left" if name.startswith("windows") else "right", no_wrap=True)
    for name, estimator in result.estimators.items():
        shares = [estimator.flat_windows, estimator.tied_quantiles, estimator.unseen]
        rows = estimator.entropy or {}
        names = ("cov_logp_advantage", "corr_logp_advantage", "corr_logp_mean_advantage")
        entropy = [_number(rows[key].value) if key in rows else "-" for key in names]
        table.add_row(escape(name), *("-" if share is None else _percent(share) for share in shares), *entropy)
    return table


def _table(caption: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", padding=(0, 1, 0, 0), pad_edge=False)


def _rough(weight: Measured) -> str:
    return "-" if math.isnan(weight.value) else f"~{weight.value:.1f}"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if abs(value) < 99.995 else f"{value:.0f}" if abs(value) < 1e5 else f"{value:.0e}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.{0 if share >= 0.0995 else 1}f}"


def audit_json(result: Audit, log: Rollouts, ends: tuple[float, float], seed: int) -> dict[str, Any]:
    """Everything that was measured as plain JSON values; null where a number cannot be told."""
    low, high = log.reward_bounds
    estimators = {name: _plain(dataclasses.asdict(estimator)) for name, estimator in result.estimators.items()}
    reason = None if any(e.entropy for e in result.estimators.values()) else "the log has no column `logprob`"
    return {
        "schema": 2,
        "riskpo": __version__,
        "log": {
            "format": log.format,
            "files": log.files,
            "steps": result.steps,
            "rows": result.rows,
            "rewards": [low, high],
            "notes": log.notes,
        },
        "settings": {
            "seed": seed,
            "reward_range": list(ends),
            "replayed_steps": result.replayed,
            "populations": result.populations,
            "draws": result.draws,
            "redrawn_prompts": result.redrawn_prompts,
            "pool": {"mean": result.pool_mean, "concentration": result.pool_concentration},
        },
        "bins": list(BIN_EDGES),
        "redrawn_prompts_by_bin": list(result.visits_b),
        "uniform": result.uniform,
        "estimators": estimators,
        "skipped": result.skipped,
        "entropy_skipped": reason,
        "findings": [dataclasses.asdict(finding) for finding in findings(result)],
        "thresholds": dict(thresholds()),
    }


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinities."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def audit_figure(result: Audit) -> Figure:
    """Weight by difficulty of presets and of others, with bands of two standard errors; signal-to-noise ratios.

    Lines join neighbouring weights that the table gives as sure; those that it marks as rough are faint rings.
    """
    figure = Figure(figsize=(14.0, 4.6), layout="constrained")
    presets, peers, bars = figure.subplots(1, 3)
    named = result.estimators
    _weights(presets, {name: e for name, e in named.items() if name in PRESETS}, "presets")
    _weights(peers, {name: e for name, e in named.items() if name not in PRESETS}, "estimators")
    _bars(bars, named)
    for axis in (presets, peers, bars):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure


def _weights(axis: Axes, estimators: dict[str, EstimatorAudit], title: str) -> None:
    middles = np.array([(low + high) / 2 for low, high in itertools.pairwise(BIN_EDGES)])
    top = 1.0
    for number, (name, estimator) in enumerate(estimators.items()):
        weights = np.array([weight.value for weight in estimator.weight_b])
        errors = 2 * np.array([weight.error for weight in estimator.weight_b])
        scale = abs(estimator.mean_weight.value)
        sure = np.array([is_sure(weight, scale) for weight in estimator.weight_b])
        color, dash = _COLORS[number % len(_COLORS)], _DASHES[number // len(_COLORS) % len(_DASHES)]
        axis.plot(middles, np.where(sure, weights, np.nan), dash, color=color, linewidth=2, marker=".", label=name)
        rough = ~sure & np.isfinite(weights)
        axis.plot(middles[rough], weights[rough], "o", color=color, markerfacecolor="none", markersize=5, alpha=0.35)
        axis.fill_between(middles, weights - errors, weights + errors, color=color, alpha=0.12, linewidth=0)
        top = max(top, *weights[sure].tolist(), 0.0) if sure.any() else top
    axis.set(xlabel="pass rate of the prompt", ylabel="weight of its gradient", title=title, xlim=(0.0, 1.0))
    axis.set_ylim(-0.05 * top, 1.1 * top)
    if estimators:
        axis.legend(frameon=False, fontsize="x-small", loc="best", ncols=2 if len(estimators) > 8 else 1)


def _bars(axis: Axes, estimators: dict[str, EstimatorAudit]) -> None:
    known = {name: estimator.snr for name, estimator in estimators.items() if math.isfinite(estimator.snr.value)}
    colors = [BLUE if name in PRESETS else GREY for name in known]
    errors = [2 * snr.error if math.isfinite(snr.error) else 0.0 for snr in known.values()]
    axis.barh(list(known), [snr.value for snr in known.values()], xerr=errors, color=colors, height=0.7)
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize="x-small")
    axis.set(xlabel="signal-to-noise of a step's gradient", title="noise")
