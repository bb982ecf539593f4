"""What a figure of the report is, and what all of them share: width, legends, series out of a run's metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from riskpo.reports.page.palette import DASHES, SERIES, STYLE, Dash
from riskpo.reports.page.record import Record, not_finite
from riskpo.reports.page.texts import is_number

Floats = NDArray[np.float64]
Cell = str | int | float | None

WIDTH, HEIGHT = 4.0, 2.6  # inches: on a phone's 360 px still a legible figure
MOST_POINTS = 400  # of a line; more would not be seen and make the page heavy
_ROWS = 24  # of a table of numbers
_NAME = 30  # characters of a run's name in a legend


@dataclass(frozen=True)
class Drawing:
    """A figure with what is said about it.

    Args:
        key: its name in file names and ids.
        title: a few words.
        caption: one or two sentences: what is drawn, what to look for.
        see: where the docs have the formula.
        panels: one, or one for each run that has something to show, by the run's name.
        columns, rows: the numbers, thinned where there are many.
    """

    key: str
    title: str
    caption: str
    see: str
    panels: dict[str, Figure]
    columns: list[str]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class LeftOut:
    """A figure that cannot be drawn, and why."""

    title: str
    why: str


def new_figure() -> tuple[Figure, Axes]:
    """An empty figure of the report's size."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        return figure, figure.subplots()


def step_axis(axis: Axes, records: Sequence[Record]) -> None:
    """Gives an axis of steps the ends that all figures over steps have: from the first row logged to the last.

    So a line that ends early, as its values are no finite numbers any more, is seen to.
    """
    steps = [row["step"] for record in records for row in record.metrics]
    if steps:
        margin = 0.02 * (max(steps) - min(steps)) or 0.5
        axis.set_xlim(min(steps) - margin, max(steps) + margin)


def series(record: Record, name: str) -> tuple[Floats, Floats]:
    """Steps and values of a metric where it was logged as a finite number."""
    found = [(row["step"], row[name]) for row in record.metrics if is_number(row.get(name))]
    steps, values = np.array(found, dtype=np.float64).T if found else (np.empty(0), np.empty(0))
    return steps, values


def left_out(records: Sequence[Record], metrics: Sequence[tuple[str, str]]) -> str:
    """A sentence on the values of a figure and its table that were logged and are no finite numbers; "" for none.

    Args:
        records: all runs, which are named where there are several.
        metrics: names of metrics, and what the figure calls them.
    """
    parts = []
    for record in records:
        for name, label in metrics:
            bad, logged = not_finite(record, name)
            who = f"{record.name}: " if len(records) > 1 else ""
            parts += [f"{who}{label} in {bad} of {logged} rows"] if bad else []
    return f" Left out, as not finite: {'; '.join(parts)}." if parts else ""


def thinned(*arrays: Floats, most: int = MOST_POINTS) -> list[Floats]:
    """Arrays of one length with at most `most` points: means over neighbours."""
    length = len(arrays[0])
    if length <= most:
        return list(arrays)
    starts = np.arange(most) * length // most
    counts = np.diff(np.append(starts, length))
    return [np.add.reduceat(array, starts) / counts for array in arrays]


def sampled_rows(columns: Sequence[Floats], most: int = _ROWS) -> list[list[Cell]]:
    """Rows of a table of numbers: at most so many, evenly spaced, the last one included."""
    length = len(columns[0])
    chosen = sorted({round(place) for place in np.linspace(0, length - 1, min(most, length))}) if length else []
    return [[float(column[row]) for column in columns] for row in chosen]


def color_of(number: int) -> str:
    return SERIES[number % len(SERIES)]


def dash_of(number: int) -> Dash:
    return DASHES[number % len(DASHES)]


def short(name: str) -> str:
    """A run's name as a legend can hold it."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


Entry = tuple[str, str, Dash, float]


def legend(figure: Figure, entries: Sequence[Entry], columns: int = 4, *, below: bool = False) -> None:
    """A legend above the axes, or below them.

    Args:
        figure: whose.
        entries: label, colour, dash, opacity.
        columns: at most so many.
        below: for a second one, of another kind of entries.
    """
    if not entries:
        return
    with rc_context(STYLE):
        longest = max(len(label) for label, *_ in entries)
        fitting = max(1, min(columns, len(entries), 52 // (longest + 5)))
        ordered = [entry for column in range(fitting) for entry in entries[column::fitting]]  # row by row
        handles = [
            Line2D([], [], color=color, linestyle=dash, linewidth=1.8, alpha=strength)
            for _, color, dash, strength in ordered
        ]
        figure.legend(
            handles,
            [label for label, *_ in ordered],
            loc="outside lower left" if below else "outside upper left",
            ncols=fitting,
            handlelength=1.9,
            columnspacing=1.4,
            borderpad=0.1,
        )
