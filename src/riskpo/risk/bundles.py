"""Bundles: which prompts share a group (composition), which responses share a bundle (pairing), and their scores.

Axes: P prompts, G responses per prompt, B prompts per bundle, M groups, K pairings, T atoms of a group's score law.
Unscorable responses are NaN: they never are partners, and whatever is computed for them is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from riskpo.errors import ConfigError, RewardError
from riskpo.risk.quantiles import ScoreLaw

Signal = Callable[[Tensor], Tensor]

# Probabilities after a Fourier transform and back are off by about 1e-16; smaller ones are taken to be none, so that a
# signal that is 0 wherever the score can lie is exactly 0 in expectation too. What is lost over all atoms T of a law is
# at most T * 1e-14 of the signal: 1e-10 for bundles of ten rewards of 1001 levels.
_ROUNDING = 1e-14
# Numbers in the laws of the groups worked on at a time: about 30 MB with everything made of them, and fast for it.
_HELD_AT_ONCE = 300_000
# Responses that a metric of random pairings looks at.
_LOOKED_AT = 65_536
# What the laws of a single group may hold when their grid is ours to choose.
_HELD_BY_GROUP = 1_000_000
# Up to so many reward levels a matrix product is faster than a Fourier transform.
_MATRIX_LEVELS = 128


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
        # Rewards come in single precision: on a fine grid far from 0 its rounding is more than the first term.
        largest = max(abs(self.low), abs(self.low + self.spacing * (self.size - 1)))
        off = (exact - index).abs() > min(1e-4 + 2.0**-23 * largest / self.spacing, 0.25)
        if off.any():
            raise RewardError(
                f"reward {rewards[off][0].item():g} is not on the declared grid ({self.low:g} to "
                f"{self.low + self.spacing * (self.size - 1):g} in steps of {self.spacing:g}). Set `reward_step` to "
                "the spacing of the rewards, or use ties='step' with pairing='approximate' or 'average', which need no "
                "grid."
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

    def mean_slope(self, signal: Signal, low: float, high: float) -> float:
        """E[A(S + high) - A(S + low)] / (high - low) over the scores S of a response's partners in this step.

        What a response gains when its reward goes from the lowest to the highest: the factor of the gradient of the
        mean reward (docs/method.md, section 2).
        """


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
        self._own_KMBG = rewards_MBG.expand(chosen_KMBG.shape).gather(-1, chosen_KMBG)
        self.scores_KMG = self._own_KMBG.sum(2)
        self.pairings = pairings

    def bundles(self) -> Tensor:
        """bundles_PG: the bundle of its group, from 0, that each response is in; of the first pairing."""
        slots_MBG = torch.arange(self._order_KMBG.shape[-1]).expand(self._order_KMBG.shape[1:])
        bundles_MBG = torch.empty_like(self._order_KMBG[0]).scatter_(-1, self._order_KMBG[0], slots_MBG)
        return collect(bundles_MBG, self._groups, len(self._unscorable_PG))

    def law(self) -> ScoreLaw:
        return ScoreLaw.of_samples(self.scores_KMG)

    def signals(self, signal: Signal) -> Tensor:
        # Slot j of a prompt with v responses repeats one where j >= v: each response keeps its first bundle's signal.
        slots_KMBG = signal(self.scores_KMG)[:, :, None, :].expand(self._order_KMBG.shape)
        signals_KMBG = torch.empty_like(slots_KMBG).scatter_(-1, self._order_KMBG, slots_KMBG)
        signals_PG = collect(signals_KMBG.mean(0), self._groups, len(self._unscorable_PG))
        return signals_PG.masked_fill_(self._unscorable_PG, torch.nan)

    def mean_slope(self, signal: Signal, low: float, high: float) -> float:
        # A number to look at: one pairing, and every so many groups of a large step, say enough.
        every = -(-self._own_KMBG[0].numel() // _LOOKED_AT)
        partners_MBG = self.scores_KMG[0, ::every, None, :] - self._own_KMBG[0, ::every]
        return float((signal(partners_MBG + high) - signal(partners_MBG + low)).mean()) / (high - low)


class ExactPairing:
    """The expectation of the signal over all pairings of a response with its group's other responses.

    The other prompts' score is a sum of independent draws from their empirical laws; its law is their convolution, so
    A_bar(i, r) = sum_s P(S = s) A(r + s) (derived here; equals the average over all G^(B-1) pairings, which the tests
    enumerate). Same expected gradient as a random pairing, never more variance (Rao-Blackwell).

    Groups are worked through in parts, so that memory beyond a few numbers a response does not grow with the step; time
    is proportional to the number of prompts.

    Args:
        rewards_PG: on the grid; NaN = unscorable; every prompt has at least one scorable response.
        groups: the composition.
        grid: the grid of the rewards.
    """

    def __init__(self, rewards_PG: Tensor, groups: Groups, grid: Grid) -> None:
        self._groups, self._grid = groups, grid
        bundle_size = groups.members_MB.shape[1]
        self._places = self._placed(rewards_PG, grid)
        self._atoms = bundle_size * (grid.size - 1) + 1
        self._length = _fast_length(self._atoms)
        rows = max(_HELD_AT_ONCE // (bundle_size * self._length), 1)
        groups_M = range(0, len(groups.members_MB), rows)
        self._parts = [slice(start, start + rows) for start in groups_M]
        self._only_part: Tensor | None = None

        # Means and transforms may change places: one inverse transform gives the mean law of all groups.
        total_F: Tensor | float = 0.0
        partners_F: Tensor | float = 0.0
        for part in self._parts:
            freq_MBF = self._transformed(groups.members_MB[part])
            others_MBF = _leave_one_out(freq_MBF)
            total_F = total_F + (freq_MBF[:, 0] * others_MBF[:, 0]).sum(0)
            partners_F = partners_F + others_MBF.sum((0, 1))
            if len(self._parts) == 1:
                self._only_part = others_MBF
        self._probs_T = self._mean_law(total_F)
        self._partner_probs_T = self._mean_law(partners_F)
        self._values_T = grid.scores(torch.arange(self._atoms, dtype=rewards_PG.dtype), bundle_size)

    def _mean_law(self, total_F: Any) -> Tensor:
        """probs_T of the mean of many laws, from the sum of their transforms; T also counts what no score reaches."""
        probs_T = torch.threshold(torch.fft.irfft(total_F, n=self._length)[: self._atoms], _ROUNDING, 0.0)
        return probs_T / probs_T.sum()

    @staticmethod
    def _placed(rewards_PG: Tensor, grid: Grid) -> list[tuple[Tensor, Tensor]]:
        """Where on the grid a response lies and with what share, NaN where unscorable: pairs (index_PG, share_PG)."""
        index_PG = grid.index(rewards_PG)
        return [(index_PG.nan_to_num(0.0).long(), index_PG * 0.0 + 1.0)]

    def _transformed(self, members_MB: Tensor) -> Tensor:
        """freq_MBF: the Fourier transform of the law of each member's reward."""
        counts_MBS = torch.zeros((*members_MB.shape, self._grid.size), dtype=self._places[0][1].dtype)
        for index_PG, share_PG in self._places:
            counts_MBS.scatter_add_(-1, index_PG[members_MB], share_PG[members_MB].nan_to_num_(0.0))
        freq_MBF: Tensor = torch.fft.rfft(counts_MBS / counts_MBS.sum(-1, keepdim=True), n=self._length)
        return freq_MBF

    def law(self) -> ScoreLaw:
        return ScoreLaw(self._values_T, self._probs_T)

    def signals(self, signal: Signal) -> Tensor:
        signal_T = signal(self._values_T)
        signals_PG = torch.empty_like(self._places[0][1])
        mean_of = self._by_matrix if self._grid.size <= _MATRIX_LEVELS else self._by_transform
        means = mean_of(signal_T)
        for part in self._parts:
            members_MB, own_MB = self._groups.members_MB[part], self._groups.own_MB[part]
            own_R, others_MBF = members_MB[own_MB], self._only_part
            if others_MBF is None:
                others_MBF = _leave_one_out(self._transformed(members_MB))
            # One row a prompt that its group owns: nearly always all of them, and a view is no copy.
            table_RS = means(others_MBF.flatten(0, 1) if own_MB.all() else others_MBF[own_MB])
            parts = [share_PG[own_R] * table_RS.gather(1, index_PG[own_R]) for index_PG, share_PG in self._places]
            signals_PG[own_R] = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
        return signals_PG

    def mean_slope(self, signal: Signal, low: float, high: float) -> float:
        partners_T = self._values_T - self._grid.low  # the lowest score of one prompt fewer
        rise_T = signal(partners_T + high) - signal(partners_T + low)
        return float((self._partner_probs_T * rise_T).sum()) / (high - low)

    def _others(self, freq_RF: Tensor) -> Tensor:
        """others_RT: the law of the other prompts' score, from its transform."""
        others = self._atoms - self._grid.size + 1
        return torch.threshold(torch.fft.irfft(freq_RF, n=self._length)[:, :others], _ROUNDING, 0.0)

    def _by_matrix(self, signal_T: Tensor) -> Callable[[Tensor], Tensor]:
        """From the transforms of the others' laws to table_RS, the mean signal of a response of each level.

        Row k of the unfolded signal is A(score k + s) over the others' scores s: the response itself brings k.
        """
        signal_TS = signal_T.unfold(0, self._atoms - self._grid.size + 1, 1).T.contiguous()
        return lambda freq_RF: self._others(freq_RF) @ signal_TS

    def _by_transform(self, signal_T: Tensor) -> Callable[[Tensor], Tensor]:
        """The same for many levels, where the matrix would be large, by one more Fourier transform.

        What one level more adds is the correlation of the others' law with the signal's increments. They are summed
        down from the highest level, so that a signal that is flat, or 0, where the score can lie is exactly so here.
        """
        size = self._grid.size
        rise_T = signal_T.diff()
        rise_F, rounding = torch.fft.rfft(rise_T, n=self._length), _ROUNDING * float(rise_T.abs().max())

        def table(freq_RF: Tensor) -> Tensor:
            top_R1 = (self._others(freq_RF) @ signal_T[size - 1 :])[:, None]
            rises_RS = torch.fft.irfft(freq_RF.conj() * rise_F, n=self._length)[:, : size - 1]
            rises_RS = rises_RS.masked_fill(rises_RS.abs() <= rounding, 0.0)
            return torch.cat([top_R1 - rises_RS.flip(1).cumsum(1).flip(1), top_R1], dim=1)

        return table


