"""The heart: rewards of a step in, advantages and risk metrics out. Both engines call `risk_advantages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from riskpo.errors import ConfigError, RewardError
from riskpo.risk.bundles import ExactPairing, Pairing, RandomPairings, compose
from riskpo.risk.config import RiskConfig
from riskpo.risk.metrics import risk_metrics


@dataclass(frozen=True)
class RiskState:
    """What the estimator carries from step to step; part of every checkpoint.

    Args:
        quantiles_L: the tracked quantiles, in units of reward; None before the first step.
        steps: how many steps have moved the state.
    """

    quantiles_L: tuple[float, ...] | None = None
    steps: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The state as plain JSON values."""
        return {"quantiles": None if self.quantiles_L is None else list(self.quantiles_L), "steps": self.steps}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RiskState:
        """The inverse of `to_dict`."""
        quantiles = values["quantiles"]
        return cls(None if quantiles is None else tuple(float(q) for q in quantiles), int(values["steps"]))


@dataclass(frozen=True)
class RiskStep:
    """The outcome of one step.

    Args:
        advantages_PG: float64, one a response; 0 where the reward is NaN.
        metrics: the `risk/...` metrics of docs/metrics.md.
        state: the state for the next step.
    """

    advantages_PG: Tensor
    metrics: dict[str, float]
    state: RiskState


def risk_advantages(rewards_PG: Tensor, config: RiskConfig, state: RiskState, generator: torch.Generator) -> RiskStep:
    """Advantages of RiskPO (arXiv 2510.00911, sec. 3) for one step's rewards.

    Pure: the state comes in and goes out, randomness comes from `generator` alone. The signal uses the quantiles from
    before the step; the first step starts them from its own scores and makes no update. For composition `random`, any
    pairing and quantiles that do not depend on the step, the advantages with baseline `anchor` or `loo` are unbiased
    for the spectrum of the bundle score's law (derived here; tests/risk/test_theory.py against the exact gradient).

    Args:
        rewards_PG: P prompts x G responses, within `config.reward_range`; NaN = could not be scored. Such a response
            gets advantage 0 and never is a partner; a prompt of only such responses takes no part.
        config: the options.
        state: from the previous step, or `RiskState()`.
        generator: a CPU generator; it is advanced.

    Raises:
        RewardError: rewards that are not a floating [P, G] matrix, infinite, out of range, or off the declared grid.
        ConfigError: fewer prompts than `bundle_size`, or a single response per prompt.
    """
    rewards_PG = _checked(rewards_PG, config)
    scorable_PG = ~rewards_PG.isnan()
    kept_P = scorable_PG.any(1)
    kept = int(kept_P.sum())
    advantages_PG = torch.zeros_like(rewards_PG)
    if kept < config.bundle_size:  # so many unscorable prompts that no bundle is left: the step teaches nothing
        metrics = risk_metrics(rewards_PG, advantages_PG, None, None, config)
        return RiskStep(advantages_PG, metrics, state)

    used_PG = rewards_PG if kept == len(rewards_PG) else rewards_PG[kept_P]
    pairing = _pair(used_PG, config, generator)
    law = pairing.law()
    first = state.quantiles_L is None
    if state.quantiles_L is not None and len(state.quantiles_L) != len(config.spectrum.levels):
        raise ConfigError(
            f"the state tracks {len(state.quantiles_L)} quantiles, measure {config.measure!r} needs "
            f"{len(config.spectrum.levels)}: a state belongs to the measure it was tracked for."
        )
    quantiles_L = config.tracker.start(law) if first else torch.tensor(state.quantiles_L, dtype=torch.float64)
    signals_PG = pairing.signals(lambda scores: config.spectrum.signal(scores, quantiles_L, config.tie_width))
    centred_PG = _scaled(_centred(signals_PG, config.baseline), config)
    advantages_PG[kept_P] = centred_PG.nan_to_num_(nan=0.0)

    next_L = quantiles_L if first else config.tracker.update(quantiles_L, law)
    metrics = risk_metrics(rewards_PG, advantages_PG, law, quantiles_L, config)
    return RiskStep(advantages_PG, metrics, RiskState(tuple(next_L.tolist()), state.steps + 1))


def _checked(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    if rewards_PG.ndim != 2 or not rewards_PG.is_floating_point():
        raise RewardError(
            f"rewards must be a floating [prompts, responses] matrix, got {rewards_PG.dtype} of shape "
            f"{tuple(rewards_PG.shape)}."
        )
    prompts, responses = rewards_PG.shape
    if prompts < config.bundle_size:
        raise ConfigError(
            f"{prompts} prompts in a step cannot fill a bundle of {config.bundle_size}: lower `bundle_size` or raise "
            "the number of prompts per step."
        )
    if responses < 2:
        raise ConfigError(f"at least 2 responses per prompt are needed to compare any, got {responses}.")
    rewards_PG = rewards_PG.detach().to("cpu", torch.float64)
    low, high = config.reward_range
    slack = 1e-6 * (high - low)
    outside = (rewards_PG < low - slack) | (rewards_PG > high + slack)  # NaN compares false: unscorable is allowed
    if outside.any():
        raise RewardError(
            f"reward {rewards_PG[outside][0].item():g} lies outside the declared reward_range ({low:g}, {high:g}); set "
            "`reward_range` to the smallest and the largest reward that the (weighted, summed) reward functions give."
        )
    if config.ties == "continuous":
        config.grid.index(rewards_PG)  # raises off the grid; exact pairing looks there itself
    return rewards_PG


def _pair(rewards_PG: Tensor, config: RiskConfig, generator: torch.Generator) -> Pairing:
    """Composition, then pairing."""
    prompts = len(rewards_PG)
    order_P = torch.randperm(prompts, generator=generator) if config.composition == "random" else torch.arange(prompts)
    groups = compose(order_P, config.bundle_size)
    if config.pairing == "exact":
        return ExactPairing(rewards_PG, groups, config.grid)
    return RandomPairings(rewards_PG, groups, generator, config.num_pairings if config.pairing == "average" else 1)


def _centred(signals_PG: Tensor, baseline: str) -> Tensor:
    """Signals minus the baseline. NaN stays NaN; with `loo` a prompt's only scorable response has none left: 0."""
    if baseline == "anchor":
        return signals_PG
    over = (0, 1) if baseline == "batch" else (1,)
    # Measured from the lowest signal: equal signals then give exactly 0, not the rounding of their mean.
    above_PG = signals_PG - signals_PG.nan_to_num(nan=torch.inf).amin(over, keepdim=True)
    centred_PG = above_PG - above_PG.nanmean(over, keepdim=True)
    if baseline != "loo":
        return centred_PG
    count_P1 = (~signals_PG.isnan()).sum(1, keepdim=True, dtype=signals_PG.dtype)
    # A - mean of the others = n/(n-1) (A - mean of all).
    return centred_PG * (count_P1 / (count_P1 - 1).clamp(min=1))


def _scaled(signals_PG: Tensor, config: RiskConfig) -> Tensor:
    if config.scale == "none":
        return signals_PG
    std = signals_PG[~signals_PG.isnan()].std(correction=0)
    return signals_PG / std.clamp(min=config.scale_floor * config.reward_width)
