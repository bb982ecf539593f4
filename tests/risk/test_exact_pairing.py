"""Exact pairing is the mean over all pairings of a step, never more variable than one of them."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from riskpo.risk import bundles
from riskpo.risk.bundles import ExactPairing, Grid, RandomPairings, compose
from riskpo.risk.spectrum import Spectrum

NAN = math.nan
BINARY = Grid(0.0, 1.0, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def paper_signal(scores):
    return Spectrum.mvar(0.2, 0.8, 0.5).signal(scores, torch.tensor([1.0, 2.4], dtype=torch.float64))


def by_enumeration(rewards_PG, groups, signal):
    """The mean signal of each response over all bundles with the scorable responses of its group's other prompts."""
    scorable = [[reward for reward in row if not math.isnan(reward)] for row in rewards_PG.tolist()]
    signals_PG = torch.full_like(rewards_PG, NAN)
    for members, owned in zip(groups.members_MB.tolist(), groups.own_MB.tolist(), strict=True):
        for prompt in itertools.compress(members, owned):
            others = [sum(draw) for draw in itertools.product(*(scorable[m] for m in members if m != prompt))]
            for response, reward in enumerate(rewards_PG[prompt].tolist()):
                scores = torch.tensor([reward + other for other in others], dtype=torch.float64)
                signals_PG[prompt, response] = signal(scores).mean()
    return signals_PG


@st.composite
def steps(draw):
    """A grid, rewards on it with some unscorable (never all of a prompt's), and a composition with borrowed prompts."""
    grid = draw(st.sampled_from([BINARY, Grid(-1.0, 2.0, 2), Grid(0.0, 0.25, 5), Grid(-0.5, 0.1, 8)]))
    bundle_size, responses = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    indices = st.lists(st.integers(0, grid.size - 1) | st.none(), min_size=responses, max_size=responses)
    rows = draw(st.lists(indices.filter(lambda row: any(i is not None for i in row)), min_size=4, max_size=6))
    rewards = [[NAN if i is None else grid.low + grid.spacing * i for i in row] for row in rows]
    order = torch.tensor(draw(st.permutations(range(len(rows)))))
    return grid, torch.tensor(rewards, dtype=torch.float64), compose(order, bundle_size)


def test_exact_pairing_by_hand():
    """The others' score is 0, 1, 2 with probabilities 1/3, 1/2, 1/6, whose squares after adding 0 or 1 are averaged."""
    rewards_PG = torch.tensor([[0.0, 1.0, NAN], [1.0, 0.0, 0.0], [1.0, 0.0, NAN]], dtype=torch.float64)
    pairing = ExactPairing(rewards_PG, compose(torch.arange(3), 3), BINARY)
    signals_G = pairing.signals(torch.square)[0]
    assert signals_G[:2].tolist() == pytest.approx([0 / 3 + 1 / 2 + 4 / 6, 1 / 3 + 4 / 2 + 9 / 6])
    assert signals_G[2].isnan()
    assert pairing.law().values_N.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert pairing.law().probs_N.tolist() == pytest.approx([2 / 12, 5 / 12, 4 / 12, 1 / 12])


@given(steps())
def test_exact_pairing_is_the_mean_over_all_pairings(step):
    grid, rewards_PG, groups = step
    exact = ExactPairing(rewards_PG, groups, grid).signals(paper_signal)
    torch.testing.assert_close(
        exact, by_enumeration(rewards_PG, groups, paper_signal), rtol=0, atol=1e-9, equal_nan=True
    )


