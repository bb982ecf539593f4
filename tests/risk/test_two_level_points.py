"""Published methods are points of the two-level family: the peers, found inside it.

Bundles of one prompt; outer measure `mean`, whose signal is the inner value itself.
"""

import math

import pytest
import torch

from riskpo.risk import RiskConfig, RiskState, risk_advantages

NAN = math.nan
GRADED = [
    [0.25, 0.0, 1.0, 0.5, 0.5],
    [1.0, 1.0, 0.25, NAN, 0.0],
    [0.5] * 5,
    [0.75, NAN, NAN, NAN, 0.0],
    [NAN, 1, NAN, NAN, NAN],
]


def advantages(rows, **options):
    config = RiskConfig.from_preset("paper", options)
    rewards_PG = torch.as_tensor(rows, dtype=torch.float64)
    return risk_advantages(rewards_PG, config, RiskState(), torch.Generator()).advantages_PG


def two_level(rows, **options):
    return advantages(rows, estimator="two_level", measure="mean", **options)


def counts(n):
    """A prompt for each number of right responses, 0 to n, the right ones first."""
    return (torch.arange(n) < torch.arange(n + 1)[:, None]).double()


def own_effect(advantages_PG):
    """For c = 0 .. n - 1 right among the others: a right response's advantage minus a wrong one's, others alike.

    Row c + 1 holds the right one beside c others, row c the wrong one. The expected gradient is the mean of these over
    the others, times grad p: two estimators with the same effects differ in their baselines alone.
    """
    return advantages_PG[1:, 0] - advantages_PG[:-1, -1]


@pytest.mark.parametrize(("baseline", "peer"), [("prompt", "dr_grpo"), ("loo", "rloo")])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.5)])
def test_inner_mean_is_dr_grpo_or_rloo(baseline, peer, low, high):
    """n [u - mean over j' of u with r_j' in the place of r_j] = r - mean, u the mean of n."""
    rows = low + (high - low) * torch.tensor(GRADED, dtype=torch.float64)
    declared = {"reward_range": (low, high)}
    found = two_level(rows, baseline=baseline, reward_step=(high - low) / 4, **declared)
    torch.testing.assert_close(found, advantages(rows, estimator=peer, **declared), rtol=0, atol=1e-12)
    assert found.abs().max() > 0.1


@pytest.mark.parametrize("baseline", ["loo", "prompt"])
def test_best_of_one_is_the_mean(baseline):
    peer = {"loo": "rloo", "prompt": "dr_grpo"}[baseline]
    found = two_level(GRADED, inner="pass_at_k", k=1, baseline=baseline, reward_step=0.25)
    torch.testing.assert_close(found, advantages(GRADED, estimator=peer), rtol=0, atol=1e-12)
    pkpo = advantages(GRADED, estimator="pkpo", k=1)
    torch.testing.assert_close(pkpo, advantages(GRADED, estimator="rloo"), rtol=0, atol=0)


@pytest.mark.parametrize(("n", "k"), [(4, 2), (5, 4), (8, 3), (8, 8), (6, 1)])
def test_best_of_k_is_pkpo_up_to_the_baseline(n, k):
    """n [u(c + 1) - u(c)] = n C(n - c - 1, k - 1)/C(n, k), by hand, in both."""
    rows = counts(n)
    by_hand = torch.tensor([n * math.comb(n - c - 1, k - 1) / math.comb(n, k) for c in range(n)], dtype=torch.float64)
    found = own_effect(two_level(rows, inner="pass_at_k", k=k, baseline="loo"))
    torch.testing.assert_close(found, by_hand, rtol=0, atol=1e-12)
    torch.testing.assert_close(own_effect(advantages(rows, estimator="pkpo", k=k)), by_hand, rtol=0, atol=1e-12)
    whole = own_effect(two_level(rows, inner="pass_at_k", k=k, baseline="prompt"))
    torch.testing.assert_close(whole, (n - 1) / n * by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (7, 3), (7, 6), (6, 1)])
def test_best_of_k_is_pass_at_k_training_before_its_division(n, k):
    """k times the numerators of Chen et al. have (1 - k/n) times the effects, their own estimate being in the mean."""
    rows = counts(n)
    fail_P = torch.tensor([math.comb(n - right, k) / math.comb(n, k) for right in range(n + 1)], dtype=torch.float64)
    numerators = advantages(rows, estimator="pass_at_k", k=k) * (fail_P * (1 - fail_P)).sqrt()[:, None]
    effects = own_effect(two_level(rows, inner="pass_at_k", k=k, baseline="loo"))
    torch.testing.assert_close(k * own_effect(numerators), (1 - k / n) * effects, rtol=0, atol=1e-12)
    assert effects.max() > 0.1


def test_best_of_k_graded_is_pkpo_up_to_the_baseline():
    """What a response's own reward changes, others alike, for all pairs of values of the grid."""
    others, k = [0.25, 0.0, 1.0, 0.5, 0.5], 3
    rows = [[own, *others] for own in (0.0, 0.25, 0.5, 0.75, 1.0)]
    found = two_level(rows, inner="pass_at_k", k=k, baseline="anchor", reward_step=0.25)[:, 0]
    pkpo = advantages(rows, estimator="pkpo", k=k)[:, 0]
    torch.testing.assert_close(found - found[0], pkpo - pkpo[0], rtol=0, atol=1e-12)
    assert (pkpo[-1] - pkpo[0]) > 0.1


@pytest.mark.parametrize("beta", [2.0, -1.0])
@pytest.mark.parametrize("baseline", ["loo", "prompt"])
def test_inner_entropic_tends_to_rs_grpo(beta, baseline):
    """Three right of ten, thirty of a hundred, 300 of 1000: the difference falls as 1/n."""
    distances = []
    for n in (10, 100, 1000):
        rows = (torch.arange(n) < 0.3 * n).double()[None]
        found = two_level(rows, inner="entropic", entropic_beta=beta, baseline=baseline)
        distances.append((found - advantages(rows, estimator="rs_grpo", entropic_beta=beta)).abs().max().item())
    assert 0 < distances[2] < 2e-3
    assert distances[0] / distances[1] == pytest.approx(10, rel=0.25)
    assert distances[1] / distances[2] == pytest.approx(10, rel=0.05)


def test_inner_entropic_without_beta_is_the_mean():
    found = two_level(GRADED, inner="entropic", entropic_beta=0.0, baseline="prompt", reward_step=0.25)
    expected = advantages(GRADED, estimator="rs_grpo", entropic_beta=0.0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
