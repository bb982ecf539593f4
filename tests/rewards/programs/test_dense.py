import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError
from riskpo.rewards.programs.dense import DifficultyWeights, fractions


def test_fractions():
    assert fractions([[True, False, True, False], [True] * 4, [False] * 4]) == [0.5, 1.0, 0.0]


def test_weights_by_hand():
    """Rates 1, 1, 0.5, 0; sigma so small that only equal rates share; alpha = ln 4: exp(-alpha rho) = 1/4, 1/2, 1."""
    passed = [[True, True, True, False], [True, True, False, False]]
    weights = DifficultyWeights(alpha=math.log(4), sigma=1e-3, delta=0.0)
    # unscaled 1/4 / 2, 1/4 / 2, 1/2 / 1, 1 / 1; their sum is 1.75
    assert weights.weights(passed) == pytest.approx([0.125 / 1.75, 0.125 / 1.75, 0.5 / 1.75, 1 / 1.75])
    assert weights.scores(passed) == pytest.approx([0.75 / 1.75, 0.25 / 1.75])


def test_density_by_hand():
    """Rates 0 and 0.5 at a distance of one sigma: each test counts exp(-1/2) of the other."""
    passed = [[False, True, True], [False, False, False]]
    weights = DifficultyWeights(alpha=0.0, sigma=0.5, delta=1.0)
    kernel = math.exp(-0.5)
    lone, pair = 1 / (1 + 2 * kernel + 1), 1 / (2 + kernel + 1)
    total = lone + 2 * pair
    assert weights.weights(passed) == pytest.approx([lone / total, pair / total, pair / total])
    assert weights.scores(passed) == pytest.approx([2 * pair / total, 0.0])


def test_many_easy_tests_do_not_outweigh_a_hard_one():
    """The cardinality bias: 9 tests that nearly all pass, one that half pass."""
    passed = [[True] * 9 + [False], [True] * 10]
    assert fractions(passed)[0] == 0.9
    dense = DifficultyWeights(alpha=0.0, sigma=0.05).scores(passed)
    assert dense[0] == pytest.approx(0.5, abs=1e-6)
    assert dense[1] == 1.0


def test_without_difficulty_and_density_it_is_the_fraction():
    passed = [[True, False, False], [True, True, False], [False, False, False]]
    assert DifficultyWeights(alpha=0.0, sigma=1e6).scores(passed) == pytest.approx(fractions(passed))


@given(
    st.integers(1, 6).flatmap(
        lambda tests: st.lists(st.lists(st.booleans(), min_size=tests, max_size=tests), min_size=1, max_size=6)
    ),
    st.floats(0, 20),
    st.floats(1e-3, 10),
    st.floats(0, 10),
)
def test_scores_are_scores(passed, alpha, sigma, delta):
    weights = DifficultyWeights(alpha, sigma, delta)
    assert math.fsum(weights.weights(passed)) == pytest.approx(1.0)
    assert min(weights.weights(passed)) > 0
    for score, row in zip(weights.scores(passed), passed, strict=True):
        assert (score == 1.0) == all(row)
        assert (score == 0.0) == (not any(row))
        assert 0.0 <= score <= 1.0
    more = [[True, *row[1:]] for row in passed]
    assert all(b >= a for a, b in zip(fractions(passed), fractions(more), strict=True))


@pytest.mark.parametrize(
    "options", [{"alpha": -1}, {"alpha": 21}, {"sigma": 0}, {"delta": -1}, {"sigma": math.inf}, {"alpha": math.nan}]
)
def test_out_of_range(options):
    with pytest.raises(ConfigError, match="sigma above 0"):
        DifficultyWeights(**options)
