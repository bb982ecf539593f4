"""What an audit says to change: a sentence per finding, and only where the number supports it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from riskpo.risk.audit import FLAT_SLOPE, Audit, EstimatorAudit, Measured

# Every threshold that decides whether a sentence is said, with the reason.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "uniform_prompts": (0.5, "more than half of the rollouts then compare nothing within their prompt"),
    "on_uniform": (0.1, "a tenth of |A| is ten times what rounding or a stray prompt explains"),
    "weight_ratio": (
        1.25,
        "a quarter more weight on hard than on easy prompts; below it bins of one log hardly differ",
    ),
    "errors": (2.0, "a difference counts when it is this many of its standard errors: about one in twenty by chance"),
    "snr_ratio": (0.8, "the noise that takes 1/0.8^2 = 1.6 times the rollouts to average away"),
    "flips": (0.01, "one response in a hundred; correct estimators have none after the prompt's mean"),
    "flat_windows": (0.1, f"a tenth of the steps with mean slope below {FLAT_SLOPE:g} (the mean objective has 1)"),
    "tied_quantiles": (0.5, "the middle weight is then never used in most steps"),
    "correlation": (0.05, "smaller differences of correlation do not show in an entropy curve"),
    "unseen": (0.9, "the composition then orders nine prompts in ten by nothing"),
}


def threshold(name: str) -> float:
    """The number of a threshold."""
    return THRESHOLDS[name][0]


@dataclass(frozen=True)
class Finding:
    """A sentence, what kind it is, and the estimators that it is about (none: about the log)."""

    kind: str
    estimators: tuple[str, ...]
    text: str


def findings(result: Audit) -> list[Finding]:
    """All findings, those about the log first."""
    said = [
        *_uniform(result),
        *_difficulty(result),
        *_noise(result),
        *_wasted(result),
        *_flipped(result),
        *_windows(result),
        *_entropy(result),
    ]
    return said


def hard_to_easy(estimator: EstimatorAudit) -> Measured:
    """Weight of the hard over that of the easy prompts: the lowest and the highest bin below and above one half that
    could be told within a quarter. NaN where one side has none."""
    sure = [
        bin_weight if bin_weight.error < max(abs(bin_weight.value), _whole(estimator)) / 4 else None
        for bin_weight in estimator.weight_b
    ]
    middle = len(sure) // 2
    hard = next((weight for weight in sure[:middle] if weight), None)
    easy = next((weight for weight in reversed(sure[middle + 1 :]) if weight), None)
    if hard is None or easy is None:
        return Measured(math.nan, math.nan)
    if easy.value <= 0.0:
        return Measured(math.inf if hard.value > 0.0 else math.nan, math.nan)
    value = hard.value / easy.value
    return Measured(value, math.hypot(hard.error / easy.value, value * easy.error / easy.value))


def _whole(estimator: EstimatorAudit) -> float:
    return abs(estimator.mean_weight.value)


def _uniform(result: Audit) -> list[Finding]:
    wrong, right = result.uniform["all_wrong"], result.uniform["all_right"]
    found = []
    if wrong >= threshold("uniform_prompts"):
        text = (
            f"{wrong:.0%} of prompts were answered wrongly every time: use easier prompts or more responses per prompt."
        )
        found.append(Finding("uniform", (), text))
    if right >= threshold("uniform_prompts"):
        text = f"{right:.0%} of prompts were answered rightly every time: leave them out or use harder ones."
        found.append(Finding("uniform", (), text))
    return found


def _difficulty(result: Audit) -> list[Finding]:
    least, errors = threshold("weight_ratio"), threshold("errors")
    kinds: dict[str, list[str]] = {"flat": [], "hard": [], "easy": []}
    for name, estimator in result.estimators.items():
        ratio = hard_to_easy(estimator)
        if math.isnan(ratio.value):
            continue
        error = 0.0 if math.isinf(ratio.value) else ratio.error
        if ratio.value - errors * error > least:
            kinds["hard"].append(f"{name} ({_times(ratio.value)})")
        elif ratio.value + errors * error < 1.0 / least:
            kinds["easy"].append(f"{name} ({_times(1.0 / max(ratio.value, 1e-9))})")
        elif 1.0 / least < ratio.value - errors * error and ratio.value + errors * error < least and _even(estimator):
            kinds["flat"].append(name)
    sentences = {
        "flat": "weigh hard and easy prompts alike, as the mean objective does: for risk aversion over prompts use sorted or "
        "prompt-mvar.",
        "hard": "weigh hard prompts more than easy ones: use them to raise the worst prompts, not the mean.",
        "easy": "weigh easy prompts more than hard ones: choose another where hard prompts matter.",
    }
    return [
        Finding(f"difficulty_{kind}", _plain(names), f"{_list(names)} {sentences[kind]}")
        for kind, names in kinds.items()
        if names
    ]


def _even(estimator: EstimatorAudit) -> bool:
    """Whether no bin in between stands out either: GRPO's weight is large at both ends."""
    least, errors = threshold("weight_ratio"), threshold("errors")
    whole = estimator.mean_weight.value
    if not whole > 0.0:
        return False
    known = [weight for weight in estimator.weight_b if not math.isnan(weight.error)]
    return all(
        1 / least < (w.value + errors * w.error) / whole and (w.value - errors * w.error) / whole < least for w in known
    )


