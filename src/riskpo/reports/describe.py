"""The estimator in words; light enough for a dry run."""

from __future__ import annotations

from riskpo.risk.config import USES, RiskConfig
from riskpo.risk.schedules import plain_schedule

_SPECTRUM = {"measure", "risk_low", "risk_high", "spectrum_levels", "schedule", "adaptive_slope", "baseline"}


def describe_estimator(risk: RiskConfig) -> str:
    """The estimator and the options that it reads, in one line."""
    spectrum = ", ".join(f"{level:g}" for level in risk.spectrum.levels)
    outer = f"{risk.measure}({spectrum})" if spectrum else risk.measure
    schedule = f", schedule {plain_schedule(risk.schedule)}" if risk.schedule else ""
    schedule += f", risk_high adapted to slope {risk.adaptive_slope:g}" if risk.adaptive_slope else ""
    if risk.estimator == "riskpo":
        return (
            f"RiskPO, {outer}, B={risk.bundle_size}, {risk.composition} composition, {risk.pairing} pairing, "
            f"baseline {risk.baseline}, ties {risk.ties}{schedule}"
        )
    if risk.estimator == "two_level":
        parameter = {"entropic": f"({risk.entropic_beta:g})", "pass_at_k": f"({risk.k})"}.get(risk.inner, "")
        parameter = f"({risk.inner_share:g})" if risk.inner == "upper_tail" else parameter
        unit = "prompts" if risk.bundle_size == 1 else f"{risk.composition} bundles of {risk.bundle_size} prompts"
        return f"two-level, {outer} over {unit} of {risk.inner}{parameter}, baseline {risk.baseline}{schedule}"
    own = sorted(options_said(risk))
    options = ", ".join(f"{name} {getattr(risk, name)}" for name in own if getattr(risk, name) is not None)
    return risk.estimator + (f" ({options})" if options else "")


def options_said(risk: RiskConfig) -> set[str]:
    """The options whose values `describe_estimator` gives."""
    if risk.estimator == "riskpo":
        return _SPECTRUM | {"bundle_size", "composition", "pairing", "ties"}
    if risk.estimator == "two_level":
        parameters = {"entropic": {"entropic_beta"}, "pass_at_k": {"k"}, "upper_tail": {"inner_share"}}
        composed = set() if risk.bundle_size == 1 else {"composition"}
        return _SPECTRUM | {"bundle_size", "inner"} | composed | parameters.get(risk.inner, set())
    return set(USES[risk.estimator]) - {"estimator", "scale", "scale_floor", "reward_range"}
