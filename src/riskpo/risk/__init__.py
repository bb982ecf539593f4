"""The mathematics of risk-sensitive advantages. Imports torch only; knows no engine."""

from riskpo.risk.advantages import risk_advantages
from riskpo.risk.config import RiskConfig
from riskpo.risk.presets import PRESETS
from riskpo.risk.quantiles import QuantileTracker, ScoreLaw, inverse_cdf
from riskpo.risk.spectrum import Spectrum
from riskpo.risk.state import RiskState, RiskStep

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
