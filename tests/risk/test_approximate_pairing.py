"""Approximate pairing: exact pairing for rewards off any grid, within an error that is proven and reached."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riskpo.errors import ConfigError, RewardError
from riskpo.risk import RiskConfig, RiskState, Spectrum, risk_advantages
from riskpo.risk.bundles import ApproximatePairing, ExactPairing, Grid, compose, splitting_grid

NAN = math.nan
ROUNDING = 1e-11  # of the arithmetic, beside which the bound is about the mathematics


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_enumeration(rewards_PG, groups, signal):
    """The mean signal of each response over all bundles with the scorable responses of its group's other prompts."""
    scorable = [[reward for reward in row if not math.isnan(reward)] for row in rewards_PG.tolist()]
    signals_PG = torch.full_like(rewards_PG, NAN)
    for members, owned in zip(groups.members_MB.tolist(), groups.own_MB.tolist(), strict=True):
        for prompt in itertools.compress(members, owned):
            others = [sum(draw) for draw in itertools.product(*(scorable[m] for m in members if m != prompt))]
            others = torch.tensor(others, dtype=torch.float64)
            signals_PG[prompt] = signal(rewards_PG[prompt][:, None] + others).mean(1)
    return signals_PG


# --- by hand ---
# B = 2, one cell [0, 1]: the reward 1/4 of prompt 0 counts as 0 (3/4) and 1 (1/4), prompt 1's 1/2 as 0 and 1 alike. The
# split score is 0, 1, 2 with probabilities 3/8, 4/8, 1/8. A(0), A(1), A(2) = -2.5, -1, 0 for quantiles 1, 2.


def corner_signal(scores):
    return Spectrum.mvar(0.2, 0.8, 0.5).signal(scores, torch.tensor([1.0, 2.0], dtype=torch.float64))


def test_approximate_pairing_by_hand():
    rewards_PG = torch.tensor([[0.25, NAN], [0.5, 0.5]], dtype=torch.float64)
    pairing = ApproximatePairing(rewards_PG, compose(torch.arange(2), 2), Grid(0.0, 1.0, 2))
    assert pairing.law().values_N.tolist() == [0.0, 1.0, 2.0]
    assert pairing.law().probs_N.tolist() == pytest.approx([3 / 8, 4 / 8, 1 / 8])
    expected = -2.5 * 3 / 8 - 4 / 8
    (first, lost), second = pairing.signals(corner_signal).tolist()
    assert [first, *second] == pytest.approx([expected] * 3)
    assert math.isnan(lost)


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        # (w_max - w_min) sqrt(B) / (4 error): 1.5 * 2 / .04 = 75
        ({"bundle_size": 4}, 75),
        ({"bundle_size": 4, "approximation_error": 0.1}, 8),  # 7.5
        ({"bundle_size": 4, "reward_range": (-3.0, 1.0)}, 75),
        ({"bundle_size": 4, "measure": "cvar", "risk_low": 0.1}, 500),
        ({"measure": "mean"}, 1),
        ({"approximation_error": 50.0}, 1),
    ],
)
def test_the_grid_is_as_coarse_as_the_error_allows(options, cells):
    config = RiskConfig(pairing="approximate", **options)
    low, high = config.reward_range
    assert config.splitting_grid == Grid(low, (high - low) / cells, cells + 1)


# --- the bound ---

WEIGHTS = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=4).filter(any)


@st.composite
def steps(draw):
    """Real rewards, some unscorable, borrowed prompts, any spectrum, kinks anywhere, an error."""
    low, width = draw(st.sampled_from([(0.0, 1.0), (-1.0, 2.0), (3.0, 0.5)]))
    bundle_size, responses = draw(st.integers(2, 4)), draw(st.integers(2, 3))
    shares = st.lists(st.floats(0.0, 1.0) | st.none(), min_size=responses, max_size=responses)
    rows = draw(st.lists(shares.filter(lambda row: any(f is not None for f in row)), min_size=4, max_size=5))
    rewards_PG = torch.tensor([[NAN if f is None else low + width * f for f in row] for row in rows]).double()
    rewards_PG = rewards_PG.clamp(low, low + width)
    weights = draw(WEIGHTS)
    kinks = st.floats(bundle_size * low, bundle_size * (low + width))
    quantiles = sorted(draw(st.lists(kinks, min_size=len(weights) - 1, max_size=len(weights) - 1)))
    groups = compose(torch.tensor(draw(st.permutations(range(len(rows))))), bundle_size)
    return (low, low + width), rewards_PG, groups, weights, quantiles, draw(st.sampled_from([0.3, 0.05, 0.01]))


