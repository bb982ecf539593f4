"""Power of the t test: values of another implementation, the normal limit, and simulation."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.evaluation.student import normal_quantile, t_quantile
from riskpo.evaluation.ttest import found_noncentrality, t_test_power

VALUES = [
    (0.5, 1, 0.05, 0.0560962568),
    (16.0, 1, 0.05, 0.7906466469),
    (60.0, 1, 0.01, 0.6540320918),
    (2.8, 2, 0.05, 0.3517593605),
    (4.0, 3, 0.05, 0.7549839171),
    (3.0, 4, 0.0125, 0.2862895627),
    (2.8, 9, 0.05, 0.7033000093),
    (2.9, 33, 0.05, 0.8036490042),
    (5.0, 33, 0.005, 0.9704710511),
    (2.8, 198, 0.05, 0.7957210812),
    (2.8, 5000, 0.05, 0.7994060635),
]


@pytest.mark.parametrize(("noncentrality", "degrees", "alpha", "power"), VALUES)
def test_against_another_implementation(noncentrality, degrees, alpha, power):
    """SciPy 1.17: nct.sf(t, df, nc) + nct.cdf(-t, df, nc) at t = t.ppf(1 - alpha / 2, df)."""
    assert t_test_power(noncentrality, degrees, alpha) == pytest.approx(power, abs=1e-9)
    assert t_test_power(-noncentrality, degrees, alpha) == pytest.approx(power, abs=1e-9)


@given(st.integers(1, 3000), st.floats(1e-4, 0.9))
def test_without_a_difference_power_is_the_level(degrees, alpha):
    assert t_test_power(0.0, degrees, alpha) == pytest.approx(alpha, abs=1e-9)


def test_many_degrees_are_normal():
    z = normal_quantile(0.975)
    expected = 0.5 * math.erfc((z - 2.5) / math.sqrt(2)) + 0.5 * math.erfc((z + 2.5) / math.sqrt(2))
    assert t_test_power(2.5, 10_000_000, 0.05) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
def test_few_seeds_find_what_is_promised(seeds, alpha):
    """20 000 simulated tests: the share that rejects is 80 % within four standard errors."""
    draws, rng = 20_000, np.random.default_rng(seeds)
    shift = found_noncentrality(seeds - 1, alpha, 0.8) / math.sqrt(seeds)
    values = rng.normal(shift, 1.0, (draws, seeds))
    t = values.mean(axis=1) * math.sqrt(seeds) / values.std(axis=1, ddof=1)
    found = float((np.abs(t) > t_quantile(1 - alpha, seeds - 1)).mean())
    assert abs(found - 0.8) < 4 * math.sqrt(0.16 / draws)


@given(st.integers(1, 500), st.floats(0.005, 0.1), st.floats(0.3, 0.99))
def test_the_smallest_that_is_found(degrees, alpha, power):
    found = found_noncentrality(degrees, alpha, power)
    assert t_test_power(found, degrees, alpha) == pytest.approx(power, abs=1e-9)


def test_power_grows_with_the_difference():
    rng = random.Random(0)
    for _ in range(20):
        degrees, places = rng.randint(1, 50), sorted(rng.uniform(0, 6) for _ in range(5))
        powers = [t_test_power(place, degrees, 0.05) for place in places]
        assert powers == sorted(powers)


def test_outside():
    with pytest.raises(ValueError, match="level in"):
        t_test_power(1.0, 0, 0.05)
    with pytest.raises(ValueError, match=r"above the level 0.05 and below 1, got 0\.05"):
        found_noncentrality(3, 0.05, 0.05)
