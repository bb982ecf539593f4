"""Bundles: which prompts share a group (composition), which responses share a bundle (pairing), and their scores.

Axes: P prompts, G responses per prompt, B prompts per bundle, M groups, K pairings, T atoms of a group's score law.
Unscorable responses are NaN: they never are partners, and whatever is computed for them is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from riskpo.errors import ConfigError, RewardError
from riskpo.risk.quantiles import ScoreLaw

Signal = Callable[[Tensor], Tensor]

# Probabilities after a Fourier transform and back are off by about 1e-16; smaller ones are taken to be none, so that a
# signal that is 0 wherever the score can lie is exactly 0 in expectation too.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Grid:
    """The declared grid of a prompt's rewards: low, low + spacing, ..., low + spacing * (size - 1).

    0/1 rewards are `Grid(0, 1, 2)`, rewards of +-1 are `Grid(-1, 2, 2)`.
    """

    low: float
    spacing: float
    size: int

    def index(self, rewards: Tensor) -> Tensor:
        """The grid index of each reward (same shape, float; NaN stays NaN).

        Raises:
            RewardError: a reward that is not on the grid.
        """
        exact = (rewards - self.low) / self.spacing
        index = exact.round()
        off = (exact - index).abs() > 1e-4
        if off.any():
            raise RewardError(
                f"reward {rewards[off][0].item():g} is not on the declared grid ({self.low:g} to "
                f"{self.low + self.spacing * (self.size - 1):g} in steps of {self.spacing:g}). Set `reward_step` to "
                "the spacing of the rewards, or use pairing='average' and ties='step', which need no grid."
            )
        return index

    def scores(self, index: Tensor, prompts: int) -> Tensor:
        """Scores, in units of reward, of bundles of `prompts` responses whose grid indices sum to `index`."""
        return prompts * self.low + self.spacing * index


@dataclass(frozen=True)
class Groups:
    """A composition: M groups of B prompts, such that every prompt is `own` in exactly one.

    Args:
        members_MB: prompt indices.
        own_MB: False where a prompt is only lent as a partner: its advantages come from another group.
    """

    members_MB: Tensor
    own_MB: Tensor


def compose(order_P: Tensor, bundle_size: int) -> Groups:
    """Consecutive groups of B of the prompts in `order_P` (paper, sec. 3.2, with a random order).

    Prompts that do not fill a bundle borrow the B - r prompts right before them in the order as partners, who keep the
    advantages of their own group (derived here; the paper is silent, the released code leaves a short bundle).

    Raises:
        ConfigError: fewer prompts than B.
    """
    prompts = len(order_P)
    if prompts < bundle_size:
        raise ConfigError(
            f"{prompts} prompts cannot fill a bundle of {bundle_size}: lower `bundle_size` or raise the number of "
            "prompts per step."
        )
    groups = -(-prompts // bundle_size)
    start_M = torch.arange(groups) * bundle_size
    start_M[-1] = prompts - bundle_size
    position_MB = start_M[:, None] + torch.arange(bundle_size)
    own_MB = position_MB >= (torch.arange(groups) * bundle_size)[:, None]
    return Groups(order_P[position_MB], own_MB)


class Pairing(Protocol):
    """How the responses of a group's prompts meet in bundles."""

    def law(self) -> ScoreLaw:
        """The law of a bundle's score in this step, over all groups."""

    def signals(self, signal: Signal) -> Tensor:
        """signals_PG: for each response the (mean) signal of its bundles' scores; NaN where unscorable."""


