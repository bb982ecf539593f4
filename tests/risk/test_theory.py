"""What the objective does: random bundles weigh all prompts alike, and the estimators are unbiased for the measure.

A policy of independent coins stands for the language model: prompt i is answered rightly with probability
p_i = sigmoid(theta_i), whence grad log pi(response) = reward - p_i and grad p_i = p_i (1 - p_i).
"""

import itertools
import math

import numpy as np
import pytest
import torch

from riskpo.risk import RiskConfig, RiskState, risk_advantages


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- random bundles optimise the mean: maths.md (10) ---

RESPONSES = 10
RIGHT = (0, 1, 5, 9)  # right responses out of RESPONSES of four prompts, from hopeless to easy
FIXED = RiskState((1.0, 2.4), steps=1)


def weight_per_prompt(triples):
    """For each triple of prompts the exact E[A | right] - E[A | wrong] of its first: the multiplier of its grad p.

    The first prompt of a triple answers half its responses rightly, only to have both kinds: its own rate cannot
    matter. The partners answer at their own rates.
    """
    rights = torch.tensor([(RESPONSES // 2, RIGHT[second], RIGHT[third]) for _, second, third in triples])
    rewards_PG = (torch.arange(RESPONSES) < rights.flatten()[:, None]).double()
    config = RiskConfig(pairing="exact", composition="consecutive", bundle_size=3)
    first_MG = risk_advantages(rewards_PG, config, FIXED, generator()).advantages_PG[::3]
    return first_MG[:, 0] - first_MG[:, -1]


def binomial_weight(p):
    """E[A(S + 1) - A(S)] for S ~ Binomial(2, p); A rises 1.5 from 0 to 1, then 1, then .4 up to q_high = 2.4."""
    return (1 - p) ** 2 * 1.5 + 2 * p * (1 - p) * 1.0 + p**2 * 0.4


def test_random_partners_give_every_prompt_the_same_weight():
    """Over all partners drawn from the four prompts, the others' score is Binomial(2, mean accuracy), for everyone."""
    triples = list(itertools.product(range(4), repeat=3))
    weight_by_prompt = weight_per_prompt(triples).view(4, 16).mean(1)
    mean_accuracy = sum(RIGHT) / len(RIGHT) / RESPONSES
    assert weight_by_prompt.tolist() == pytest.approx([binomial_weight(mean_accuracy)] * 4, abs=1e-12)


def test_partners_of_the_same_difficulty_give_hard_prompts_more_weight():
    """Risk aversion over prompts, maths.md (11): sorted by difficulty, the weight falls with the accuracy."""
    weights = weight_per_prompt([(prompt,) * 3 for prompt in range(4)]).tolist()
    assert weights == pytest.approx([binomial_weight(right / RESPONSES) for right in RIGHT], abs=1e-12)
    assert weights == sorted(weights, reverse=True)


def test_simulated_weight_is_flat_in_difficulty():
    """200 prompts, accuracy ~ Beta(.5, 1), G = 8, B = 5, bundles drawn anew in each of 1500 steps of `exact`.

    Six bins of difficulty agree within 5 % (their standard errors are .3 to 1.1 %, largest where p < .05), and the mean
    gradient points where the gradient of the mean accuracy does.
    """
    source, steps = generator(), 1500
    accuracy_P1 = torch.rand(200, 1, generator=source).double().square()  # U^2 ~ Beta(.5, 1)
    config, state = RiskConfig.from_preset("exact"), RiskState((1.0, 2.0), steps=1)
    gradient_P = torch.zeros(200, dtype=torch.float64)
    for _ in range(steps):
        rewards_PG = (torch.rand(200, 8, generator=source) < accuracy_P1).double()
        advantages_PG = risk_advantages(rewards_PG, config, state, source).advantages_PG
        gradient_P += (advantages_PG * (rewards_PG - accuracy_P1)).mean(1) / steps

    of_mean_P = (accuracy_P1 * (1 - accuracy_P1)).squeeze(1)
    assert torch.cosine_similarity(gradient_P, of_mean_P, dim=0) >= 0.999
    bins_P = torch.bucketize(accuracy_P1.squeeze(1), torch.tensor([0.05, 0.2, 0.4, 0.6, 0.8]).double())
    weights = [(gradient_P[bins_P == b].sum() / of_mean_P[bins_P == b].sum()).item() for b in range(6)]
    assert max(weights) / min(weights) < 1.05


# --- unbiasedness: the mean of sum_i A_i grad log pi(y_i) is the gradient of the measure ---

THETA = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])  # seven prompts in threes: one group borrows two
BUNDLE = 3


def score_law(theta):
    """P(R = 0..3) of a bundle of three different prompts drawn at random, by enumeration of bundles and outcomes."""
    p = 1 / (1 + np.exp(-theta))
    law = np.zeros(BUNDLE + 1)
    bundles = list(itertools.combinations(range(len(theta)), BUNDLE))
    for bundle in bundles:
        for outcome in itertools.product((0, 1), repeat=BUNDLE):
            chances = [p[i] if right else 1 - p[i] for i, right in zip(bundle, outcome, strict=True)]
            law[sum(outcome)] += math.prod(chances) / len(bundles)
    return law


def distribution(law, x, width):
    """F(x) = P(R + U <= x), U uniform on a box of this width; of R itself for width 0."""
    atoms = np.arange(len(law))[:, None]
    share = (x >= atoms) if width == 0 else ((x - atoms) / width + 0.5).clip(0, 1)
    return law @ share


def risk(law, config):
    """rho = int phi(u) F^-1(u) du, integrated by parts: top Phi(1) - int Phi(F(x)) dx, Phi the integral of phi.

    Midpoints of cells of 1/2000 between the lowest and the highest value of R + U: exact for width 0.
    """
    edges = np.array([0.0, *config.spectrum.levels, 1.0])
    integral = np.concatenate([[0.0], np.cumsum(np.diff(edges) * config.spectrum.weights)])
    low, high = -config.tie_width / 2, BUNDLE + config.tie_width / 2
    x = np.arange(low, high, 1 / 2000) + 1 / 4000
    below = np.interp(distribution(law, x, config.tie_width), edges, integral)
    return high * integral[-1] - below.sum() / 2000


def quantiles(law, config):
    """F^-1(levels), found by bisection."""
    found = []
    for level in config.spectrum.levels:
        low, high = -1.0, BUNDLE + 1.0
        for _ in range(60):
            middle = (low + high) / 2
            if distribution(law, np.array([middle]), config.tie_width)[0] >= level:
                high = middle
            else:
                low = middle
        found.append(high)
    return tuple(found)


def exact_gradient(config):
    """Central differences of rho in each theta_i: nothing of the signal, of a baseline or of a pairing enters."""
    step = 1e-3 * np.eye(len(THETA))
    rise = [risk(score_law(THETA + h), config) - risk(score_law(THETA - h), config) for h in step]
    return np.array(rise) / 2e-3


VARIANTS = [
    {"pairing": "random"},
    {"pairing": "random", "baseline": "loo"},
    {"pairing": "random", "baseline": "prompt"},
    {"pairing": "average", "num_pairings": 3, "baseline": "loo"},
    {"pairing": "exact"},
    {"pairing": "exact", "baseline": "loo"},
    {"pairing": "exact", "baseline": "loo", "ties": "continuous"},
    {"pairing": "exact", "baseline": "loo", "measure": "upper_tail"},
]


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(map(str, options.values())))
def test_advantages_are_unbiased_for_the_gradient_of_the_measure(options):
    """With the true quantiles, which do not depend on the step; per bundle, i.e. B/P times the sum over prompts.

    1500 draws: each of the seven partial derivatives within 4.5 standard errors (a miss in all 56: chance 4e-4).
    Baseline `prompt` takes a part of the response itself away: it gives (G - 1)/G of the gradient, which is seen here.
    """
    config, draws, responses, source = RiskConfig(bundle_size=BUNDLE, **options), 1500, 4, generator()
    expected_P = exact_gradient(config) * ((responses - 1) / responses if config.baseline == "prompt" else 1)
    state = RiskState(quantiles(score_law(THETA), config), steps=1)
    p_P1 = torch.sigmoid(torch.from_numpy(THETA))[:, None]
    samples_NP = np.empty((draws, len(THETA)))
    for draw in range(draws):
        rewards_PG = (torch.rand(len(THETA), responses, generator=source) < p_P1).double()
        advantages_PG = risk_advantages(rewards_PG, config, state, source).advantages_PG
        samples_NP[draw] = (advantages_PG * (rewards_PG - p_P1)).mean(1) * BUNDLE / len(THETA)
    error_P = samples_NP.std(0) / draws**0.5
    assert (np.abs(samples_NP.mean(0) - expected_P) <= 4.5 * error_P).all()
    assert error_P.max() < 0.04 * np.abs(expected_P).max()


@pytest.mark.parametrize("ties", ["step", "continuous"])
@pytest.mark.parametrize("measure", ["mean", "cvar", "rvar", "mvar", "upper_tail"])
def test_signal_gives_the_gradient_of_the_measure(measure, ties):
    """maths.md (5) without sampling: sum_R A(R) dP(R)/dtheta is d rho/dtheta, atoms and ties included."""
    config = RiskConfig(measure=measure, ties=ties, bundle_size=BUNDLE)
    quantiles_L = torch.tensor(quantiles(score_law(THETA), config), dtype=torch.float64)
    signal = config.spectrum.signal(torch.arange(BUNDLE + 1).double(), quantiles_L, config.tie_width).numpy()
    step = 1e-3 * np.eye(len(THETA))
    by_signal = [signal @ (score_law(THETA + h) - score_law(THETA - h)) / 2e-3 for h in step]
    np.testing.assert_allclose(by_signal, exact_gradient(config), rtol=0, atol=1e-4)
