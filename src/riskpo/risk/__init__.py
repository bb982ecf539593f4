"""The mathematics of risk-sensitive advantages. Imports torch only; knows no engine."""

from riskpo.risk.advantages import RiskState, RiskStep, risk_advantages
from riskpo.risk.config import PRESETS, RiskConfig
from riskpo.risk.quantiles import QuantileTracker, ScoreLaw, inverse_cdf
from riskpo.risk.spectrum import Spectrum

__all__ = [
    "PRESETS",
    "QuantileTracker",
    "RiskConfig",
    "RiskState",
    "RiskStep",
    "ScoreLaw",
    "Spectrum",
    "inverse_cdf",
    "risk_advantages",
]
