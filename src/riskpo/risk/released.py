"""The released code's estimator (github.com/RTkenny/RiskPO), number for number, for comparison with the paper's.

Formulas and settings are facts read in that code; docs/method.md lists its differences from the paper and their effect.
Axes as in `bundles.py`: P prompts, G responses, B prompts of a bundle, M bundle groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from riskpo.errors import ConfigError, RewardError, unknown_name

# The released constants: what keeps a division finite, from where a bundle's sum and a prompt's spread count.
_EPS = 1e-6
_LEAST_SUM = 1e-6
_LEAST_STD = 1e-3

_CHOICES = {
    "credit_assign_mode": ("uniform", "score", "std", "sum-mean"),
    "use_q_track_mode": ("track", "batch", "mix"),
}


@dataclass(frozen=True)
class Released:
    """The settings of the released advantage function, under its own names; the defaults are those of its hard run.

    Args:
        quantile_down: a, the lower quantile level, in (0, 1).
        quantile_up: b, the upper quantile level, in (a, 1).
        bundle_size: B, prompts per bundle, >= 1.
        credit_assign_mode: what a response gets of its bundle's signal: `uniform` (all of it), `score` (0.5 of it where
            the reward is positive, 1.5 otherwise), `std` (divided by the prompt's standard deviation), `sum-mean` (in
            proportion to the reward's distance from the prompt's mean).
        use_q_track_mode: the quantiles: `track` (the tracked ones, where passed), `batch` (of the group's own scores),
            `mix` (the mean of both). Without tracked ones, as in the released training, all three are `batch`.
        norm_adv_by_std_in_grpo: whether to divide by the standard deviation of the group's scores.
        use_mixing_risk_measure: lower tail and middle, weights w_mix : 1; exactly one of this and the next is true.
        risk_seeking_upper_tail: upper tail and middle, weights upper_weight : 1.
        w_mix: the weight of the lower tail's mean, >= 0.
        upper_weight: the weight of the upper tail's mean, >= 0.
        natural_baseline_adv: whether the middle's signal has the paper's constant q_a - q_b, which makes it <= 0.

    Raises:
        ConfigError: a value outside these bounds.
    """

    quantile_down: float = 0.2
    quantile_up: float = 0.8
    bundle_size: int = 5
    credit_assign_mode: str = "sum-mean"
    use_q_track_mode: str = "track"
    norm_adv_by_std_in_grpo: bool = True
    use_mixing_risk_measure: bool = True
    risk_seeking_upper_tail: bool = False
    w_mix: float = 1.5
    upper_weight: float = 1.5
    natural_baseline_adv: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(unknown_name(f"`{name}`", getattr(self, name), allowed))
        if not 0.0 < self.quantile_down < self.quantile_up < 1.0:
            raise ConfigError(
                "levels must satisfy 0 < quantile_down < quantile_up < 1, got "
                f"{self.quantile_down} and {self.quantile_up}."
            )
        if self.bundle_size < 1:
            raise ConfigError(f"`bundle_size` must be at least 1, got {self.bundle_size}.")
        if not (self.w_mix >= 0.0 and self.upper_weight >= 0.0):
            raise ConfigError(f"`w_mix` and `upper_weight` must be >= 0, got {self.w_mix} and {self.upper_weight}.")
        if self.use_mixing_risk_measure == self.risk_seeking_upper_tail:
            raise ConfigError(
                "exactly one of `use_mixing_risk_measure` and `risk_seeking_upper_tail` must be true, got "
                f"{self.use_mixing_risk_measure} for both."
            )


RELEASED: dict[str, Released] = {
    "released_hard": Released(),
    "released_easy": Released(quantile_up=0.9, credit_assign_mode="std", natural_baseline_adv=True),
    "released_risk_seeking": Released(
        credit_assign_mode="std",
        use_mixing_risk_measure=False,
        risk_seeking_upper_tail=True,
        natural_baseline_adv=True,
    ),
}


def released_advantages(rewards_PG: Tensor, released: Released, q_track: Tensor | None = None) -> Tensor:
    """What the released advantage function gives for these rewards, in float32 as there.

    Prompt n is in group n // B, bundle j of a group takes response j of each of its prompts, and prompts that do not
    fill a group form a short one, whose scores are sums over fewer responses. Equal to the released function up to the
    last digits of float32 (tests/risk/test_released.py: 24 of its recorded outputs).

    The released code knows no unscorable responses; the rule for them is derived here: where response j of a prompt is
    NaN, bundle j takes another of the prompt's responses in its place, the scorable ones in turn, as `RandomPairings`
    does. So every bundle is complete, every scorable response stays in its own bundle, and its second place brings it
    nothing. A prompt's mean and standard deviation are those of its scorable responses; a single one has no spread.

    Args:
        rewards_PG: P prompts x G >= 2 responses, any finite values; computed in float32, NaN = unscorable. Every prompt
            has at least one scorable response.
        released: the settings.
        q_track: the two tracked quantiles (lower, upper), in units of reward; None as in the released training, where
            they never reach this function.

    Returns:
        advantages_PG, float32; 0 where the reward is NaN.

    Raises:
        RewardError: not a [P, G >= 2] matrix, infinite rewards, a prompt without any scorable response, or a q_track
            that is not two finite numbers.
    """
    rewards_PG = _checked(rewards_PG)
    if q_track is not None:
        q_track = q_track.detach().to("cpu", torch.float32)
        if q_track.shape != (2,) or not q_track.isfinite().all():
            raise RewardError(f"`q_track` must be two finite quantiles, lower and upper, got {q_track.tolist()}.")
    prompts, responses = rewards_PG.shape
    full = prompts - prompts % released.bundle_size  # the prompts that fill groups
    parts = []
    if full:
        groups_MBG = rewards_PG[:full].view(-1, released.bundle_size, responses)
        parts.append(_group_advantages(groups_MBG, released, q_track).view(full, responses))
    if full < prompts:
        parts.append(_group_advantages(rewards_PG[None, full:], released, q_track)[0])
    return torch.cat(parts).masked_fill_(rewards_PG.isnan(), 0.0)


def _checked(rewards_PG: Tensor) -> Tensor:
    if rewards_PG.ndim != 2 or rewards_PG.shape[0] < 1 or rewards_PG.shape[1] < 2:
        raise RewardError(
            f"rewards must be a matrix of prompts by two or more responses, got shape {tuple(rewards_PG.shape)}."
        )
    rewards_PG = rewards_PG.detach().to("cpu", torch.float32)
    if rewards_PG.isinf().any():
        raise RewardError("rewards must be finite (NaN where a response cannot be scored), got an infinite one.")
    unscored_P = rewards_PG.isnan().all(1)
    if unscored_P.any():
        raise RewardError(
            f"prompt {int(unscored_P.nonzero()[0])} has no scorable response: leave such prompts out of the step."
        )
    return rewards_PG


def _group_advantages(rewards_MBG: Tensor, released: Released, q_track: Tensor | None) -> Tensor:
    """Advantages of M groups of B prompts each, B being fewer in a short last group."""
    partners_MBG = _stand_ins(rewards_MBG)
    scores_MG = _in_turn(partners_MBG)
    signal_MG = _signal(scores_MG, _quantiles(scores_MG, released, q_track), released)
    if released.norm_adv_by_std_in_grpo:
        signal_MG = signal_MG / (scores_MG.std(1, keepdim=True) + _EPS)
    return credited(signal_MG, rewards_MBG, partners_MBG, released.credit_assign_mode)


def _stand_ins(rewards_MBG: Tensor) -> Tensor:
    """Rewards with each prompt's NaN replaced by its scorable ones in turn: the first NaN by the first, and so on."""
    unscorable_MBG = rewards_MBG.isnan()
    if not unscorable_MBG.any():
        return rewards_MBG
    scorable_first_MBG = unscorable_MBG.to(torch.uint8).argsort(dim=-1, stable=True)
    scorable_MB1 = (~unscorable_MBG).sum(-1, keepdim=True)
    turn_MBG = (unscorable_MBG.cumsum(-1) - 1).clamp(min=0) % scorable_MB1
    stand_ins_MBG = rewards_MBG.gather(-1, scorable_first_MBG.gather(-1, turn_MBG))
    return torch.where(unscorable_MBG, stand_ins_MBG, rewards_MBG)


def _in_turn(values_MBG: Tensor) -> Tensor:
    """The sum over a group's prompts one after the other, as there: torch's own order of adding is not promised."""
    total_MG = torch.zeros_like(values_MBG[:, 0])
    for values_MG in values_MBG.unbind(1):
        total_MG = total_MG + values_MG
    return total_MG


def _quantiles(scores_MG: Tensor, released: Released, q_track: Tensor | None) -> Tensor:
    """The lower and the upper quantile of each group, [2, M, 1]; linear between order statistics unless tracked."""
    if q_track is not None and released.use_q_track_mode == "track":
        return q_track.view(2, 1, 1).expand(2, len(scores_MG), 1)
    levels = scores_MG.new_tensor([released.quantile_down, released.quantile_up])
    own_2M1 = torch.quantile(scores_MG, levels, dim=1, keepdim=True)
    if q_track is not None and released.use_q_track_mode == "mix":
        return 0.5 * (q_track.view(2, 1, 1) + own_2M1)
    return own_2M1


def _signal(scores_MG: Tensor, quantiles_2M1: Tensor, released: Released) -> Tensor:
    """The tail's and the middle's signal, each divided by its probability, as a weighted mean."""
    low, high = quantiles_2M1.unbind(0)
    a, b = released.quantile_down, released.quantile_up
    middle_MG = (scores_MG - low).clamp(min=0.0) - (scores_MG - high).clamp(min=0.0)
    if released.natural_baseline_adv:
        middle_MG = middle_MG + low - high
    middle_MG = middle_MG / (b - a + _EPS)
    if released.use_mixing_risk_measure:
        tail_MG = -(low - scores_MG).clamp(min=0.0) / (a + _EPS)
        return (released.w_mix * tail_MG + middle_MG) / (released.w_mix + 1.0)
    tail_MG = (scores_MG - high).clamp(min=0.0) / (1.0 - b + _EPS)
    return (released.upper_weight * tail_MG + middle_MG) / (released.upper_weight + 1.0)


def credited(signal_MG: Tensor, rewards_MBG: Tensor, partners_MBG: Tensor, mode: str) -> Tensor:
    """Each response's part of its bundle's signal, by the released rules.

    Args:
        signal_MG: M groups x G bundles.
        rewards_MBG: NaN = unscorable.
        partners_MBG: the same with every NaN replaced by the reward that stands in for it.
        mode: one of the values of `Released.credit_assign_mode`.

    Returns:
        advantages_MBG; any number, or NaN, where the reward is NaN.
    """
    credit_MBG = torch.ones_like(rewards_MBG)
    if mode == "score":
        credit_MBG = torch.where(rewards_MBG > 0.0, 0.5, 1.5)
    elif mode == "std":
        return signal_MG[:, None, :] / (_prompt_stds(rewards_MBG) + _EPS)
    elif mode == "sum-mean":
        above_MBG = partners_MBG - rewards_MBG.nanmean(-1, keepdim=True)
        total_M1G = _in_turn(above_MBG)[:, None, :]
        credit_MBG = torch.where(total_M1G.abs() > _LEAST_SUM, above_MBG / total_M1G, 1.0 / above_MBG.shape[1])
    return signal_MG[:, None, :] * credit_MBG


def _prompt_stds(rewards_MBG: Tensor) -> Tensor:
    """Each prompt's unbiased standard deviation, [M, B, 1]; 1 where there is (next to) none."""
    count_MB1 = (~rewards_MBG.isnan()).sum(-1, keepdim=True)
    squares_MB1 = (rewards_MBG - rewards_MBG.nanmean(-1, keepdim=True)).square().nansum(-1, keepdim=True)
    std_MB1 = (squares_MB1 / (count_MB1 - 1).clamp(min=1)).sqrt()
    return std_MB1.where(std_MB1 > _LEAST_STD, 1.0)
