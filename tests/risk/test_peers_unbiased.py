"""What each peer is the gradient of: expectations over all outcomes of a prompt, exactly.

A coin stands for the language model: a response is right with probability p = sigmoid(theta), whence
grad log pi = reward - p and grad p = p (1 - p). The estimate of n responses is (1/n) sum A (reward - p).
"""

import itertools
import math

import numpy as np
import pytest
import torch

from riskpo.risk import RiskConfig
from riskpo.risk.peers import PEERS
from riskpo.risk.quantiles import ScoreLaw

N = 5
ACCURACIES = [0.05, 0.3, 0.5, 0.8]


def binomial(n, p):
    return np.array([math.comb(n, right) * p**right * (1 - p) ** (n - right) for right in range(n + 1)])


def gradient(name, p, n=N, low=0.0, high=1.0, **options):
    """E (1/n) sum A (reward - p), over all 2^n outcomes: one prompt an outcome."""
    right_PG = torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=torch.float64)
    chances_P = (p**right_PG * (1 - p) ** (1 - right_PG)).prod(1)
    config = RiskConfig(estimator=name, reward_range=(low, high), **options)
    advantages_PG = PEERS[name].advantages(low + (high - low) * right_PG, config)
    return float(chances_P @ (advantages_PG * (right_PG - p)).mean(1))


def gradient_by_count(name, p, n, **options):
    """The same over the n + 1 counts of right responses: responses of a kind fare alike."""
    rewards_PG = torch.tensor(np.tri(n + 1, n, -1))
    advantages_PG = PEERS[name].advantages(rewards_PG, RiskConfig(estimator=name, **options))
    return float(torch.tensor(binomial(n, p)) @ (advantages_PG * (rewards_PG - p)).mean(1))


def statistic_slope(p, config):
    """d/dp of E (the measure of k rewards' empirical law): P(c right) has slope P(c) (c/p - (k - c)/(1 - p))."""
    k = config.k
    laws = [ScoreLaw.of_samples((torch.arange(k) < right).double()) for right in range(k + 1)]
    right = np.arange(k + 1)
    return float((binomial(k, p) * (right / p - (k - right) / (1 - p))) @ [config.spectrum.value(law) for law in laws])


# (name, options, d objective / dp); the objective as the registry and the docstrings state it.
UNBIASED = [
    ("dr_grpo", {}, lambda p: (N - 1) / N),
    ("rloo", {}, lambda p: 1.0),
    *(("pkpo", {"k": k}, lambda p, k=k: k * (1 - p) ** (k - 1)) for k in range(1, N + 1)),
    ("nsr", {}, lambda p: 1.0),
    ("psr", {}, lambda p: 1.0),
    ("w_reinforce", {"positive_weight": 0.1}, lambda p: 1.1),
    ("maxrl", {}, lambda p: sum((1 - p) ** (j - 1) for j in range(1, N))),
    *(
        ("order_statistic", options, lambda p, options=options: statistic_slope(p, RiskConfig(**options)))
        for options in (
            {"k": 1, "measure": "mean"},
            {"k": 4},
            {"k": 3, "measure": "cvar", "risk_low": 0.5},
            {"k": 4, "measure": "upper_tail", "risk_low": 0.3, "risk_high": 0.6},
            {"k": 2, "measure": "custom", "spectrum_levels": (0.5,), "spectrum_weights": (0.0, 2.0)},
        )
    ),
]


@pytest.mark.parametrize("p", ACCURACIES)
@pytest.mark.parametrize(("name", "options", "slope"), UNBIASED)
def test_expected_gradient(name, options, slope, p):
    assert gradient(name, p, **options) == pytest.approx(slope(p) * p * (1 - p), abs=1e-12)


def test_every_claim_is_checked():
    assert {name for name, *_ in UNBIASED} == {name for name, peer in PEERS.items() if peer.unbiased}


@pytest.mark.parametrize(("name", "options", "slope"), UNBIASED)
def test_rewards_of_minus_one_and_one(name, options, slope):
    """Objectives in units of reward have twice the slope; those of right and wrong, and log p, the same."""
    factor = 1.0 if PEERS[name].two_valued or name == "maxrl" else 2.0
    found = gradient(name, 0.3, low=-1.0, high=1.0, **options)
    assert found == pytest.approx(factor * slope(0.3) * 0.3 * 0.7, abs=1e-12)


