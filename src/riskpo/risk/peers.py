"""The estimators users compare with, in one shape: rewards_PG in, advantages_PG out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from riskpo.risk.config import RiskConfig


@dataclass(frozen=True)
class Peer:
    """An estimator without bundles, tracked quantiles or randomness.

    Args:
        advantages: (rewards_PG, config) to advantages_PG. Rewards are float64, within the declared range, NaN where
            unscorable; every prompt has at least one scorable response. Advantages are finite; 0 where it is NaN.
        options: the options of `RiskConfig` that it reads, besides `reward_range`, `scale` and `scale_floor`.
        two_valued: whether rewards must be the two ends of the declared range.
        responses: the least number of responses per prompt, given the options.
        source: the paper.
    """

    advantages: Callable[[Tensor, RiskConfig], Tensor]
    source: str
    options: frozenset[str] = frozenset()
    two_valued: bool = False
    responses: Callable[[RiskConfig], int] = lambda config: 2


def dr_grpo(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """Reward minus the prompt's mean (Dr. GRPO, arXiv 2503.20783): (G - 1)/G of an unbiased gradient of the mean."""
    return (rewards_PG - rewards_PG.nanmean(1, keepdim=True)).nan_to_num(0.0)


PEERS: dict[str, Peer] = {
    "dr_grpo": Peer(dr_grpo, "Dr. GRPO, arXiv 2503.20783"),
}
