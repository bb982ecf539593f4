"""What an estimator carries from step to step, and what a step gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from riskpo.risk.difficulty import PassRates


@dataclass(frozen=True)
class RiskState:
    """What the estimator carries from step to step; part of every checkpoint.

    Args:
        quantiles_L: the tracked quantiles, in units of reward; None before the first step.
        steps: how many steps have moved the state.
        tracked: what the quantiles are of (`RiskConfig.tracked`); None before the first step.
        risk_high: the adaptive upper level; None where it does not adapt.
        pass_rates: the running pass rate of each prompt; empty where the composition needs none.
    """

    quantiles_L: tuple[float, ...] | None = None
    steps: int = 0
    tracked: str | None = None
    risk_high: float | None = None
    pass_rates: PassRates = field(default_factory=PassRates)

    def to_dict(self) -> dict[str, Any]:
        """The state as plain JSON values."""
        return {
            "quantiles": None if self.quantiles_L is None else list(self.quantiles_L),
            "steps": self.steps,
            "tracked": self.tracked,
            "risk_high": self.risk_high,
            "pass_rates": self.pass_rates.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RiskState:
        """The inverse of `to_dict`."""
        quantiles, risk_high = values["quantiles"], values["risk_high"]
        return cls(
            None if quantiles is None else tuple(float(q) for q in quantiles),
            int(values["steps"]),
            values["tracked"],
            None if risk_high is None else float(risk_high),
            PassRates.from_dict(values["pass_rates"]),
        )


@dataclass(frozen=True)
class RiskStep:
    """The outcome of one step.

    Args:
        advantages_PG: float64, one a response; 0 where the reward is NaN.
        metrics: the `risk/...` metrics of docs/method.md.
        state: the state for the next step.
        groups_P: the number of each prompt's own group, from 0; -1 for a prompt that took no part; None for an
            estimator without bundles.
        bundles_PG: the bundle within its group that each response was scored in, from 0; -1 where the reward is NaN;
            None where there is more than one such bundle, or none.
    """

    advantages_PG: Tensor
    metrics: dict[str, float]
    state: RiskState
    groups_P: Tensor | None = None
    bundles_PG: Tensor | None = None
