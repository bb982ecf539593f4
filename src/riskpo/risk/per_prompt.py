"""Statistics of each prompt's scorable responses: what the peers are built from.

Axes: P prompts, G responses, L = G - 1 gaps between neighbours in rank. NaN = unscorable: it takes no part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from riskpo.risk.config import RiskConfig


def count(rewards_PG: Tensor) -> Tensor:
    """n_P1, the scorable responses of each prompt, in the rewards' dtype."""
    return (~rewards_PG.isnan()).sum(1, keepdim=True).to(rewards_PG.dtype)


def uniform(rewards_PG: Tensor) -> Tensor:
    """uniform_P: whether a prompt's scorable rewards are all equal, exactly. False where there are none."""
    highest_P = rewards_PG.nan_to_num(nan=-torch.inf).amax(1)
    return highest_P == rewards_PG.nan_to_num(nan=torch.inf).amin(1)


def centred(rewards_PG: Tensor) -> Tensor:
    """Reward minus the prompt's mean; NaN stays NaN. Exactly 0 where all of a prompt's rewards are equal."""
    # Measured from the lowest reward: equal rewards then give 0, not the rounding of their mean.
    above_PG = rewards_PG - rewards_PG.nan_to_num(nan=torch.inf).amin(1, keepdim=True)
    return above_PG - above_PG.nanmean(1, keepdim=True)


def std(centred_PG: Tensor) -> Tensor:
    """std_P1, the standard deviation with n - 1 below the line; 0 for a prompt of one scorable response."""
    return (centred_PG.square().nansum(1, keepdim=True) / (count(centred_PG) - 1.0).clamp(min=1.0)).sqrt()


def zero_unscorable(advantages_PG: Tensor, rewards_PG: Tensor) -> Tensor:
    """The advantages, 0 where the reward is NaN (and only there: a NaN of any other origin stays to be seen)."""
    return advantages_PG.masked_fill(rewards_PG.isnan(), 0.0)


def share(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """Rewards normalised to [0, 1] by the declared range."""
    return ((rewards_PG - config.reward_range[0]) / config.reward_width).clamp(0.0, 1.0)


def right(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """1 for a reward in the upper half of the declared range, 0 for one in the lower half, NaN where unscorable."""
    return share(rewards_PG, config).round()


def by_rank(rewards_PG: Tensor, table: Callable[[Tensor], Tensor]) -> Tensor:
    """What a table says of each response's rank, put back in the order of the responses; 0 where unscorable.

    Args:
        rewards_PG: NaN = unscorable.
        table: from gaps_PL (r_(l+1) - r_(l) of the rewards in increasing order; 0 where there are no two) to values_PG
            by rank. Equal rewards must get equal values, which holds whenever a value is a sum over gaps.
    """
    sorted_PG, order_PG = rewards_PG.sort(dim=1, stable=True)  # NaN comes last
    values_PG = table(sorted_PG.diff(dim=1).nan_to_num_(nan=0.0))
    return zero_unscorable(torch.empty_like(values_PG).scatter_(1, order_PG, values_PG), rewards_PG)
