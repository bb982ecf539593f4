"""The heart: rewards of a step in, advantages and risk metrics out. Both engines call `risk_advantages`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from riskpo.errors import ConfigError, RewardError
from riskpo.risk.bundles import ApproximatePairing, ExactPairing, Groups, Pairing, RandomPairings, collect, compose
from riskpo.risk.config import RiskConfig
from riskpo.risk.difficulty import order_prompts
from riskpo.risk.metrics import risk_metrics
from riskpo.risk.peers import PEERS
from riskpo.risk.quantiles import ScoreLaw
from riskpo.risk.released import RELEASED, released_advantages
from riskpo.risk.state import RiskState, RiskStep
from riskpo.risk.two_level import TwoLevelUnits

Signal = Callable[[Tensor], Tensor]


def risk_advantages(
    rewards_PG: Tensor,
    config: RiskConfig,
    state: RiskState,
    generator: torch.Generator,
    *,
    prompt_ids: Sequence[str] | None = None,
    progress: float = 0.0,
) -> RiskStep:
    """Advantages of one step's rewards, by any of the estimators; RiskPO's (arXiv 2510.00911, sec. 3) by default.

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
        prompt_ids: a stable name for each prompt, needed by compositions `sorted` and `stratified`.
        progress: the share of the training that is done, in [0, 1], for options on a schedule.

    Raises:
        RewardError: rewards that are not a floating [P, G] matrix, infinite, out of range, off the declared grid, or of
            more than two values for an estimator that takes two.
        ConfigError: a step too small for its bundles or for k, prompts without ids, a state of something else.
    """
    now = config.at(progress, state.risk_high)
    rewards_PG = _checked(rewards_PG, now)
    if prompt_ids is not None and len(prompt_ids) != len(rewards_PG):
        raise ConfigError(f"{len(prompt_ids)} prompt ids were given for {len(rewards_PG)} prompts.")
    if now.needs_difficulty and prompt_ids is None:
        raise ConfigError(f"composition={now.composition!r} needs `prompt_ids`: whose pass rates should it look up?")
    if now.estimator in PEERS or now.estimator in RELEASED:
        return _without_tracking(rewards_PG, now, state)

    kept_P = _kept(rewards_PG, now)
    kept = int(kept_P.sum())
    advantages_PG = torch.zeros_like(rewards_PG)
    if kept < now.bundle_size:  # so many unscorable prompts that no bundle is left: the step teaches nothing
        return RiskStep(advantages_PG, risk_metrics(rewards_PG, advantages_PG, None, None, now), state)
    used_PG = rewards_PG if kept == len(rewards_PG) else rewards_PG[kept_P]
    ids = [key for key, used in zip(prompt_ids or (), kept_P.tolist(), strict=False) if used]

    groups = _compose(used_PG, now, state, ids, generator)
    units = _units(used_PG, groups, now, generator)
    law = units.law()
    quantiles_L = _quantiles(law, config, now, state)
    first = quantiles_L is None
    if quantiles_L is None:
        quantiles_L = now.tracker.start(law)

    def signal(scores: Tensor) -> Tensor:
        return now.spectrum.signal(scores, quantiles_L, now.tie_width)

    if isinstance(units, TwoLevelUnits):
        centred_PG = units.advantages(signal, now.baseline)
    else:
        centred_PG = _centred(units.signals(signal), now.baseline)
    scaled_PG = _scaled(centred_PG, now)
    advantages_PG[kept_P] = scaled_PG.masked_fill(scaled_PG.isnan(), 0.0)

    next_L = quantiles_L if first else now.tracker.update(quantiles_L, law)
    metrics = risk_metrics(rewards_PG, advantages_PG, law, quantiles_L, now)
    slope = units.mean_slope(signal, *now.reward_range)
    metrics["risk/mean_slope"] = slope
    level = now.adaptive_level
    if level is not None or config.schedule is not None:
        metrics |= {f"risk/{name}": getattr(now, name) for name in ("risk_low", "risk_high", "tail_weight")}
    after = RiskState(
        tuple(next_L.tolist()),
        state.steps + 1,
        now.tracked,
        None if level is None else level.update(now.risk_high, slope),
        state.pass_rates,
    )
    if now.needs_difficulty:
        metrics["risk/frac_unseen_prompts"] = state.pass_rates.unseen(ids)
        shares_PG = (used_PG - now.reward_range[0]) / now.reward_width
        after = dataclasses.replace(after, pass_rates=state.pass_rates.after(ids, shares_PG, now.difficulty_decay))
    return RiskStep(advantages_PG, metrics, after, *_who_met_whom(units, groups, kept_P, rewards_PG))


def score_law(
    rewards_PG: Tensor,
    config: RiskConfig,
    state: RiskState,
    generator: torch.Generator,
    *,
    prompt_ids: Sequence[str] | None = None,
    progress: float = 0.0,
    groups_P: Tensor | None = None,
) -> ScoreLaw | None:
    """The law of the scores of a step, as `risk_advantages` sees it; None where there is none.

    Args:
        rewards_PG, config, state, generator, prompt_ids, progress: as there.
        groups_P: the group of each prompt where it is known (`RiskStep.groups_P`); None: composed anew.

    Raises:
        RewardError, ConfigError: as there.
    """
    now = config.at(progress, state.risk_high)
    rewards_PG = _checked(rewards_PG, now)
    if now.estimator in PEERS or now.estimator in RELEASED:
        return None
    kept_P = _kept(rewards_PG, now)
    if int(kept_P.sum()) < now.bundle_size:
        return None
    used_PG = rewards_PG[kept_P]
    if groups_P is not None:
        groups = compose(groups_P[kept_P].argsort(stable=True), now.bundle_size)
    else:
        ids = [key for key, used in zip(prompt_ids or (), kept_P.tolist(), strict=False) if used]
        groups = _compose(used_PG, now, state, ids, generator)
    return _units(used_PG, groups, now, generator).law()


def _kept(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    """Which prompts have responses enough to take part."""
    least = config.k if (config.estimator, config.inner) == ("two_level", "pass_at_k") else 1
    return (~rewards_PG.isnan()).sum(1) >= least


def _who_met_whom(
    units: Pairing | TwoLevelUnits, groups: Groups, kept_P: Tensor, rewards_PG: Tensor
) -> tuple[Tensor, Tensor | None]:
    """groups_P and bundles_PG of a `RiskStep`."""
    number_MB = torch.arange(len(groups.members_MB))[:, None].expand(groups.members_MB.shape)
    groups_P = torch.full((len(kept_P),), -1)
    groups_P[kept_P] = collect(number_MB, groups, int(kept_P.sum()))
    if not isinstance(units, RandomPairings) or units.pairings > 1:
        return groups_P, None
    bundles_PG = torch.full(rewards_PG.shape, -1)
    bundles_PG[kept_P] = units.bundles()
    return groups_P, bundles_PG.masked_fill_(rewards_PG.isnan(), -1)


def _checked(rewards_PG: Tensor, config: RiskConfig) -> Tensor:
    if rewards_PG.ndim != 2 or not rewards_PG.is_floating_point():
        raise RewardError(
            f"rewards must be a floating [prompts, responses] matrix, got {rewards_PG.dtype} of shape "
            f"{tuple(rewards_PG.shape)}."
        )
    config.check_step(*rewards_PG.shape)
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
    if config.estimator in PEERS and PEERS[config.estimator].two_valued:
        between = (rewards_PG > low + slack) & (rewards_PG < high - slack)
        if between.any():
            raise RewardError(
                f"estimator {config.estimator!r} knows right and wrong only, but a reward is "
                f"{rewards_PG[between][0].item():g}, between {low:g} and {high:g}: use rewards of two values and "
                "declare them as `reward_range`, or another estimator (`pkpo` takes graded rewards)."
            )
    return rewards_PG


def _without_tracking(rewards_PG: Tensor, config: RiskConfig, state: RiskState) -> RiskStep:
    """Peers and the released code: nothing is carried over but the number of steps."""
    unscorable_PG = rewards_PG.isnan()
    kept_P = ~unscorable_PG.all(1)
    advantages_PG = torch.zeros_like(rewards_PG)
    if kept_P.any():
        used_PG = rewards_PG[kept_P]
        if config.estimator in PEERS:
            advantages_PG[kept_P] = PEERS[config.estimator].advantages(used_PG, config)
        else:
            variant = dataclasses.replace(
                RELEASED[config.estimator],
                quantile_down=config.risk_low,
                quantile_up=config.risk_high,
                bundle_size=config.bundle_size,
            )
            advantages_PG[kept_P] = released_advantages(used_PG.float(), variant).double()
        scaled_PG = _scaled(advantages_PG.masked_fill(unscorable_PG, torch.nan), config)
        advantages_PG = scaled_PG.masked_fill(unscorable_PG, 0.0)
    metrics = risk_metrics(rewards_PG, advantages_PG, None, None, config)
    return RiskStep(advantages_PG, metrics, dataclasses.replace(state, steps=state.steps + 1))


def _compose(
    rewards_PG: Tensor, config: RiskConfig, state: RiskState, ids: Sequence[str], generator: torch.Generator
) -> Groups:
    prompts = len(rewards_PG)
    if config.composition == "consecutive":
        order_P = torch.arange(prompts)
    elif config.composition == "random":
        order_P = torch.randperm(prompts, generator=generator)
    else:
        rates_P = state.pass_rates.rates(ids)
        order_P = order_prompts(config.composition, rates_P, config.bundle_size, generator)
    return compose(order_P, config.bundle_size)


def _units(
    rewards_PG: Tensor, groups: Groups, config: RiskConfig, generator: torch.Generator
) -> Pairing | TwoLevelUnits:
    """What is scored: bundles of responses, or (groups of) prompts."""
    if config.estimator == "two_level":
        return TwoLevelUnits(rewards_PG, groups, config)
    if config.pairing == "exact":
        return ExactPairing(rewards_PG, groups, config.grid)
    if config.pairing == "approximate" and config.bundle_size > 1:  # else there is but one pairing, which is exact
        return ApproximatePairing(rewards_PG, groups, config.splitting_grid)
    return RandomPairings(rewards_PG, groups, generator, config.num_pairings if config.pairing == "average" else 1)


def _quantiles(law: ScoreLaw, config: RiskConfig, now: RiskConfig, state: RiskState) -> Tensor | None:
    """The tracked quantiles of this step; None where they start from its own scores."""
    if state.quantiles_L is None:
        return None
    if len(state.quantiles_L) != len(now.spectrum.levels) or state.tracked not in (None, now.tracked):
        if config.schedule is not None:  # what is tracked changed on schedule
            return None
        raise ConfigError(
            f"the state tracks {state.tracked or f'{len(state.quantiles_L)} quantiles'}, the options need "
            f"{now.tracked}: a state belongs to what it was tracked for."
        )
    return torch.tensor(state.quantiles_L, dtype=torch.float64)


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