class ApproximatePairing(ExactPairing):
    r"""Exact pairing for rewards off any grid: every reward is split between its two neighbours on a fine one.

    A reward r between the grid's points x and x + h counts as x with probability 1 - f and as x + h with probability
    f = (r - x) / h, whose mean is r; a response's own reward is split like its partners'. The signal is then the exact
    pairing's for the split rewards. Its error is bounded (derived here; tests/risk/test_approximate_pairing.py
    enumerates). Split rewards are r_i + e_i, e_i independent of mean 0 and variance f (1 - f) h^2 <= h^2 / 4, so the
    error of a bundle's score, E = sum_{i=1..B} e_i, has mean 0 and E|E| <= sqrt(Var E) <= sqrt(B) h / 2. A has slopes
    between the spectrum's lowest and highest weight, w_min and w_max: A(x) = (w_min + w_max)/2 x + D(x), D with
    Lipschitz constant (w_max - w_min)/2. The linear part has no error in expectation, hence

        |A_bar_approximate - A_bar| <= (w_max - w_min)/2 sqrt(B) h / 2        for every response, given the quantiles.

    It is 0 for the mean; kinks of A met by scores halfway between points reach 71 % of it at B = 2, 84 % at B = 5.
    Rounding the partners to the nearest point would have w_max (B - 1) h / 2 instead: with MVaR's weights 1.5, 1, 0 and
    B = 5 a grid 3.6 times as fine. Leaving a response's own reward unsplit would have sqrt(B - 1) for sqrt(B), a grid a
    tenth coarser, but a signal that no table of the grid's points holds.

    The law of the scores, from which quantiles are tracked, is that of the split rewards too: of the same mean, each
    score moved by less than B h, by at most sqrt(B) h / 2 on average (the Wasserstein distance of the two laws). So
    each quantile F^-1(u) is off by less than B h, and the risk measure itself by no more than the bound above.

    Args:
        rewards_PG: within the grid's ends (what lies outside by rounding counts as the end); NaN = unscorable; every
            prompt has at least one scorable response.
        groups: the composition.
        grid: the grid to split on, see `splitting_grid`.
    """

    @staticmethod
    def _placed(rewards_PG: Tensor, grid: Grid) -> list[tuple[Tensor, Tensor]]:
        position_PG = ((rewards_PG - grid.low) / grid.spacing).clamp(0.0, grid.size - 1.0)
        below_PG = position_PG.floor().clamp(max=grid.size - 2.0)
        upper_PG, index_PG = position_PG - below_PG, below_PG.nan_to_num(0.0).long()
        return [(index_PG, 1.0 - upper_PG), (index_PG + 1, upper_PG)]


