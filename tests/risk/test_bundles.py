"""Composition is a partition of the prompts, and random pairing uses every response once."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError, RewardError
from riskpo.risk.bundles import Grid, RandomPairings, compose

NAN = math.nan


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def identity(scores):
    return scores


# --- the grid of the rewards ---


def test_grid_by_hand():
    grid = Grid(low=-1.0, spacing=0.5, size=5)
    assert grid.index(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0.0, 2.0, 4.0]
    assert grid.index(torch.tensor([NAN])).isnan().all()
    assert grid.scores(torch.tensor([0.0, 3.0]), prompts=2).tolist() == [-2.0, -0.5]
    with pytest.raises(RewardError, match=r"reward 0\.51 is not on the declared grid \(-1 to 1 in steps of 0\.5\)"):
        grid.index(torch.tensor([0.5, 0.51]))


def test_grid_forgives_single_precision():
    tenths = torch.arange(11, dtype=torch.float32) / 10
    assert Grid(0.0, 0.1, 11).index(tenths.double()).tolist() == list(range(11))


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
