"""What an audit says to change: a sentence per finding, and only where the number supports it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from riskpo.diagnosis.finding import Finding
from riskpo.risk.audit import FLAT_SLOPE, Audit, EstimatorAudit
from riskpo.risk.measured import Measured

# Every threshold that decides whether a sentence is said, with the reason.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "uniform_prompts": (0.5, "more than half of the rollouts then compare nothing within their prompt"),
    "on_uniform": (0.1, "a tenth of |A| is ten times what rounding or a stray prompt explains"),
    "weight_ratio": (
        1.25,
        "a quarter more weight at one end than at the other: what one log can tell",
    ),
    "even": (1.1, "bins within a tenth of the middle one weigh alike for any practical purpose"),
    "errors": (2.0, "a difference counts when it is this many of its standard errors: about one in twenty by chance"),
    "snr_ratio": (0.8, "the noise that takes 1/0.8^2 = 1.6 times the rollouts to average away"),
    "flips": (0.01, "one response in a hundred; correct estimators have none after the prompt's mean"),
    "flat_windows": (0.1, f"a tenth of the steps with mean slope below {FLAT_SLOPE:g} (the mean objective has 1)"),
    "tied_quantiles": (0.5, "the middle weight is then never used in most steps"),
    "correlation": (0.05, "smaller differences of correlation do not show in an entropy curve"),
    "unseen": (0.9, "the composition then orders nine prompts in ten by nothing"),
}


_DIFFICULTY = "docs/method.md#3-where-risk-acts"
_NOISE = "docs/method.md#4-the-same-gradient-with-less-noise"
_WINDOWS = "docs/method.md#5-levels-that-change"
# Where each kind of finding is explained.
_DOCUMENTED = {
    "difficulty_flat": "docs/method.md#2-what-random-bundles-optimise",
    "difficulty_ends": _DIFFICULTY,
    "difficulty_hard": _DIFFICULTY,
    "difficulty_easy": _DIFFICULTY,
    "noise": _NOISE,
    "on_uniform": _NOISE,
    "flips": _NOISE,
    "flat_windows": _WINDOWS,
    "tied_quantiles": _WINDOWS,
    "unseen": _DIFFICULTY,
    "entropy": "docs/method.md#entropy",
}


def threshold(name: str) -> float:
    """The number of a threshold."""
    return THRESHOLDS[name][0]


def findings(result: Audit) -> list[Finding]:
    """All findings, those about the log first."""
    return [
        *_uniform(result),
        *_difficulty(result),
        *_noise(result),
        *_wasted(result),
        *_flipped(result),
        *_windows(result),
        *_entropy(result),
    ]


def is_sure(weight: Measured, scale: float) -> bool:
    """Whether twice a weight's standard error lies below a quarter of `scale`, the estimator's mean weight."""
    return not math.isnan(weight.error) and 2.0 * weight.error <= scale / 4.0


def hard_to_easy(estimator: EstimatorAudit) -> Measured:
    """Weight of the hardest over that of the easiest bin that can be told, one below and one above pass rate one half.

    A bin can be told when twice its standard error is below a quarter of its weight, or a twentieth of the mean weight.
    NaN where a side has none; infinite where easy prompts have no weight, or one against them.
    """
    slack = abs(estimator.mean_weight.value) / 20.0
    told = [w if 2.0 * w.error <= max(abs(w.value) / 4.0, slack) else None for w in estimator.weight_b]
    middle = len(told) // 2
    hard = next((weight for weight in told[:middle] if weight), None)
    easy = next((weight for weight in reversed(told[middle + 1 :]) if weight), None)
    if hard is None or easy is None or hard.value <= 0.0 >= easy.value:
        return Measured(math.nan, math.nan)
    if easy.value <= 0.0:
        return Measured(math.inf, 0.0)
    value = hard.value / easy.value
    return Measured(value, math.hypot(hard.error, value * easy.error) / easy.value)


def _uniform(result: Audit) -> list[Finding]:
    wrong, right = result.uniform["all_wrong"], result.uniform["all_right"]
    found = []
    if wrong >= threshold("uniform_prompts"):
        found.append(_uniformly(f"{wrong:.0%} of prompts were answered wrongly every time",
                                "use easier prompts or more responses per prompt."))  # fmt: skip
    if right >= threshold("uniform_prompts"):
        found.append(_uniformly(f"{right:.0%} of prompts were answered rightly every time",
                                "leave them out or use harder ones."))  # fmt: skip
    return found


def _uniformly(evidence: str, change: str) -> Finding:
    return Finding("note", "uniform", evidence, change, "docs/method.md#of-the-step")


def _difficulty(result: Audit) -> list[Finding]:
    least, errors = threshold("weight_ratio"), threshold("errors")
    kinds: dict[str, dict[str, str]] = {"flat": {}, "hard": {}, "easy": {}, "ends": {}}
    for name, estimator in result.estimators.items():
        ratio = hard_to_easy(estimator)
        if ratio.value - errors * ratio.error > least:
            kinds["hard"][name] = f"{name} {_times(ratio.value)}"
        elif ratio.value + errors * ratio.error < 1.0 / least:
            kinds["easy"][name] = f"{name} {_times(1.0 / ratio.value if ratio.value > 0.0 else math.inf)}"
        elif (shape := _shape(estimator)) in kinds:
            kinds[shape][name] = name
    return [
        *_about("difficulty_flat", "The same weight on hard and easy prompts, as the mean objective has", kinds["flat"],
                "for risk aversion over prompts use prompt-mvar, or sorted where prompts come back"),
        *_about("difficulty_ends", "More weight on hard and on easy prompts than in between", kinds["ends"],
                "dividing by a prompt's standard deviation does that; leave it out for the mean pass rate"),
        *_about("difficulty_hard", "More weight on hard prompts than on easy ones", kinds["hard"],
                "they raise the worst prompts; for the mean pass rate take one with the same weight on all"),
        *_about("difficulty_easy", "More weight on easy prompts than on hard ones", kinds["easy"],
                "choose another where hard prompts matter"),
    ]  # fmt: skip


def _shape(estimator: EstimatorAudit) -> str:
    """`ends`, `flat`, or neither (empty), for an estimator whose ends weigh alike."""
    errors, even = threshold("errors"), threshold("even")
    middle = estimator.weight_b[len(estimator.weight_b) // 2]
    sure = [weight for weight in estimator.weight_b if is_sure(weight, abs(estimator.mean_weight.value))]
    if len(sure) < 3 or middle not in sure or middle.value <= 0.0:
        return ""
    if all(end.value - errors * end.error > even * middle.value for end in (sure[0], sure[-1])):
        return "ends"
    off = [
        weight
        for weight in sure
        if weight.value - errors * weight.error > even * middle.value
        or weight.value + errors * weight.error < middle.value / even
    ]
    return "" if off else "flat"


def _noise(result: Audit) -> list[Finding]:
    low = {}
    for name, estimator in result.estimators.items():
        ratio = estimator.snr_ratios.get("dr_grpo")
        if ratio and ratio.value + threshold("errors") * ratio.error < threshold("snr_ratio"):
            low[name] = f"{name} {1.0 / ratio.value**2:.1f}x" if ratio.value > 0.1 else f"{name} over 100x"
    what = "Noisier than dr_grpo, which needs so many times fewer rollouts for the same signal-to-noise ratio"
    advice = "enlarge the batch, or take exact pairing and baseline loo where they are not used yet"
    return _about("noise", what, low, advice)


def _wasted(result: Audit) -> list[Finding]:
    shares = {n: e.on_uniform for n, e in result.estimators.items() if e.on_uniform >= threshold("on_uniform")}
    what = "Share of |A| spent on prompts whose responses all scored the same"
    return _about(
        "on_uniform",
        what,
        _percents(shares),
        "a prompt's own baseline spends none there, as in dr_grpo or with loo under exact pairing",
    )


def _flipped(result: Audit) -> list[Finding]:
    shares = {}
    for name, estimator in result.estimators.items():
        worst = max((v for k in ("right_down", "wrong_up") if not math.isnan(v := estimator.flips[k])), default=0.0)
        if worst >= threshold("flips"):
            shares[name] = worst
    what = "Right responses moved down, or wrong ones up, within their prompt (the larger share)"
    return _about(
        "flips", what, _percents(shares), "partners' luck does that, or a credit rule; exact pairing has neither"
    )


def _windows(result: Audit) -> list[Finding]:
    def above(name: str) -> dict[str, str]:
        shares = {key: getattr(estimator, name) or 0.0 for key, estimator in result.estimators.items()}
        return _percents({key: share for key, share in shares.items() if share >= threshold(name)})

    return [
        *_about("flat_windows", "Degenerate windows, in this share of steps", above("flat_windows"),
                "raise risk_high, set adaptive_slope, or use ties continuous"),
        *_about("tied_quantiles", "Lower and upper quantile equal, in this share of steps", above("tied_quantiles"),
                "larger bundles or levels further apart separate them"),
        *_about("unseen", "Prompts without a past pass rate, so composed at random", above("unseen"),
                "train for more epochs, so that prompts come back, or use prompt-mvar"),
    ]  # fmt: skip


def _entropy(result: Audit) -> list[Finding]:
    faster = {}
    for name, estimator in result.estimators.items():
        difference = (estimator.entropy or {}).get("difference")
        if difference and difference.value - threshold("errors") * difference.error > threshold("correlation"):
            faster[name] = f"{name} by {difference.value:.2f}"
    what = "More correlated with log-probability than the mean objective, so entropy falls faster per unit of step"
    return _about("entropy", what, faster, "lower the learning rate, and watch the entropy")


def _about(kind: str, what: str, named: Mapping[str, str], advice: str) -> list[Finding]:
    """One sentence about the named estimators; none where there are none."""
    evidence = f"{what} ({', '.join(named.values())})"
    return [Finding("note", kind, evidence, f"{advice}.", _DOCUMENTED[kind], tuple(named))] if named else []


def _percents(shares: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{name} {share:.0%}" for name, share in shares.items()}


def _times(value: float) -> str:
    return f"{value:.1f}x" if value < 20.0 else "over 20x"


def thresholds() -> Mapping[str, dict[str, float | str]]:
    """The thresholds as plain values, for reports."""
    return {name: {"value": value, "why": why} for name, (value, why) in THRESHOLDS.items()}