def splitting_grid(
    reward_range: tuple[float, float], bundle_size: int, weights: Sequence[float], largest_error: float
) -> Grid:
    """The coarsest grid over the rewards on which `ApproximatePairing` keeps its bound below an error.

    Args:
        reward_range: the lowest and the highest reward.
        bundle_size: B.
        weights: the spectrum's.
        largest_error: of a signal, in units of the reward range, > 0.

    Raises:
        ConfigError: an error so small that the laws of scores would not fit into memory.
    """
    low, high = reward_range
    cells = math.ceil((max(weights) - min(weights)) * math.sqrt(bundle_size) / (4.0 * largest_error))
    if bundle_size**2 * cells > _HELD_BY_GROUP:
        least = 1.06 * (max(weights) - min(weights)) * bundle_size**2.5 / (4.0 * _HELD_BY_GROUP)  # not rounded down
        raise ConfigError(
            f"`approximation_error` {largest_error:g} needs a grid of {cells} cells for bundles of {bundle_size}, too "
            f"many to convolve: allow an error of {least:.2g} or more, or use pairing='average', which needs no grid."
        )
    cells = max(cells, 1)
    return Grid(low, (high - low) / cells, cells + 1)


def _leave_one_out(factors_MBF: Tensor) -> Tensor:
    """For each of B factors the product of the others, from prefixes and suffixes: no division."""
    bundle_size = factors_MBF.shape[1]
    product_MBF = torch.empty_like(factors_MBF)
    product_MBF[:, 0] = 1.0
    # One position of the bundle at a time: up to ten times as fast as cumulative products along that axis.
    for b in range(1, bundle_size):
        torch.mul(product_MBF[:, b - 1], factors_MBF[:, b - 1], out=product_MBF[:, b])
    after_MF = factors_MBF[:, -1].clone()
    for b in range(bundle_size - 2, -1, -1):
        product_MBF[:, b] *= after_MF
        after_MF *= factors_MBF[:, b]
    return product_MBF


@cache
def _fast_length(least: int) -> int:
    """The smallest 2^a 3^b 5^c from `least` on: Fourier transforms of other lengths can be ten times slower."""
    odd = [3**b * 5**c for b in range(12) for c in range(9)]
    length: int = min(factor << (-(-least // factor) - 1).bit_length() for factor in odd)
    return length


def collect(per_member: Tensor, groups: Groups, prompts: int) -> Tensor:
    """Rows of a [M, B, ...] tensor in the order of the prompts, each from the group the prompt owns."""
    collected = per_member.new_empty((prompts, *per_member.shape[2:]))
    collected[groups.members_MB[groups.own_MB]] = per_member[groups.own_MB]
    return collected
