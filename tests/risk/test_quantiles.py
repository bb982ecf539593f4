"""The inverse distribution function, and the online estimate that follows it over training."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from riskpo.risk.config import RiskConfig
from riskpo.risk.quantiles import QuantileTracker, ScoreLaw, inverse_cdf, probability_below


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


HALF = ScoreLaw(tensor(0.0, 1.0, 2.0), tensor(0.5, 0.3, 0.2))  # F = .5, .8, 1 at 0, 1, 2
HARD = ScoreLaw(tensor(0.0, 1.0), tensor(0.9, 0.1))  # nine of ten bundles fail


# --- laws ---


def test_law_of_samples():
    law = ScoreLaw.of_samples(tensor([1.0, 0.0], [1.0, 2.0]))
    assert law.values_N.tolist() == [0.0, 1.0, 2.0]
    assert law.probs_N.tolist() == [0.25, 0.5, 0.25]
    assert law.mean() == 1.0
    assert law.std() == pytest.approx(0.5**0.5)


def test_lower_integral_by_hand():
    """int_0^u F^-1: nothing from the zeros, then 1 a unit of probability up to .8, then 2; the whole is the mean."""
    integral = HALF.lower_integral(tensor(0.0, 0.2, 0.5, 0.6, 0.8, 0.9, 1.0))
    assert integral.tolist() == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.3, 0.5, 0.7])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_lower_integral_ends_at_the_mean(samples):
    law = ScoreLaw.of_samples(tensor(*samples))
    nothing, everything = law.lower_integral(tensor(0.0, 1.0)).tolist()
    assert nothing == 0.0
    assert everything == pytest.approx(np.mean(samples), abs=1e-9)


# --- the inverse distribution function ---


def test_inverse_cdf_by_hand():
    assert inverse_cdf(HALF, tensor(0.2, 0.5, 0.51, 0.8, 0.9)).tolist() == [0.0, 0.0, 1.0, 1.0, 2.0]


@given(
    samples=st.lists(st.integers(-3, 3) | st.floats(-3, 3), min_size=1, max_size=40),
    level=st.floats(0.01, 0.99),
)
def test_inverse_cdf_is_numpys(samples, level):
    assume(abs(level * len(samples) - round(level * len(samples))) > 1e-6)  # there, numpy rounds its own way
    law = ScoreLaw.of_samples(tensor(*samples))
    assert inverse_cdf(law, tensor(level)).item() == np.quantile(samples, level, method="inverted_cdf")


@pytest.mark.parametrize("atoms", [5, 10, 49, 1000])
def test_level_that_equals_a_probability_takes_that_atom(atoms):
    """F(x_k) = k/n is a sum of k rounded terms; the level k/n must not miss x_k by the rounding."""
    values = torch.arange(1, atoms + 1).double()
    law = ScoreLaw(values, torch.full((atoms,), 1 / atoms, dtype=torch.float64))
    levels = torch.arange(1, atoms, dtype=torch.float64) / atoms
    assert torch.equal(inverse_cdf(law, levels), values[:-1])


def test_inverse_cdf_of_the_spread_law_by_hand():
    """R + U, U uniform on (-1/2, 1/2): 0's mass .9 lies evenly on (-.5, .5), 1's mass .1 on (.5, 1.5)."""
    quantiles = inverse_cdf(HARD, tensor(0.2, 0.8, 0.9, 0.95), width=1.0)
    assert quantiles.tolist() == pytest.approx([0.2 / 0.9 - 0.5, 0.8 / 0.9 - 0.5, 0.5, 1.0])


@given(
    counts=st.lists(st.integers(0, 9), min_size=2, max_size=8).filter(any),
    level=st.floats(0.01, 0.99),
    width=st.sampled_from([0.1, 1.0, 2.0]),
)
def test_spread_law_lies_below_its_quantile_with_probability_level(counts, level, width):
    """Checked with boxes written out one by one, as P(R + U < q) = sum_k p_k share of box k below q."""
    probs = np.array(counts) / sum(counts)
    law = ScoreLaw(width * torch.arange(len(counts), dtype=torch.float64), torch.from_numpy(probs))
    q = inverse_cdf(law, tensor(level), width).item()
    below = sum(p * min(max(q / width - k + 0.5, 0.0), 1.0) for k, p in enumerate(probs))
    assert below == pytest.approx(level, abs=1e-9)
    assert probability_below(law, tensor(q), width).item() == pytest.approx(level, abs=1e-9)


def test_scores_that_differ_by_rounding_share_one_box():
    """0.1 + 0.2 != 0.3 in floating point, but both are the grid point 0.3."""
    split = ScoreLaw.of_samples(tensor(0.3, 0.1 + 0.2, 0.4, 0.4))
    assert len(split.values_N) == 3
    merged = ScoreLaw(tensor(0.3, 0.4), tensor(0.5, 0.5))
    levels = tensor(0.1, 0.3, 0.6)
    torch.testing.assert_close(inverse_cdf(split, levels, 0.1), inverse_cdf(merged, levels, 0.1))


# --- tracking ---


def test_tracker_starts_at_the_inverse_distribution_function():
    assert QuantileTracker((0.2, 0.8), 0.1).start(HALF).tolist() == [0.0, 1.0]
    assert QuantileTracker((0.2, 0.8), 0.1, width=1.0).start(HALF).tolist() == pytest.approx([0.4 - 0.5, 1.5])


def test_update_by_hand():
    """q + 0.1 (s - P(R < q)): P(R < .5) = .5, P(R < 1.5) = .8, and P(R < 1) = .5 since the atom at 1 is not below 1."""
    tracker = QuantileTracker((0.2, 0.8), 0.1)
    assert tracker.update(tensor(0.5, 1.5), HALF).tolist() == pytest.approx([0.47, 1.5])
    assert tracker.update(tensor(0.0, 1.0), HALF).tolist() == pytest.approx([0.02, 1.03])


def test_update_of_the_spread_law_by_hand():
    """P(R + U < .25) = .5 * .75, P(R + U < 1) = .5 + .3 / 2."""
    tracker = QuantileTracker((0.2, 0.8), 0.1, width=1.0)
    by_hand = [0.25 + 0.1 * (0.2 - 0.375), 1.0 + 0.1 * (0.8 - 0.65)]
    assert tracker.update(tensor(0.25, 1.0), HALF).tolist() == pytest.approx(by_hand)


def test_levels_never_cross():
    """All scores are 1: the low quantile rises to 1.02, the high one falls to .981, and they change places."""
    law = ScoreLaw(tensor(1.0), tensor(1.0))
    updated = QuantileTracker((0.2, 0.8), 0.1).update(tensor(1.0, 1.001), law)
    assert updated.tolist() == pytest.approx([0.981, 1.02])


@pytest.mark.parametrize("ties", ["step", "continuous"])
@pytest.mark.parametrize("scale", [0.25, 2.0, 100.0])
def test_scaling_the_rewards_scales_the_quantiles(ties, scale):
    unit = RiskConfig(ties=ties).tracker
    scaled = RiskConfig(ties=ties, reward_range=(0.0, scale)).tracker
    generator = torch.Generator().manual_seed(0)
    quantiles = tensor(2**0.5, 8**0.5)  # off the lattice of the scores: there, rounding would decide whether R < q
    scaled_quantiles = scale * quantiles
    for _ in range(50):
        scores = torch.randint(0, 6, (32,), generator=generator).double()
        quantiles = unit.update(quantiles, ScoreLaw.of_samples(scores))
        scaled_quantiles = scaled.update(scaled_quantiles, ScoreLaw.of_samples(scale * scores))
    torch.testing.assert_close(scaled_quantiles, scale * quantiles)


def test_tracks_the_quantiles_of_a_continuous_law():
    """Normal scores, 64 a step. The stationary error's standard deviation is about 0.02, of its average about 0.005."""
    generator = torch.Generator().manual_seed(0)
    tracker, quantiles = QuantileTracker((0.2, 0.8), 0.1), tensor(-3.0, 3.0)
    path = []
    for _ in range(4000):
        quantiles = tracker.update(quantiles, ScoreLaw.of_samples(torch.randn(64, generator=generator).double()))
        path.append(quantiles)
    torch.testing.assert_close(quantiles, torch.special.ndtri(tensor(0.2, 0.8)), rtol=0, atol=0.1)
    torch.testing.assert_close(
        torch.stack(path[1000:]).mean(0), torch.special.ndtri(tensor(0.2, 0.8)), rtol=0, atol=0.025
    )


BINOMIAL = ScoreLaw(torch.arange(6).double(), tensor(0.16807, 0.36015, 0.30870, 0.13230, 0.02835, 0.00243))  # B=5, p=.3


def test_continuous_tracking_settles_on_a_binomial_law():
    tracker, quantiles = QuantileTracker((0.2, 0.8), 0.1, width=1.0), tensor(2.0, 5.0)
    for _ in range(2000):
        quantiles = tracker.update(quantiles, BINOMIAL)
    # .2 lies .03193 into the mass of 1, .8 lies .27178 into the mass of 2.
    assert quantiles.tolist() == pytest.approx([0.5 + 0.03193 / 0.36015, 1.5 + 0.27178 / 0.30870], abs=1e-9)


def test_step_tracking_stays_within_a_step_of_the_atom():
    """At an atom P(R < q) jumps over the level, so the paper's update never settles: it hops around the atom."""
    tracker, quantiles = QuantileTracker((0.2, 0.8), 0.1), tensor(2.0, 5.0)
    for step in range(2000):
        quantiles = tracker.update(quantiles, BINOMIAL)
        assert step < 1000 or (quantiles - tensor(1.0, 2.0)).abs().max() <= 0.08
