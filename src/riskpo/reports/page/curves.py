"""Figures of what was logged at every step: one line a run, or one a metric where there is one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes

from riskpo.reports.figures import GREY, smooth
from riskpo.reports.page.drawing import (
    Cell,
    Drawing,
    Entry,
    Floats,
    LeftOut,
    color_of,
    dash_of,
    left_out,
    legend,
    new_figure,
    sampled_rows,
    series,
    short,
    step_axis,
    thinned,
)
from riskpo.reports.page.palette import STYLE
from riskpo.reports.page.record import Record, not_finite
from riskpo.reports.page.texts import is_number

_LEAST = 5  # points of a running mean, so that a short run is no scribble
_NEAR = 3.0  # a limit at most so many times as high as the figure is drawn into it
_MANY = 30  # points from which on a line is smoothed, with the values behind it


@dataclass(frozen=True)
class Curves:
    """A figure of metrics against steps.

    Args:
        key, title, caption, see: of the `Drawing`.
        metrics: name of the metric, and what the legend calls it.
        unit: of the vertical axis.
        ends: of the vertical axis; None: where the values end.
        needs: what has to be done for a run to log any of these.
        limit: the option that is drawn as a line, with the metrics' unit.
        only_if_any: numbers of metrics that are left out where they are 0 throughout.
    """

    key: str
    title: str
    caption: str
    see: str
    metrics: tuple[tuple[str, str], ...]
    unit: str
    ends: tuple[float | None, float | None] = (None, None)
    needs: str = ""
    only_if_any: tuple[int, ...] = ()
    limit: str = ""


@dataclass(frozen=True)
class Line:
    """A metric of a run: which of the figure's metrics, its name in the legend, steps and values."""

    run: int
    number: int
    label: str
    steps: Floats
    values: Floats


COVARIANCES = "log_covariances=True logs them where the trainer does not know log-probabilities anyway"
NO_STEP = "no step was logged yet"
ENGINE = "TRL's metric; docs/method.md, section 9"
CURVES = (
    Curves(
        "reward",
        "Reward",
        "Mean reward of the step's responses, on training prompts. It should rise and then settle; a sudden fall is a "
        "policy that broke, and a plateau at once is a step too small or prompts that teach nothing.",
        "docs/method.md, section 1",
        (("reward", "mean reward"),),
        "mean reward",
    ),
    Curves(
        "entropy",
        "Entropy over steps",
        "Entropy of the policy's next token, averaged over tokens. A fall to 0 while the reward still rises means that "
        "the policy stops trying other answers.",
        "docs/method.md, section 9, Entropy",
        (("entropy", "entropy"),),
        "nats per token",
        (0.0, None),
    ),
    Curves(
        "measures",
        "Risk measures of the bundle score",
        "Mean score of the worst share of bundles (CVaR), of the middle (RVaR), of all, and the paper's objective "
        "(MVaR). Risk aversion shows where CVaR rises before the mean does.",
        "docs/method.md, section 9, Of the score law",
        (
            ("risk/mvar", "MVaR"),
            ("risk/rvar_mid", "RVaR, middle"),
            ("risk/cvar_low", "CVaR, lower tail"),
            ("risk/score_mean", "mean score"),
        ),
        "bundle score",
        needs="peers and the released code score no bundles",
    ),
    Curves(
        "shares",
        "Shares without signal",
        "Shares of responses with advantage 0, and of prompts whose responses are all wrong or all right. What they "
        "take up, the step cannot learn from.",
        "docs/method.md, section 9, Of the step",
        (
            ("risk/frac_zero_advantage", "advantage 0"),
            ("risk/frac_uniform_prompts_all_wrong", "prompts all wrong"),
            ("risk/frac_uniform_prompts_all_right", "prompts all right"),
            ("risk/frac_unscorable", "not judged"),
        ),
        "share",
        (0.0, 1.0),
        only_if_any=(3,),
    ),
    Curves(
        "clipping",
        "Clip ratios",
        "Share of the loss's ratios that were clipped from below, from above, and at all. Near 0: the clip does "
        "nothing; far above a tenth: steps are larger than the samples can justify.",
        ENGINE,
        (
            ("clip_ratio/low_mean", "below"),
            ("clip_ratio/high_mean", "above"),
            ("clip_ratio/region_mean", "either"),
        ),
        "share",
        (0.0, None),
        "with one update a generation nothing is clipped, and some losses have no clip",
    ),
    Curves(
        "lengths",
        "Lengths of completions",
        "Tokens of a completion: mean, longest, shortest. A mean that creeps towards the limit means answers that are "
        "cut before they end.",
        ENGINE,
        (
            ("completions/mean_length", "mean"),
            ("completions/max_length", "longest"),
            ("completions/min_length", "shortest"),
        ),
        "tokens",
        (0.0, None),
        limit="max_completion_length",
    ),
    Curves(
        "truncated",
        "Completions cut at the limit",
        "Share of completions that reached max_completion_length without an end. They are judged as they stand.",
        ENGINE,
        (("completions/clipped_ratio", "cut"),),
        "share",
        (0.0, None),
    ),
    Curves(
        "covariance",
        "Covariance with log-probability",
        "Covariance of a response's log-probability with its advantage, and with the mean objective's. A step changes "
        "entropy by minus the learning rate times it: the larger, the faster entropy falls.",
        "docs/method.md, section 9, Entropy",
        (
            ("risk/cov_logp_advantage", "advantage"),
            ("risk/cov_logp_mean_advantage", "mean objective's"),
        ),
        "covariance",
        needs=COVARIANCES,
    ),
    Curves(
        "correlation",
        "Correlation with log-probability",
        "The covariances over the spreads of both, so that estimators of different scale compare. The paper's claim is "
        "that RiskPO's lies below the mean objective's.",
        "docs/method.md, section 9, Entropy",
        (
            ("risk/corr_logp_advantage", "advantage"),
            ("risk/corr_logp_mean_advantage", "mean objective's"),
        ),
        "correlation",
        needs=COVARIANCES,
    ),
    Curves(
        "gradient",
        "Norm of the gradient",
        "Before it is clipped at max_grad_norm. Spikes go with broken batches; a norm far above the clip means that "
        "the learning rate is not what sets the step.",
        ENGINE,
        (("grad_norm", "norm"),),
        "norm",
        (0.0, None),
        limit="max_grad_norm",
    ),
)