@settings(deadline=None)
@given(steps(), st.sampled_from([0.0, 0.2]))
def test_the_error_never_exceeds_the_bound(step, tie_width):
    """Over all pairings, for any spectrum, smoothed at ties or not."""
    reward_range, rewards_PG, groups, weights, quantiles, error = step
    levels = tuple((i + 1) / len(weights) for i in range(len(weights) - 1))
    spectrum, quantiles_L = Spectrum(levels, tuple(weights)), torch.tensor(quantiles, dtype=torch.float64)

    def signal(scores):
        return spectrum.signal(scores, quantiles_L, tie_width)

    grid = splitting_grid(reward_range, groups.members_MB.shape[1], weights, error)
    found = ApproximatePairing(rewards_PG, groups, grid).signals(signal)
    missed = (found - by_enumeration(rewards_PG, groups, signal)).abs()
    assert torch.equal(missed.isnan(), rewards_PG.isnan())
    assert missed.nan_to_num(0.0).max() <= error * (reward_range[1] - reward_range[0]) + ROUNDING


def mean_distance(steps):
    """E|sum of n signs|, by enumeration."""
    return sum(abs(sum(signs)) for signs in itertools.product((-1, 1), repeat=steps)) / 2**steps


@pytest.mark.parametrize("bundle_size", [2, 3, 5])
def test_the_bound_is_reached_up_to_what_is_known_of_it(bundle_size):
    """All rewards halfway between two points, and the signal's only kink at the score: A(x) = -1.5 (q - x)^+.

    Splitting then moves the score by h/2 times a sum of B signs: an error of 1.5/2 E|E| = 1.5/2 h/2 E|sum of B signs|.
    Beside the bound with sqrt(B) for that mean it is .71, .87, .84 for B = 2, 3, 5.
    """
    grid = splitting_grid((0.0, 1.0), bundle_size, (1.5, 0.0), 0.05)
    reward = (grid.size // 2 + 0.5) * grid.spacing
    rewards_PG = torch.full((bundle_size, 2), reward, dtype=torch.float64)

    def signal(scores):
        return -1.5 * (bundle_size * reward - scores).clamp(min=0.0)

    found = ApproximatePairing(rewards_PG, compose(torch.arange(bundle_size), bundle_size), grid).signals(signal)
    distance = mean_distance(bundle_size)
    assert found.flatten().tolist() == pytest.approx([-1.5 / 2 * grid.spacing / 2 * distance] * 2 * bundle_size)
    bound = 1.5 / 2 * bundle_size**0.5 * grid.spacing / 2
    assert found.abs().max() / bound == pytest.approx(distance / bundle_size**0.5)
    assert 0.9 * 0.05 < bound <= 0.05


def test_a_linear_signal_has_no_error():
    """Splitting keeps the mean: on a single cell too, the mean objective is exact."""
    rewards_PG = torch.rand(6, 4, generator=generator()).double()
    groups = compose(torch.arange(6), 3)
    found = ApproximatePairing(rewards_PG, groups, splitting_grid((0.0, 1.0), 3, (1.0,), 0.01)).signals(lambda s: s)
    torch.testing.assert_close(found, by_enumeration(rewards_PG, groups, lambda s: s), rtol=0, atol=1e-12)


def test_rewards_on_the_grid_are_exact():
    rewards_PG = torch.randint(0, 6, (12, 4), generator=generator()).double() / 5
    groups, grid = compose(torch.arange(12), 4), Grid(0.0, 0.2, 6)
    exact, approximate = (pairing(rewards_PG, groups, grid) for pairing in (ExactPairing, ApproximatePairing))
    torch.testing.assert_close(approximate.signals(corner_signal), exact.signals(corner_signal), rtol=0, atol=1e-12)
    torch.testing.assert_close(approximate.law().probs_N, exact.law().probs_N, rtol=0, atol=1e-12)


# --- the law of the scores ---


@settings(deadline=None)
@given(steps())
def test_the_law_keeps_its_mean_and_stays_near(step):
    """Of all bundles of all groups: the same mean, W1 <= sqrt(B) h / 2, each quantile within B h, and hence the risk
    measure within the signal's bound."""
    reward_range, rewards_PG, groups, weights, _, error = step
    bundle_size = groups.members_MB.shape[1]
    grid = splitting_grid(reward_range, bundle_size, weights, error)
    law = ApproximatePairing(rewards_PG, groups, grid).law()
    scorable = [[reward for reward in row if not math.isnan(reward)] for row in rewards_PG.tolist()]
    scores, chances = [], []
    for members in groups.members_MB.tolist():
        drawn = [sum(draw) for draw in itertools.product(*(scorable[m] for m in members))]
        scores += drawn
        chances += [1 / len(drawn) / len(groups.members_MB)] * len(drawn)
    values, order = torch.tensor(scores, dtype=torch.float64).sort()
    true = type(law)(values, torch.tensor(chances, dtype=torch.float64)[order])

    edges = torch.linspace(0.0, 1.0, 4001).double()
    # Between two levels the integral of F^-1 over them, by their distance, is its mean there.
    apart = (law.lower_integral(edges).diff() - true.lower_integral(edges).diff()) * 4000
    assert law.mean() == pytest.approx(true.mean(), abs=ROUNDING)
    assert apart.abs().mean() <= bundle_size**0.5 * grid.spacing / 2 + ROUNDING
    assert apart.abs().max() <= bundle_size * grid.spacing + 1e-7  # means over 1/4000 of the law, by differences
    spectrum = Spectrum(tuple((i + 1) / len(weights) for i in range(len(weights) - 1)), tuple(weights))
    missed = abs(spectrum.value(law) - spectrum.value(true))
    assert missed <= error * (reward_range[1] - reward_range[0]) + ROUNDING


# --- as an option ---

BEFORE = RiskState((1.7, 3.1), steps=3)
APPROXIMATE = {"pairing": "approximate", "composition": "consecutive"}


def test_approximate_steps_are_near_exact_ones():
    """On a grid of 101 levels, at an error of .01: each advantage within it of exact pairing's, none far below."""
    rewards_PG = torch.randint(0, 101, (40, 8), generator=generator()).double() / 100
    found, exact = (
        risk_advantages(rewards_PG, RiskConfig(**APPROXIMATE | options), BEFORE, generator()).advantages_PG
        for options in ({}, {"pairing": "exact", "reward_step": 0.01})
    )
    missed = (found - exact).abs()
    assert missed.max() <= 0.01
    assert missed.max() > 1e-6  # it is another grid


def test_a_smaller_error_is_a_smaller_error():
    """Its square root of a hundredth: for smooth laws the error falls with the square of the spacing."""
    rewards_PG = torch.rand(10, 6, generator=generator()).double()
    groups = compose(torch.arange(10), 5)
    quantiles_L = torch.tensor(BEFORE.quantiles_L, dtype=torch.float64)

    def signal(scores):
        return RiskConfig().spectrum.signal(scores, quantiles_L)

    true = by_enumeration(rewards_PG, groups, signal)
    errors = []
    for allowed in (0.1, 0.01, 0.001):
        config = RiskConfig(**APPROXIMATE, approximation_error=allowed)
        found = risk_advantages(rewards_PG, config, BEFORE, generator()).advantages_PG
        errors.append((found - true).abs().max().item())
        assert errors[-1] <= allowed
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0


@pytest.mark.parametrize("baseline", ["anchor", "batch", "prompt", "loo"])
def test_unscorable_and_equal_responses(baseline):
    """NaN gets 0; of two equal responses neither is preferred, exactly; a prompt without any takes no part."""
    rewards_PG = torch.rand(12, 5, generator=generator()).double()
    rewards_PG[2] = 0.123
    rewards_PG[3, 1:] = NAN
    rewards_PG[5] = NAN
    step = risk_advantages(rewards_PG, RiskConfig(**APPROXIMATE, baseline=baseline), BEFORE, generator())
    assert step.advantages_PG.isfinite().all()
    assert (step.advantages_PG[rewards_PG.isnan()] == 0).all()
    assert len(set(step.advantages_PG[2].tolist())) == 1
    if baseline in ("prompt", "loo"):
        assert (step.advantages_PG[2:4] == 0).all()
    else:
        assert (step.advantages_PG[2] != 0).all()


def test_rewards_a_rounding_outside_the_range_count_as_its_end():
    """`reward_range` has a slack of 1e-6: what it lets through must not leave the grid."""
    rewards_PG = torch.tensor([[0.0, 1.0]] * 5, dtype=torch.float64)
    slack_PG = torch.tensor([[-5e-7, 1.0 + 5e-7]] * 5, dtype=torch.float64)
    step, beyond = (risk_advantages(r, RiskConfig(**APPROXIMATE), BEFORE, generator()) for r in (rewards_PG, slack_PG))
    assert torch.equal(step.advantages_PG, beyond.advantages_PG)


def test_bundles_of_one_need_no_approximation():
    rewards_PG = torch.rand(4, 5, generator=generator()).double()
    config = RiskConfig(**APPROXIMATE, bundle_size=1, approximation_error=0.5)
    found = risk_advantages(rewards_PG, config, RiskState((0.3, 0.6), 1), generator()).advantages_PG
    expected = config.spectrum.signal(rewards_PG, torch.tensor([0.3, 0.6], dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


def test_continuous_ties_still_need_a_grid():
    off_PG = torch.rand(10, 4, generator=generator()).double()
    config = RiskConfig(**APPROXIMATE, ties="continuous", reward_step=0.1)
    with pytest.raises(RewardError, match="not on the declared grid"):
        risk_advantages(off_PG, config, BEFORE, generator())
    on_PG = (off_PG * 10).round() / 10
    exact = RiskConfig(pairing="exact", composition="consecutive", ties="continuous", reward_step=0.1)
    found, expected = (risk_advantages(on_PG, c, BEFORE, generator()).advantages_PG for c in (config, exact))
    assert (found - expected).abs().max() <= 0.01


def test_an_error_too_small_is_told_what_is_possible():
    with pytest.raises(ConfigError, match=r"`approximation_error` 1e-06 .* allow an error of 2\.2e-05 or more"):
        RiskConfig(pairing="approximate", approximation_error=1e-6)
    RiskConfig(pairing="approximate", approximation_error=2.2e-5)
    RiskConfig(approximation_error=1e-6)  # not read by the others
