"""Composition is a partition, random pairing uses each response once, exact pairing is the mean over all pairings."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError, RewardError
from riskpo.risk.bundles import ExactPairing, Grid, RandomPairings, compose
from riskpo.risk.spectrum import Spectrum

NAN = math.nan
BINARY = Grid(0.0, 1.0, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def identity(scores):
    return scores


def paper_signal(scores):
    return Spectrum.mvar(0.2, 0.8, 0.5).signal(scores, torch.tensor([1.0, 2.4], dtype=torch.float64))


# --- the grid of the rewards ---


def test_grid_by_hand():
    grid = Grid(low=-1.0, spacing=0.5, size=5)
    assert grid.index(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0.0, 2.0, 4.0]
    assert grid.index(torch.tensor([NAN])).isnan().all()
    assert grid.scores(torch.tensor([0.0, 3.0]), prompts=2).tolist() == [-2.0, -0.5]
    with pytest.raises(RewardError, match=r"reward 0\.25 is not on the declared grid \(-1 to 1 in steps of 0\.5\)"):
        grid.index(torch.tensor([0.5, 0.25]))


# --- composition ---


def test_compose_by_hand():
    """Seven prompts in threes: the seventh borrows the two before it, who keep the advantages of their own group."""
    groups = compose(torch.tensor([6, 5, 4, 3, 2, 1, 0]), 3)
    assert groups.members_MB.tolist() == [[6, 5, 4], [3, 2, 1], [2, 1, 0]]
    assert groups.own_MB.tolist() == [[True] * 3, [True] * 3, [False, False, True]]


@given(prompts=st.integers(1, 40), data=st.data())
def test_compose_owns_every_prompt_once(prompts, data):
    bundle_size = data.draw(st.integers(1, prompts))
    groups = compose(torch.randperm(prompts, generator=generator()), bundle_size)
    assert groups.members_MB.shape == (math.ceil(prompts / bundle_size), bundle_size)
    assert sorted(groups.members_MB[groups.own_MB].tolist()) == list(range(prompts))
    assert all(len(set(members)) == bundle_size for members in groups.members_MB.tolist())


def test_compose_needs_a_bundle_of_prompts():
    with pytest.raises(ConfigError, match="4 prompts cannot fill a bundle of 5"):
        compose(torch.arange(4), 5)


# --- random pairing ---
# Response g of prompt p is rewarded (g + 1) * 10**p, so that a bundle's score spells out who is in it: digit p of the
# score is 1 + the response that prompt p sent, or 0 where it sent none.


def spelled(prompts, responses):
    place_P1 = 10.0 ** torch.arange(prompts, dtype=torch.float64)[:, None]
    return torch.arange(1, responses + 1) * place_P1


def digit(score, prompt):
    return int(score) // 10**prompt % 10


def test_random_pairing_uses_every_response_once():
    pairing = RandomPairings(spelled(6, 4), compose(torch.tensor([4, 0, 3, 5, 1, 2]), 3), generator())
    for members, scores in zip([(4, 0, 3), (5, 1, 2)], pairing.scores_KMG[0].tolist(), strict=True):
        for prompt in range(6):
            sent = sorted(digit(score, prompt) for score in scores)
            assert sent == ([1, 2, 3, 4] if prompt in members else [0, 0, 0, 0])


def test_each_response_gets_the_signal_of_its_own_bundle():
    scores_PG = RandomPairings(spelled(6, 4), compose(torch.arange(6), 3), generator()).signals(identity)
    for prompt, scores in enumerate(scores_PG.tolist()):
        assert [digit(score, prompt) for score in scores] == [1, 2, 3, 4]


def test_a_lent_prompt_keeps_the_signal_of_its_own_group():
    """Five prompts in threes: the second group is 2, 3, 4, but prompt 2 is only lent to it and scored in the first."""
    scores_PG = RandomPairings(spelled(5, 4), compose(torch.arange(5), 3), generator()).signals(identity)
    partners = [[other for other in range(5) if digit(row[0], other)] for row in scores_PG.tolist()]
    assert partners == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [2, 3, 4], [2, 3, 4]]


def test_unscorable_responses_are_never_partners():
    rewards_PG = spelled(6, 4)
    rewards_PG[1, 2] = NAN  # prompt 1 sends responses 1, 2, 4 and one of them twice
    rewards_PG[4, :3] = NAN  # prompt 4 has response 4 alone to send
    groups = compose(torch.arange(6), 3)
    pairing = RandomPairings(rewards_PG, groups, generator())
    assert not pairing.scores_KMG.isnan().any()
    first, second = pairing.scores_KMG[0].tolist()
    assert {digit(score, 1) for score in first} == {1, 2, 4}
    assert [digit(score, 4) for score in second] == [4, 4, 4, 4]
    for prompt, scores in ((0, first), (2, first), (3, second), (5, second)):
        assert sorted(digit(score, prompt) for score in scores) == [1, 2, 3, 4]

    signals_PG = pairing.signals(identity)
    assert torch.equal(signals_PG.isnan(), rewards_PG.isnan())
    assert [digit(score, 1) for score in signals_PG[1, [0, 1, 3]].tolist()] == [1, 2, 4]


def test_an_unscorable_response_changes_no_other_group():
    complete, groups = spelled(6, 4), compose(torch.arange(6), 3)
    partial = complete.clone()
    partial[1, 2] = NAN
    before = RandomPairings(complete, groups, generator()).signals(identity)
    after = RandomPairings(partial, groups, generator()).signals(identity)
    assert torch.equal(before[3:], after[3:])


def test_pairings_come_from_the_generator_alone():
    groups, everywhere = compose(torch.arange(6), 3), torch.get_rng_state()
    first, again, other = (RandomPairings(spelled(6, 4), groups, generator(seed)).scores_KMG for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), everywhere)


def test_several_pairings_are_averaged():
    """By definition: over the K drawn pairings, the mean of the signal of the bundle that the response is in."""
    pairing = RandomPairings(spelled(3, 4), compose(torch.arange(3), 3), generator(), pairings=5)
    for (prompt, response), signal in zip(
        itertools.product(range(3), range(4)), pairing.signals(torch.sqrt).flatten().tolist(), strict=True
    ):
        own = [score for score in pairing.scores_KMG.flatten().tolist() if digit(score, prompt) == response + 1]
        assert len(own) == 5
        assert signal == pytest.approx(sum(map(math.sqrt, own)) / 5)


# --- exact pairing ---


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
    print(saved.mean() / saved.std() * draws**0.5)
    assert saved.mean() > 4 * saved.std() / draws**0.5