class RandomPairings:
    """Bundle j of a group takes response xi_i(j) of each prompt i, xi_i a random permutation (paper, eq. 7).

    Every scorable response is used; where a prompt has v < G of them, they repeat to fill the other prompts' bundles
    (derived here). More than one pairing averages the signal over independent draws.

    Args:
        rewards_PG: NaN = unscorable; every prompt has at least one scorable response.
        groups: the composition.
        generator: the source of the permutations.
        pairings: K, how many independent pairings.
    """

    def __init__(self, rewards_PG: Tensor, groups: Groups, generator: torch.Generator, pairings: int = 1) -> None:
        rewards_MBG = rewards_PG[groups.members_MB]
        unscorable_MBG = rewards_MBG.isnan()
        self._groups = groups
        self._unscorable_PG = rewards_PG.isnan()
        keys_KMBG = torch.rand((pairings, *rewards_MBG.shape), generator=generator)
        complete = not unscorable_MBG.any()
        if not complete:  # scorable responses first, in random order
            keys_KMBG.masked_fill_(unscorable_MBG, 2.0)
        self._order_KMBG = keys_KMBG.argsort(-1)
        chosen_KMBG = self._order_KMBG
        if not complete:
            scorable_MB1 = (~unscorable_MBG).sum(-1, keepdim=True)
            slots_G = torch.arange(rewards_PG.shape[1])
            chosen_KMBG = chosen_KMBG.gather(-1, (slots_G % scorable_MB1).expand_as(chosen_KMBG))
        self.scores_KMG = rewards_MBG.expand(chosen_KMBG.shape).gather(-1, chosen_KMBG).sum(2)

    def law(self) -> ScoreLaw:
        return ScoreLaw.of_samples(self.scores_KMG)

    def signals(self, signal: Signal) -> Tensor:
        # Slot j of a prompt with v responses repeats one where j >= v: each response keeps its first bundle's signal.
        slots_KMBG = signal(self.scores_KMG)[:, :, None, :].expand(self._order_KMBG.shape)
        signals_KMBG = torch.empty_like(slots_KMBG).scatter_(-1, self._order_KMBG, slots_KMBG)
        signals_PG = collect(signals_KMBG.mean(0), self._groups, len(self._unscorable_PG))
        return signals_PG.masked_fill_(self._unscorable_PG, torch.nan)


class ExactPairing:
    """The expectation of the signal over all pairings of a response with its group's other responses.

    The other prompts' score is a sum of independent draws from their empirical laws; its law is their convolution, so
    A_bar(i, r) = sum_s P(S = s) A(r + s) (derived here; equals the average over all G^(B-1) pairings, which the tests
    enumerate). Same expected gradient as a random pairing, never more variance (Rao-Blackwell).

    Args:
        rewards_PG: on the grid; NaN = unscorable; every prompt has at least one scorable response.
        groups: the composition.
        grid: the grid of the rewards.
    """

    def __init__(self, rewards_PG: Tensor, groups: Groups, grid: Grid) -> None:
        bundle_size = groups.members_MB.shape[1]
        atoms = bundle_size * (grid.size - 1) + 1
        self._groups = groups
        self._scorable_PG = ~rewards_PG.isnan()
        self._index_PG = grid.index(rewards_PG).nan_to_num_(0.0).long()
        weight_PG = self._scorable_PG.to(rewards_PG.dtype)
        counts_PS = weight_PG.new_zeros((len(rewards_PG), grid.size)).scatter_add_(1, self._index_PG, weight_PG)
        probs_PS = counts_PS / counts_PS.sum(-1, keepdim=True)

        # Convolution is a product after a Fourier transform; all leave-one-out products from prefixes and suffixes.
        freq_MBF = torch.fft.rfft(probs_PS, n=atoms)[groups.members_MB]
        one_M1F = torch.ones_like(freq_MBF[:, :1])
        before_MBF = torch.cat([one_M1F, freq_MBF[:, :-1].cumprod(1)], dim=1)
        after_MBF = torch.cat([freq_MBF[:, 1:].flip(1).cumprod(1).flip(1), one_M1F], dim=1)
        others = atoms - grid.size + 1  # atoms of the other prompts' score
        others_MBT = torch.fft.irfft(before_MBF * after_MBF, n=atoms)[..., :others]
        group_MT = torch.fft.irfft(before_MBF[:, -1] * freq_MBF[:, -1], n=atoms)
        self._others_MBT = torch.threshold(others_MBT, _ROUNDING, 0.0)
        group_MT = torch.threshold(group_MT, _ROUNDING, 0.0)
        self._probs_T = group_MT.mean(0) / group_MT.mean(0).sum()
        self._values_T = grid.scores(torch.arange(atoms, dtype=rewards_PG.dtype), bundle_size)

    def law(self) -> ScoreLaw:
        return ScoreLaw(self._values_T, self._probs_T)

    def signals(self, signal: Signal) -> Tensor:
        # Row k of the unfolded signal is A(score k + s) over the others' scores s: the response itself brings k.
        signal_ST = signal(self._values_T).unfold(0, self._others_MBT.shape[-1], 1)
        table_PS = collect(self._others_MBT @ signal_ST.T, self._groups, len(self._index_PG))
        return table_PS.gather(1, self._index_PG).masked_fill_(~self._scorable_PG, torch.nan)


def collect(per_member: Tensor, groups: Groups, prompts: int) -> Tensor:
    """Rows of a [M, B, ...] tensor in the order of the prompts, each from the group the prompt owns."""
    collected = per_member.new_empty((prompts, *per_member.shape[2:]))
    collected[groups.members_MB[groups.own_MB]] = per_member[groups.own_MB]
    return collected