def _noise(result: Audit) -> list[Finding]:
    low = {}
    for name, estimator in result.estimators.items():
        ratio = estimator.snr_ratios.get("dr_grpo")
        if ratio and ratio.value + threshold("errors") * ratio.error < threshold("snr_ratio"):
            low[name] = ratio.value
    if not low:
        return []
    # Without signal there is no number of rollouts that helps.
    cost = [f"{name} ({1.0 / value**2:.1f}x)" if value > 0.1 else f"{name} (over 100x)" for name, value in low.items()]
    text = (
        f"{_list(cost)} need that many rollouts for the signal-to-noise ratio of dr_grpo: raise the batch, or prefer "
    )
    return [Finding("noise", tuple(low), text + "exact pairing and baseline loo.")]


def _wasted(result: Audit) -> list[Finding]:
    shares = {n: e.on_uniform for n, e in result.estimators.items() if e.on_uniform >= threshold("on_uniform")}
    if not shares:
        return []
    names = [f"{name} ({share:.0%})" for name, share in shares.items()]
    text = (
        f"{_list(names)} spend that share of |A| on prompts whose responses all scored the same: a baseline per prompt "
    )
    return [Finding("on_uniform", tuple(shares), text + "(prompt or loo) under exact pairing spends none.")]


def _flipped(result: Audit) -> list[Finding]:
    shares = {}
    for name, estimator in result.estimators.items():
        worst = max((v for k in ("right_down", "wrong_up") if not math.isnan(v := estimator.flips[k])), default=0.0)
        if worst >= threshold("flips"):
            shares[name] = worst
    if not shares:
        return []
    names = [f"{name} ({share:.0%})" for name, share in shares.items()]
    text = f"{_list(names)} move up to that share of responses the wrong way within their prompt: partners' luck or credit "
    return [Finding("flips", tuple(shares), text + "rules; pairing exact removes the luck.")]


def _windows(result: Audit) -> list[Finding]:
    flat = {
        n: e.flat_windows for n, e in result.estimators.items() if (e.flat_windows or 0) >= threshold("flat_windows")
    }
    tied = {
        n: e.tied_quantiles
        for n, e in result.estimators.items()
        if (e.tied_quantiles or 0) >= threshold("tied_quantiles")
    }
    unseen = {n: e.unseen for n, e in result.estimators.items() if (e.unseen or 0) >= threshold("unseen")}
    found = []
    if flat:
        text = f"{_list([f'{n} ({s:.0%} of steps)' for n, s in flat.items()])} had a degenerate window: raise risk_high, set "
        found.append(Finding("flat_windows", tuple(flat), text + "adaptive_slope, or use ties continuous."))
    if tied:
        text = f"{_list([f'{n} ({s:.0%} of steps)' for n, s in tied.items()])} had equal lower and upper quantiles: larger "
        found.append(Finding("tied_quantiles", tuple(tied), text + "bundles or levels further apart separate them."))
    if unseen:
        text = f"{_list(list(unseen))} had no past pass rate for {max(s or 0 for s in unseen.values()):.0%} of prompts and "
        found.append(
            Finding("unseen", tuple(unseen), text + "composed at random: difficulty needs prompts that come back.")
        )
    return found


def _entropy(result: Audit) -> list[Finding]:
    faster = []
    for name, estimator in result.estimators.items():
        difference = (estimator.entropy or {}).get("difference")
        if difference is None or math.isnan(difference.error):
            continue
        if difference.value - threshold("errors") * difference.error > threshold("correlation"):
            faster.append(name)
    if not faster:
        return []
    text = f"{_list(faster)} correlate more with log-probability than the mean objective: expect entropy to fall faster per "
    return [Finding("entropy", tuple(faster), text + "unit of step; lower the learning rate or watch the entropy.")]


def _times(value: float) -> str:
    return f"{value:.1f}x" if value < 20.0 else "over 20x"


def _plain(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.split(" ")[0] for name in names)


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def thresholds() -> Mapping[str, dict[str, float | str]]:
    """The thresholds as plain values, for reports."""
    return {name: {"value": value, "why": why} for name, (value, why) in THRESHOLDS.items()}