def test_best_of_two_by_order_statistics_is_pass_at_two():
    top_half = {"k": 2, "measure": "custom", "spectrum_levels": (0.5,), "spectrum_weights": (0.0, 2.0)}
    for p in ACCURACIES:
        assert gradient("order_statistic", p, **top_half) == pytest.approx(gradient("pkpo", p, k=2), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("p", ACCURACIES)
def test_numerators_of_pass_at_k(p, k):
    """k times the advantages before the division by sigma are unbiased for (1 - k/n) pass@k; after it they are not."""
    rewards_PG = torch.tensor(np.tri(N + 1, N, -1))
    advantages_PG = PEERS["pass_at_k"].advantages(rewards_PG, RiskConfig(estimator="pass_at_k", k=k))
    fail_P = torch.tensor([math.comb(N - right, k) / math.comb(N, k) for right in range(N + 1)], dtype=torch.float64)
    sigma_P1 = (fail_P * (1 - fail_P)).sqrt()[:, None]
    estimates_P = (k * sigma_P1 * advantages_PG * (rewards_PG - p)).mean(1)
    expected = (1 - k / N) * k * (1 - p) ** (k - 1) * p * (1 - p)
    assert float(torch.tensor(binomial(N, p)) @ estimates_P) == pytest.approx(expected, abs=1e-12)


# --- graded rewards: three answers with probabilities softmax(theta), grad log pi(a) = e_a - pi ---

POLICY = np.array([0.5, 0.3, 0.2])
REWARDS = np.array([0.0, 0.3, 1.0])
ANSWERS = np.array(list(itertools.product(range(3), repeat=N)))


def graded_gradient(name, **options):
    advantages_PG = PEERS[name].advantages(torch.tensor(REWARDS[ANSWERS]), RiskConfig(estimator=name, **options))
    scores_PGA = np.eye(3)[ANSWERS] - POLICY
    return POLICY[ANSWERS].prod(1) @ (advantages_PG.numpy()[..., None] * scores_PGA).mean(1)


def graded_slope(k, value):
    """The gradient of E value(k rewards), by its definition: sum over k-tuples of P(tuple) value sum_i (e_i - pi)."""
    tuples = np.array(list(itertools.product(range(3), repeat=k)))
    weights = POLICY[tuples].prod(1) * [value(REWARDS[chosen]) for chosen in tuples]
    return weights @ (np.eye(3)[tuples] - POLICY).sum(1)


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_best_of_k_graded(k):
    np.testing.assert_allclose(graded_gradient("pkpo", k=k), graded_slope(k, max), rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{"k": 4}, {"k": 3, "measure": "upper_tail"}, {"k": 2, "measure": "cvar"}])
def test_order_statistic_graded(options):
    spectrum = RiskConfig(**options).spectrum
    slope = graded_slope(options["k"], lambda row: spectrum.value(ScoreLaw.of_samples(torch.tensor(row))))
    np.testing.assert_allclose(graded_gradient("order_statistic", **options), slope, rtol=0, atol=1e-12)


def test_mean_graded():
    mean = graded_slope(1, lambda row: row[0])
    np.testing.assert_allclose(graded_gradient("rloo"), mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(graded_gradient("dr_grpo"), (N - 1) / N * mean, rtol=0, atol=1e-12)


def test_maxrl_graded_is_not_the_truncated_logarithm():
    """The docstring's reservation: with m = E r in the place of p, the truncated log has another gradient."""
    mean = REWARDS @ POLICY
    of_mean = graded_slope(1, lambda row: row[0])
    truncated = sum((1 - mean) ** (j - 1) for j in range(1, N)) * of_mean
    assert np.abs(graded_gradient("maxrl") - truncated).max() > 0.01


# --- the ones that are not unbiased: what they tend to ---

LIMITS = [
    ("grpo", {}, lambda p: 1 / math.sqrt(p * (1 - p))),
    # (1/beta) log(1 + p (e^beta - 1))
    ("rs_grpo", {"entropic_beta": 2.0}, lambda p: math.expm1(2.0) / 2.0 / (1 + p * math.expm1(2.0))),
    ("rs_grpo", {"entropic_beta": -2.0}, lambda p: math.expm1(-2.0) / -2.0 / (1 + p * math.expm1(-2.0))),
    # With b = 0 below 1 - K and 1 above, A is 1/std of a right response or -1/std of a wrong one: the same slope.
    ("qae", {}, lambda p: 1 / math.sqrt(p * (1 - p))),
    # pass@k over its deviation.
    ("pass_at_k", {"k": 2}, lambda p: (1 - p) / math.sqrt((1 - p) ** 2 * (1 - (1 - p) ** 2))),
]


@pytest.mark.parametrize("p", [0.3, 0.5, 0.8])
@pytest.mark.parametrize(("name", "options", "slope"), LIMITS)
def test_limits_of_the_biased_ones(name, options, slope, p):
    """Off at n = 5, within 1.5 % at n = 400, and nearer there than at n = 40."""
    errors = [abs(gradient_by_count(name, p, n, **options) / (slope(p) * p * (1 - p)) - 1) for n in (5, 40, 400)]
    assert errors[0] > 0.01
    assert errors[2] < 0.015
    assert errors[2] < errors[1]


def test_both_ways_of_summing_agree():
    assert gradient("grpo", 0.3) == pytest.approx(gradient_by_count("grpo", 0.3, N), abs=1e-14)
