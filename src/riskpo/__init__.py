"""riskpo: risk-sensitive post-training of language models with verifiable rewards.

Public names load on first use, so that `import riskpo` stays light: it loads no torch and no training engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from riskpo.engines.trl import RiskPOTrainer
    from riskpo.engines.trl_config import RiskPOConfig
    from riskpo.risk.advantages import risk_advantages
    from riskpo.risk.config import RiskConfig
    from riskpo.risk.presets import PRESETS
    from riskpo.risk.spectrum import Spectrum
    from riskpo.risk.state import RiskState, RiskStep

_HOMES = {
    "PRESETS": "riskpo.risk.presets",
    "RiskConfig": "riskpo.risk.config",
    "RiskPOConfig": "riskpo.engines.trl_config",
    "RiskPOTrainer": "riskpo.engines.trl",
    "RiskState": "riskpo.risk.state",
    "RiskStep": "riskpo.risk.state",
    "Spectrum": "riskpo.risk.spectrum",
    "risk_advantages": "riskpo.risk.advantages",
}

__version__ = "0.1.0"
__all__ = [
    "PRESETS",
    "RiskConfig",
    "RiskPOConfig",
    "RiskPOTrainer",
    "RiskState",
    "RiskStep",
    "Spectrum",
    "__version__",
    "risk_advantages",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'riskpo' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ImportError as error:
        from riskpo.extras import missing_engine

        raise missing_engine(error) or error from error


def __dir__() -> list[str]:
    return sorted(__all__)