def test_exact_pairing_knows_an_impossible_score():
    """Exactly 0 from the Fourier transform too: always right, never below the top kink, no signal at all."""
    pairing = ExactPairing(torch.ones(20, 8, dtype=torch.float64), compose(torch.arange(20), 5), BINARY)
    assert (pairing.signals(paper_signal) == 0).all()
    assert pairing.law().probs_N.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def test_exact_pairing_keeps_what_is_rare():
    """Four partners, each right once in a hundred: a bundle of five right responses has probability 1e-8."""
    rewards_PG = torch.zeros(5, 100, dtype=torch.float64)
    rewards_PG[:, 0] = 1.0
    signals_PG = ExactPairing(rewards_PG, compose(torch.arange(5), 5), BINARY).signals(lambda scores: scores // 5)
    assert signals_PG[:, 0].tolist() == pytest.approx([1e-8] * 5, rel=1e-6)
    assert (signals_PG[:, 1:] == 0).all()


@given(steps())
def test_law_of_exact_pairing_is_over_all_bundles(step):
    """The mean of cos(R) and of R over all bundles of all groups, each group with the same weight."""
    grid, rewards_PG, groups = step
    law = ExactPairing(rewards_PG, groups, grid).law()
    scorable = [[reward for reward in row if not math.isnan(reward)] for row in rewards_PG.tolist()]
    for function in (math.cos, float):
        means = []
        for members in groups.members_MB.tolist():
            scores = [sum(draw) for draw in itertools.product(*(scorable[m] for m in members))]
            means.append(sum(map(function, scores)) / len(scores))
        under_law = sum(p * function(v) for v, p in zip(law.values_N.tolist(), law.probs_N.tolist(), strict=True))
        assert under_law == pytest.approx(sum(means) / len(means), abs=1e-9)


def test_random_pairings_average_to_the_exact_one():
    """Over 20000 pairings, each response's mean lies within 4.5 standard errors: chance of a miss 2e-4 over all 27."""
    source, draws = generator(), 20_000
    rewards_PG = (torch.rand(7, 4, generator=source) < 0.4).double()
    rewards_PG[2, 1] = NAN
    groups = compose(torch.randperm(7, generator=source), 3)
    pairings = RandomPairings(rewards_PG, groups, source, draws)
    mean = pairings.signals(paper_signal)
    variance = pairings.signals(lambda scores: paper_signal(scores).square()) - mean.square()
    error = (mean - ExactPairing(rewards_PG, groups, BINARY).signals(paper_signal)).abs()
    scorable = ~rewards_PG.isnan()
    assert (variance[scorable] > 0.01).any()
    assert (error[scorable] <= 4.5 * (variance[scorable].clamp(min=0) / draws).sqrt() + 1e-9).all()


@pytest.mark.parametrize("seed", range(8))
def test_exact_pairing_never_has_more_variance(seed):
    """Rao-Blackwell on the gradient sum_g A_g (r_g - p) of a bundle's prompts: 20000 draws of the rewards in one call.

    Both estimators have one mean, so their second moments differ as their variances do: the saving is positive by 4 of
    its standard errors, since a random pairing is never a function of the rewards alone.
    """
    prompts, responses, draws, source = 3, 4, 20_000, generator(seed)
    accuracy_B1 = 0.1 + 0.8 * torch.rand(prompts, 1, generator=source).double()
    rewards = (torch.rand(draws, prompts, responses, generator=source) < accuracy_B1).double()
    rewards_PG, groups = rewards.flatten(0, 1), compose(torch.arange(draws * prompts), prompts)

    def second_moments(pairing):
        signals = pairing.signals(paper_signal).view(draws, prompts, responses)
        return (signals * (rewards - accuracy_B1)).sum(-1).square().sum(-1)

    saved = second_moments(RandomPairings(rewards_PG, groups, source))
    saved -= second_moments(ExactPairing(rewards_PG, groups, BINARY))
    assert saved.mean() > 4 * saved.std() / draws**0.5


# --- graded rewards on fine grids ---


def graded(prompts, responses, levels, seed=0, unscorable=0.0):
    """Rewards on a grid of [0, 1], each prompt's around a level of its own."""
    source = generator(seed)
    spread_PG = 0.3 * torch.randn(prompts, responses, generator=source).double()
    rewards_PG = (torch.rand(prompts, 1, generator=source).double() + spread_PG).clamp(0.0, 1.0)
    rewards_PG = (rewards_PG * (levels - 1)).round() / (levels - 1)
    lost_PG = torch.rand(prompts, responses, generator=source) < unscorable
    lost_PG[:, 0] = False
    return rewards_PG.masked_fill(lost_PG, NAN)


def by_convolution(rewards_PG, groups, levels, signal):
    """Every leave-one-out law of its own, by np.convolve: additions of positive numbers alone, no transform."""
    index_PG = np.round(rewards_PG.numpy() * (levels - 1))
    laws = [np.bincount(row[~np.isnan(row)].astype(int), minlength=levels) / (~np.isnan(row)).sum() for row in index_PG]
    bundle_size = groups.members_MB.shape[1]
    signal_T = signal(torch.arange(bundle_size * (levels - 1) + 1).double() / (levels - 1)).numpy()
    signals_PG = np.full(index_PG.shape, NAN)
    for members, owned in zip(groups.members_MB.tolist(), groups.own_MB.tolist(), strict=True):
        for prompt in itertools.compress(members, owned):
            others = np.ones(1)
            for partner in members:
                others = np.convolve(others, laws[partner]) if partner != prompt else others
            for response, index in enumerate(index_PG[prompt]):
                if not np.isnan(index):
                    signals_PG[prompt, response] = others @ signal_T[int(index) :][: len(others)]
    return torch.from_numpy(signals_PG)


@pytest.mark.parametrize("levels", [2, 11, 101, 128, 129, 1001])
@pytest.mark.parametrize("bundle_size", [1, 5, 10])
def test_exact_pairing_is_the_direct_convolution(bundle_size, levels):
    """64 responses leave atoms of 64^-9: those below the rounding threshold take no more than 1e-10 away together."""
    rewards_PG = graded(12, 64, levels, unscorable=0.2)
    groups = compose(torch.randperm(12, generator=generator()), bundle_size)

    def signal(scores):
        quantiles_L = torch.tensor([0.35 * bundle_size, 0.6 * bundle_size], dtype=torch.float64)
        return Spectrum.mvar(0.2, 0.8, 0.5).signal(scores, quantiles_L)

    exact = ExactPairing(rewards_PG, groups, Grid(0.0, 1.0 / (levels - 1), levels)).signals(signal)
    expected = by_convolution(rewards_PG, groups, levels, signal)
    torch.testing.assert_close(exact, expected, rtol=0, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("levels", [2, 101, 1001])
def test_parts_are_the_whole(monkeypatch, levels):
    """13 prompts in threes, the last group borrowing two: worked through group by group, and all at once."""
    rewards_PG = graded(13, 6, levels, unscorable=0.3)
    groups, grid = compose(torch.randperm(13, generator=generator()), 3), Grid(0.0, 1.0 / (levels - 1), levels)
    whole = ExactPairing(rewards_PG, groups, grid)
    monkeypatch.setattr(bundles, "_HELD_AT_ONCE", 1)
    parts = ExactPairing(rewards_PG, groups, grid)
    assert (len(whole._parts), len(parts._parts)) == (1, 5)
    torch.testing.assert_close(parts.law().probs_N, whole.law().probs_N, rtol=0, atol=1e-14)
    torch.testing.assert_close(
        parts.signals(paper_signal), whole.signals(paper_signal), rtol=0, atol=1e-13, equal_nan=True
    )


class LargestTensor(TorchFunctionMode):
    """How many numbers the largest tensor holds that any operation returns."""

    numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("levels", [2, 101, 1001])
def test_memory_does_not_grow_with_the_step(levels):
    """2000 prompts x 4 in tens: at 1001 levels the laws of all hold 20 million numbers, those of a part 300 000."""
    rewards_PG, groups = graded(2000, 4, levels), compose(torch.arange(2000), 10)
    with LargestTensor() as largest:
        ExactPairing(rewards_PG, groups, Grid(0.0, 1.0 / (levels - 1), levels)).signals(paper_signal)
    assert largest.numbers <= 300_000


@pytest.mark.parametrize("levels", [101, 1001])
def test_a_signal_that_is_flat_where_the_score_lies_is_exactly_flat(levels):
    """Scores of five rewards of at least .8: at or above q_high = 2.4 the signal is 0; below q_low = 5.1 of an upper
    tail it is the constant -(q_high - q_low), whatever the response's own reward (its last digit does not count)."""
    rewards_PG = 0.8 + 0.2 * graded(10, 16, levels)
    rewards_PG = (rewards_PG * (levels - 1)).round() / (levels - 1)
    pairing = ExactPairing(rewards_PG, compose(torch.arange(10), 5), Grid(0.0, 1.0 / (levels - 1), levels))
    assert (pairing.signals(paper_signal) == 0).all()
    quantiles_L = torch.tensor([5.1, 5.5], dtype=torch.float64)
    flat_PG = pairing.signals(lambda scores: Spectrum.upper_tail(0.2, 0.8, 0.5).signal(scores, quantiles_L))
    assert levels == 101 or (flat_PG == flat_PG[:, :1]).all()
    assert flat_PG.flatten().tolist() == pytest.approx([-0.4] * 160, abs=1e-12)


@pytest.mark.parametrize("low", [0.0, 100.0])
def test_rewards_in_single_precision_are_on_a_fine_grid(low):
    """At 100 single precision is good to 4e-6, four thousandths of a grid of spacing .001; a real miss is a tenth."""
    grid = Grid(low, 0.001, 1001)
    index = grid.index((low + torch.arange(1001) / 1000).float().double())
    assert index.tolist() == list(range(1001))
    with pytest.raises(bundles.RewardError, match=r"not on the declared grid.*pairing='approximate'"):
        grid.index(torch.tensor([low + 0.0501], dtype=torch.float64))


# --- Rao-Blackwell, by enumeration ---

FEW = st.integers(0, 2)


@given(st.lists(st.lists(FEW, min_size=3, max_size=3), min_size=3, max_size=3), st.tuples(FEW, FEW))
def test_second_moment_of_a_random_pairing_is_never_less(rows, kinks):
    """All 3!^3 pairings of three prompts x three graded responses: E[A] is A_bar and E[A^2] >= A_bar^2 for each."""
    low, high = 0.5 * min(kinks), 0.5 * max(kinks) + 1.0

    def signal(scores):
        return Spectrum.mvar(0.2, 0.8, 0.5).signal(scores, torch.tensor([low, high], dtype=torch.float64))

    rewards_PG = 0.5 * torch.tensor(rows, dtype=torch.float64)
    permutations = torch.tensor(list(itertools.permutations(range(3))))
    chosen_KPG = permutations[
        torch.tensor(list(itertools.product(range(6), repeat=3)))
    ]  # slot g takes response [k,p,g]
    scores_KG = rewards_PG.expand(216, 3, 3).gather(2, chosen_KPG).sum(1)
    signals_KPG = torch.empty(216, 3, 3, dtype=torch.float64)
    signals_KPG.scatter_(2, chosen_KPG, signal(scores_KG)[:, None, :].expand(216, 3, 3))

    exact_PG = ExactPairing(rewards_PG, compose(torch.arange(3), 3), Grid(0.0, 0.5, 3)).signals(signal)
    torch.testing.assert_close(exact_PG, signals_KPG.mean(0), rtol=0, atol=1e-12)
    assert (signals_KPG.square().mean(0) >= exact_PG.square() - 1e-12).all()


PROBABILITIES = st.floats(0.02, 0.98)


@settings(deadline=None)
@given(st.tuples(PROBABILITIES, PROBABILITIES), st.floats(-0.5, 2.5), st.floats(-0.5, 2.5))
def test_gradient_of_a_random_pairing_never_has_less_variance(p, one, other):
    """All 16 outcomes of two prompts x two coins, and both pairings of each, with their probabilities.

    Per prompt the gradient sum_g A_g (r_g - p) has the same mean under both estimators, and exact pairing's variance is
    no larger: no sampling, no tolerance but rounding.
    """

    def signal(scores):
        quantiles_L = torch.tensor(sorted([one, other]), dtype=torch.float64)
        return Spectrum.mvar(0.2, 0.8, 0.5).signal(scores, quantiles_L)

    outcomes_NPG = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)), dtype=torch.float64).view(16, 2, 2)
    p_P1 = torch.tensor(p, dtype=torch.float64)[:, None]
    chances_N = torch.where(outcomes_NPG == 1.0, p_P1, 1.0 - p_P1).flatten(1).prod(1)

    def gradients(signals_NPG):
        return (signals_NPG * (outcomes_NPG - p_P1)).sum(2)

    pairing = ExactPairing(outcomes_NPG.flatten(0, 1), compose(torch.arange(32), 2), BINARY)
    exact_NP = gradients(pairing.signals(signal).view(16, 2, 2))
    straight_NG, crossed_NG = outcomes_NPG.sum(1), outcomes_NPG[:, 0] + outcomes_NPG[:, 1].flip(1)
    straight_NPG = torch.stack([signal(straight_NG)] * 2, dim=1)
    crossed_NPG = torch.stack([signal(crossed_NG), signal(crossed_NG).flip(1)], dim=1)
    both_KNP = torch.stack([gradients(straight_NPG), gradients(crossed_NPG)])

    mean_P = chances_N @ exact_NP
    torch.testing.assert_close(chances_N @ both_KNP.mean(0), mean_P, rtol=0, atol=1e-12)
    assert (chances_N @ both_KNP.square().mean(0) >= chances_N @ exact_NP.square() - 1e-12).all()
