"""Quantiles from printed tables, and the distribution function against its density."""

import math

import numpy as np
import pytest

from riskpo.evaluation.student import normal_quantile, t_quantile, t_within


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (29, 2.0452), (30, 2.0423), (120, 1.9799)],
)
def test_printed_tables(degrees, expected):
    assert t_quantile(0.95, degrees) == pytest.approx(expected, abs=6e-5)


def test_other_levels():
    assert t_quantile(0.99, 5) == pytest.approx(4.0321, abs=6e-5)
    assert t_quantile(0.5, 1) == pytest.approx(1.0)  # Cauchy: tan(pi / 4)
    assert normal_quantile(0.975) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 7, 8, 31, 32, 499])
def test_against_the_density(degrees):
    t = np.linspace(-1.7, 1.7, 20001)
    constant = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    density = constant * (1 + t**2 / degrees) ** (-(degrees + 1) / 2)
    area = float(((density[1:] + density[:-1]) / 2).sum() * (t[1] - t[0]))
    assert t_within(1.7, degrees) == pytest.approx(area, abs=1e-8)


def test_many_degrees_are_normal():
    assert t_quantile(0.95, 100_000) == pytest.approx(normal_quantile(0.975), abs=3e-5)
    assert t_quantile(0.95, 100_001) == pytest.approx(normal_quantile(0.975), abs=3e-5)


@pytest.mark.parametrize(("level", "degrees"), [(0, 5), (1, 5), (0.95, 0)])
def test_outside(level, degrees):
    with pytest.raises(ValueError, match="level in"):
        t_quantile(level, degrees)
