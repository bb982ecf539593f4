"""Entries in words: the estimator of each, and by name whatever else differs between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from riskpo.reports.describe import describe_estimator, options_said
from riskpo.risk.config import USES, RiskConfig
from riskpo.runs.arguments import Plan

_RISK = {field.name for field in dataclasses.fields(RiskConfig)}
# Said as options of the estimator, or in a column of their own, or of the cells and not of the entries.
_ELSEWHERE = _RISK | {"preset", "scale_rewards", "learning_rate", "seed", "output_dir", "runs_dir"}
_LONGEST = 60  # characters of a value


def describe_entries(plans: Mapping[str, Plan]) -> dict[str, str]:
    """A line for each entry.

    Options that all entries share are left out, unless the estimator's description has them; of those that differ, each
    entry says its own value, defaults too. Options of an estimator are compared among the entries that read them.

    Args:
        plans: a run of each entry, by label.
    """
    found = {label: describe_estimator(plan.training.risk_config) for label, plan in plans.items()}
    options = {label: {**_of_estimator(plan), **_of_run(plan)} for label, plan in plans.items()}
    names = dict.fromkeys(name for one in options.values() for name in one)
    differing = [name for name in names if len({one[name] for one in options.values() if name in one}) > 1]
    for label, plan in plans.items():
        said = options_said(plan.training.risk_config)
        more = [name for name in differing if name in options[label] and name not in said]
        found[label] += "".join(f", {name} {options[label][name]}" for name in more)
    return found


def _of_estimator(plan: Plan) -> dict[str, str]:
    risk = plan.training.risk_config
    return {name: _value(getattr(risk, name)) for name in sorted(USES[risk.estimator] - {"estimator"})}


def _of_run(plan: Plan) -> dict[str, str]:
    values = {**vars(plan.run), **vars(plan.training), **vars(plan.model)}
    return {name: _value(value) for name, value in values.items() if name[0] != "_" and name not in _ELSEWHERE}


def _value(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