def draw_curves(spec: Curves, records: Sequence[Record]) -> Drawing | LeftOut:
    """Draws what there is of a figure's metrics; `LeftOut` where no run has any."""
    lines = [
        Line(run, number, label, *series(record, metric))
        for run, record in enumerate(records)
        for number, (metric, label) in enumerate(spec.metrics)
    ]
    lines = [line for line in lines if len(line.steps) and (line.values.any() or line.number not in spec.only_if_any)]
    if not lines:
        if not any(record.metrics for record in records):
            return LeftOut(spec.title, NO_STEP)
        if said := left_out(records, spec.metrics):
            return LeftOut(spec.title, f"no finite number was logged:{said}")
        names = ", ".join(metric for metric, _ in spec.metrics)
        return LeftOut(spec.title, f"not logged: {names}" + (f" ({spec.needs})" if spec.needs else ""))
    figure, axis = new_figure()
    several = len(records) > 1
    with rc_context(STYLE):
        for line in lines:
            # Dashed lines over a solid one: where they coincide, each is still seen.
            color, dash = color_of(line.run if several else line.number), dash_of(line.number)
            width = 1.6 + 0.7 * min(len(records) - 1 - line.run, 2)  # a run drawn later lies narrower on the one before
            many = len(line.steps) >= _MANY
            if many and (not several or len(spec.metrics) == 1):
                axis.plot(*thinned(line.steps, line.values), color=color, alpha=0.25, linewidth=0.8)
            axis.plot(
                *thinned(line.steps, smooth(line.values, _LEAST) if many else line.values),
                linestyle=dash,
                linewidth=width,
                color=color,
            )
        axis.set(xlabel="step", ylabel=spec.unit)
        step_axis(axis, records)
        limits = _draw_limits(axis, spec, records)
        _set_ends(axis, spec.ends)
    runs, metrics = _entries(spec, records, lines)
    legend(figure, runs or metrics)
    legend(figure, metrics if runs else [], below=True)
    columns, rows = _numbers(records, lines)
    return Drawing(spec.key, spec.title, _missing(spec, records, lines) + limits, spec.see, {"": figure}, columns, rows)


def _entries(spec: Curves, records: Sequence[Record], lines: Sequence[Line]) -> tuple[list[Entry], list[Entry]]:
    """What colours say of runs, where there are several, and what dashes say of metrics."""
    numbers = sorted({line.number for line in lines})
    several = len(records) > 1
    metrics: list[Entry] = [(spec.metrics[n][1], GREY if several else color_of(n), dash_of(n), 1.0) for n in numbers]
    runs: list[Entry] = [
        (short(records[run].name), color_of(run), "-", 1.0) for run in sorted({line.run for line in lines})
    ]
    return runs if several else [], metrics if len(numbers) > 1 else []


