"""The entry point in `verl.plugins`: `import verl` loads it in every process of a cluster, so it imports nothing heavy.

Estimators are registered when verl's registry of them is imported, trainers when verl's trainers are: in the driver,
not in the workers. An error in there reaches whoever imports verl; one in the entry point itself would be swallowed.
"""

from __future__ import annotations

import logging
from typing import Any

try:
    from wrapt import when_imported
except ImportError:  # verl swallows it, and would know no trainer of ours: say why
    logging.getLogger(__name__).warning('riskpo is no plugin of verl here: pip install "riskpo[verl]"')
    raise


@when_imported("verl.trainer.ppo.core_algos")  # type: ignore[untyped-decorator]
def register_estimators(registry: Any) -> None:
    """Every estimator of the family, under its name."""
    from riskpo.engines.verl.estimator import verl_advantages
    from riskpo.engines.verl.options import ESTIMATORS

    for name in ESTIMATORS:
        registry.register_adv_est(name)(verl_advantages)


@when_imported("verl.trainer.ppo.v1")  # type: ignore[untyped-decorator]
def register_trainers(trainers: Any) -> None:
    """One trainer for each of verl's modes."""
    del trainers
    import riskpo.engines.verl.trainer  # noqa: F401  (registers itself)
