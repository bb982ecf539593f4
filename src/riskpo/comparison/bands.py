"""Curves over training: a running mean of each run, then mean and band over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from riskpo.comparison.results import Curve
from riskpo.evaluation.bounds import LEVEL
from riskpo.evaluation.student import t_quantile
from riskpo.reports.figures import smooth


def band(curves: Sequence[Curve], ends: tuple[float, float] = (-math.inf, math.inf)) -> dict[str, list[Any]]:
    """The mean curve of several runs and its pointwise 95 % interval over them (Student's t).

    Args:
        curves: one a run; steps that not all of them have are left out.
        ends: the range of the values, to which the interval is cut; where a value is outside of it, it is not theirs,
            and nothing is cut.

    Returns:
        `steps`, `mean`, and `low` and `high`, which are empty where there is one run: it says nothing of others.
        Six digits, which do not depend on whether a run was interrupted.
    """
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    if not steps:
        return {"steps": [], "mean": [], "low": [], "high": []}
    values_RS = np.array([smooth(np.array([curve[step] for step in steps])) for curve in curves])
    mean_S = values_RS.mean(axis=0)
    found: dict[str, list[Any]] = {"steps": steps, "mean": _short(mean_S), "low": [], "high": []}
    if len(curves) > 1:
        half_S = t_quantile(LEVEL, len(curves) - 1) * values_RS.std(axis=0, ddof=1) / math.sqrt(len(curves))
        low, high = ends if (values_RS >= ends[0]).all() and (values_RS <= ends[1]).all() else (-math.inf, math.inf)
        found |= {"low": _short(np.maximum(mean_S - half_S, low)), "high": _short(np.minimum(mean_S + half_S, high))}
    return found


def _short(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
