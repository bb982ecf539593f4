"""Exact pairing is the mean over all pairings of a step, never more variable than one of them."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
