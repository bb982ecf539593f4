"""Named sets of options: the method as published, as released, and better than both."""

from __future__ import annotations

from typing import Any

# The paper's objective without its sampling noise: exact pairing, and the prompt's other responses as baseline.
_EXACT: dict[str, Any] = {"pairing": "exact", "baseline": "loo"}
# Risk over prompts themselves: the unit that is scored is a prompt's pass rate.
_PROMPT: dict[str, Any] = {"estimator": "two_level", "bundle_size": 1, "baseline": "loo"}

# pass@4 of every prompt first, then MVaR over prompts' pass rates.
_TWO_LEVEL: dict[str, Any] = {
    **_PROMPT,
    "inner": "pass_at_k",
    "k": 4,
    "schedule": {"inner": {0: "pass_at_k", 0.4: "mean"}, "measure": {0: "mean", 0.4: "mvar"}},
}

PRESETS: dict[str, dict[str, Any]] = {
    # The method as published: RiskPO, arXiv 2510.00911, sec. 3 and its hyper-parameters.
    "paper": {},
    "exact": _EXACT,
    # Bundles of prompts of one difficulty: the bundle's risk becomes risk over prompts.
    "sorted": {**_EXACT, "composition": "sorted"},
    "prompt-mvar": _PROMPT,
    "two-level": _TWO_LEVEL,
    # What the comparison on the built-in tasks speaks for (docs/quickstart.md, experiments/LOG.md).
    "recommended": _TWO_LEVEL,
    # The released code as it runs, number for number (docs/method.md lists every difference from `paper`).
    "released-hard": {"estimator": "released_hard"},
    "released-easy": {"estimator": "released_easy", "risk_high": 0.9},
    "released-risk-seeking": {"estimator": "released_risk_seeking"},
}

# Estimators whose natural defaults differ from the paper's, for `--estimator NAME` without a preset of its own.
ESTIMATOR_DEFAULTS: dict[str, dict[str, Any]] = {
    "two_level": {"bundle_size": 1, "baseline": "loo"},
    "released_easy": {"risk_high": 0.9},
}
