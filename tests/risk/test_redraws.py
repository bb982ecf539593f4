"""Redraws: the prior by hand, its concentration recovered, and draws that follow their laws."""

import math

import pytest
import torch

from riskpo.risk.redraws import MOST_CONCENTRATED, Pool, Population

NAN = math.nan


def matrix(rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_pool_by_hand():
    """Four prompts of two: 11, 10, 00, 00. With half a response at either end 3.5 of 9 are right: m = 3.5 / 9 and the
    total variance is v = m (1 - m) = .237654. Within prompts the unbiased variances are 0, .5, 0, 0, on average .125;
    with one more prompt of variance v, w = (4 x .125 + v) / 5 = .147531. The concentration is w / (v - w).
    """
    pool = Pool.of([matrix([[1, 1], [1, 0]]), matrix([[0, 0], [0, 0]])], (0.0, 1.0))
    assert pool.values_A.tolist() == [0, 1]
    assert pool.probs_A.tolist() == pytest.approx([5.5 / 9, 3.5 / 9])
    assert pool.concentration == pytest.approx(0.147531 / (0.237654 - 0.147531), rel=1e-4)


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.0), (2.0, 2.0), (0.3, 3.0)])
def test_concentration_is_recovered(a, b):
    """20,000 prompts with p ~ Beta(a, b): mean a / (a + b), concentration a + b, within 5 %."""
    torch.manual_seed(0)
    rates_P1 = torch.distributions.Beta(a, b).sample((20_000, 1)).double()
    pool = Pool.of([(torch.rand(20_000, 8) < rates_P1).double()], (0.0, 1.0))
    assert pool.probs_A[1].item() == pytest.approx(a / (a + b), rel=0.02)
    assert pool.concentration == pytest.approx(a + b, rel=0.05)


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_logs_without_any_difference(reward):
    """All wrong, or all right: the prior stays a law, and nothing divides by zero."""
    rewards_PG = torch.full((10, 4), reward, dtype=torch.float64)
    pool = Pool.of([rewards_PG], (0.0, 1.0))
    population = pool.population(rewards_PG, seed=0)
    assert 0.0 < pool.concentration < MOST_CONCENTRATED
    assert population.probs_PA.isfinite().all()
    assert population.draw(3, torch.Generator().manual_seed(0)).isfinite().all()


def test_prompts_that_are_all_alike():
    """Every prompt has exactly one right of two: less spread than chance would give."""
    assert Pool.of([matrix([[1, 0]] * 50)], (0.0, 1.0)).concentration == MOST_CONCENTRATED


def test_posterior_mean():
    """Pool at even shares with concentration 2, i.e. Beta(1, 1): 6 right of 6 gives 7/8, nothing scorable 1/2."""
    pool = Pool(matrix([0, 1]), matrix([0.5, 0.5]), 2.0)
    rewards_PG = matrix([[1.0] * 6, [NAN] * 6]).repeat(4000, 1)
    means_P = pool.population(rewards_PG, seed=0).means_P
    assert means_P[::2].mean().item() == pytest.approx(7 / 8, abs=0.01)
    assert means_P[1::2].mean().item() == pytest.approx(1 / 2, abs=0.02)


def test_continuous_rewards_come_from_the_prompt_and_the_pool():
    """Prompts around .2 and around .8, no two rewards equal: redraws stay near their own prompt's mean."""
    source = torch.Generator().manual_seed(0)
    rewards_PG = matrix([[0.2], [0.8]]).repeat(20, 1) + 0.1 * torch.rand(40, 8, generator=source).double()
    rewards_PG[0, 3] = NAN
    population = Pool.of([rewards_PG], (0.0, 1.0)).population(rewards_PG, seed=0)
    means_P, drawn_PG = population.means_P, population.draw(1, source)[0]
    assert (means_P[::2] < 0.5).all()
    assert (means_P[1::2] > 0.5).all()
    assert torch.isin(drawn_PG[~drawn_PG.isnan()], torch.cat([rewards_PG.flatten(), matrix([0, 1])])).all()
    assert drawn_PG.isnan().nonzero().tolist() == [[0, 3]]


def test_draws_follow_their_laws():
    """Means .1 and .5 over 20,000 draws of four: standard errors .001 and .0018. Variances are p (1 - p)."""
    population = Population.of_pass_rates(matrix([0.1, 0.5]), 4)
    rewards_DPG = population.draw(20_000, torch.Generator().manual_seed(0))
    assert rewards_DPG.shape == (20_000, 2, 4)
    assert rewards_DPG.mean((0, 2)).tolist() == pytest.approx([0.1, 0.5], abs=0.007)
    assert population.variances_P.tolist() == pytest.approx([0.09, 0.25])
    by_response_G = rewards_DPG[:, 1].T
    assert torch.corrcoef(by_response_G).fill_diagonal_(0.0).abs().max().item() < 0.035  # independent within a prompt


def test_a_seed_is_a_population():
    rewards_PG = matrix([[1, 0, 0], [1, 1, 0]])
    pool = Pool.of([rewards_PG], (0.0, 1.0))
    first, again, other = (pool.population(rewards_PG, seed).means_P.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    Pool(matrix([0, 1]), matrix([0.5, 0.5]), 2.0).population(matrix([[1, 0]]), seed=9)
    assert torch.equal(before, torch.random.get_rng_state())
