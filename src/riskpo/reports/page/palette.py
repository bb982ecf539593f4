"""The colours of figures, Okabe and Ito's, each with a name that a style sheet can give another value."""

from __future__ import annotations

from typing import Any

from riskpo.reports.figures import BLUE, GREEN, GREY, ORANGE

PINK, YELLOW, SKY, INK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
# Lines, in the order in which they are given out. Black and grey belong to axes and references.
SERIES = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY)
Dash = Any  # of Matplotlib's literal names for dashes
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
MUTED, FAINT = "#555555", "#DDDDDD"

# Colour in a figure to CSS class on the page, where light and dark give it a value (page.css).
CLASSES = {
    BLUE: "c1",
    ORANGE: "c2",
    GREEN: "c3",
    PINK: "c4",
    YELLOW: "c5",
    SKY: "c6",
    GREY: "c7",
    INK: "ink",
    MUTED: "muted",
    FAINT: "faint",
    "#FFFFFF": "paper",
}

# Matplotlib's own type for these is a dictionary of some three hundred literal names.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
}