def _draw_limits(axis: Axes, spec: Curves, records: Sequence[Record]) -> str:
    """Draws the runs' limit on a figure's metrics where it is near them; what the caption says of it."""
    given: list[Any] = [record.arguments.get(spec.limit) for record in records]
    values = sorted({float(value) for value in given if is_number(value) and value > 0})
    top = axis.get_ylim()[1]
    for value in values:
        if value <= _NEAR * top:
            axis.axhline(value, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    far = " and lies above the figure" if values and values[-1] > _NEAR * top else ""
    return f" {spec.limit} is {', '.join(f'{value:g}' for value in values)}{far or ' (grey line)'}." if values else ""


def _set_ends(axis: Axes, ends: tuple[float | None, float | None]) -> None:
    low, high = axis.get_ylim()
    wanted_low, wanted_high = ends
    if wanted_high is not None:
        axis.set_ylim(-0.02, wanted_high + 0.02)
    elif wanted_low is not None:
        # A line of nothing but zeros gets a visible axis of its own.
        axis.set_ylim(wanted_low - 0.02 * (high or 1.0), high if high > 1e-9 and low != -high else 0.1)


def _missing(spec: Curves, records: Sequence[Record], lines: Sequence[Line]) -> str:
    """The caption, with the runs that have nothing to show here, and the values that are none."""
    drawn = {line.run for line in lines}
    said = left_out(records, spec.metrics)
    without = [
        record.name
        for run, record in enumerate(records)
        if run not in drawn and not any(not_finite(record, metric)[0] for metric, _ in spec.metrics)
    ]
    return spec.caption + (f" Not logged by {', '.join(without)}." if without else "") + said


def _numbers(records: Sequence[Record], lines: Sequence[Line]) -> tuple[list[str], list[list[Cell]]]:
    """A table with the steps of each run below each other, and a column a metric."""
    labels = list(dict.fromkeys(line.label for line in lines))
    rows: list[list[Cell]] = []
    for run, record in enumerate(records):
        own = {line.label: (line.steps, line.values) for line in lines if line.run == run}
        if not own:
            continue
        steps = max((found[0] for found in own.values()), key=len)
        at = {label: dict(zip(*map(list, found), strict=True)) for label, found in own.items()}
        columns = [np.array([at.get(label, {}).get(step, np.nan) for step in steps]) for label in labels]
        most = max(24 // len(records), 6)
        for row in sampled_rows([steps, *columns], most):
            shown: list[Cell] = [int(row[0]), *row[1:]]  # type: ignore[arg-type]
            rows.append([record.name, *shown] if len(records) > 1 else shown)
    return [*(["run"] if len(records) > 1 else []), "step", *labels], rows


def entropy_against_reward(records: Sequence[Record]) -> Drawing | LeftOut:
    """Entropy where the reward stood: methods that differ in speed can be compared."""
    title, names = "Entropy against reward", ("reward", "entropy")
    said = left_out(records, [(name, name) for name in names])
    paths = []
    for run, record in enumerate(records):
        both = [
            (row["step"], row["reward"], row["entropy"])
            for row in record.metrics
            if all(is_number(row.get(name)) for name in names)
        ]
        if both:
            steps, rewards, entropies = np.array(both, dtype=np.float64).T
            paths.append((run, steps, smooth(rewards, _LEAST), smooth(entropies, _LEAST)))
    if not paths:
        logged = any(record.metrics for record in records)
        return LeftOut(title, f"not logged together: reward, entropy{said and '.'}{said}" if logged else NO_STEP)
    figure, axis = new_figure()
    columns, rows = [*(["run"] if len(records) > 1 else []), "step", "reward", "entropy"], []
    with rc_context(STYLE):
        for run, steps, rewards, entropies in paths:
            color = color_of(run)
            x, y = thinned(rewards, entropies)
            axis.plot(x, y, color=color)
            axis.plot(x[:1], y[:1], "o", color=color, markerfacecolor="none", markersize=5)
            axis.plot(x[-1:], y[-1:], "o", color=color, markersize=5)
            name = [records[run].name] if len(records) > 1 else []
            found = sampled_rows([steps, rewards, entropies], max(24 // len(records), 6))
            rows += [[*name, int(row[0]), *row[1:]] for row in found]  # type: ignore[arg-type]
        axis.set(xlabel="mean reward", ylabel="nats per token")
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    if len(records) > 1:
        legend(figure, [(short(records[run].name), color_of(run), "-", 1.0) for run, *_ in paths])
    caption = (
        "The path of a run from its beginning (ring) to its end (dot), as running means. At the same reward, the run "
        "that lies higher has kept more of its variety."
    ) + said
    return Drawing("entropy-reward", title, caption, "docs/method.md, section 9, Entropy", {"": figure}, columns, rows)
