"""The sign-flip test against every assignment of signs, and against McNemar's exact test."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.evaluation import signflip
from riskpo.evaluation.signflip import holm, sign_flip_test


def brute(differences):
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in itertools.product([-1, 1], repeat=len(differences))
    ]
    observed = abs(sum(differences))
    return sum(abs(s) >= observed for s in sums) / len(sums)


def fractions(*numbers, over=1):
    return [Fraction(number, over) for number in numbers]


def test_by_hand():
    """Five wins of five: 2 of 32 assignments are as far out; six of six: 2 of 64."""
    assert sign_flip_test(fractions(1, 1, 1, 1, 1)).p == pytest.approx(2 / 32)
    assert sign_flip_test(fractions(1, 1, 1, 1, 1, 1)).p == pytest.approx(2 / 64)
    assert sign_flip_test(fractions(3, 1, over=4)).p == pytest.approx(0.5)


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=11))
def test_against_every_assignment(numbers):
    found = sign_flip_test(fractions(*numbers, over=8))
    assert found.exact
    assert found.error == 0.0
    assert found.p == pytest.approx(brute(numbers))
    assert found.differing == sum(number != 0 for number in numbers)
    # Not on a grid: enumerated, equal sums counted as equal though their last digits differ.
    assert sign_flip_test([0.1 * number for number in numbers]).p == pytest.approx(brute(numbers))


@pytest.mark.parametrize(("wins", "losses", "ties"), [(0, 0, 7), (3, 3, 1), (10, 2, 100), (45, 21, 300), (700, 612, 7)])
def test_is_mcnemar_with_one_sample(wins, losses, ties):
    """The discordant questions are fair coins, the others say nothing."""
    discordant = wins + losses
    tail = sum(math.comb(discordant, i) for i in range(min(wins, losses) + 1))
    expected = min(1.0, float(Fraction(2 * tail, 2**discordant)))
    assert sign_flip_test(fractions(*[1] * wins, *[-1] * losses, *[0] * ties)).p == pytest.approx(expected, rel=1e-9)


def test_all_equal():
    found = sign_flip_test(fractions(0, 0, 0))
    assert (found.p, found.exact, found.differing) == (1.0, True, 0)


def test_thousands_of_wins_do_not_underflow_to_zero():
    assert 0.0 < sign_flip_test(fractions(*[1] * 3000)).p < 1e-300


def test_draws_agree_with_the_exact_test(monkeypatch):
    rng = np.random.default_rng(0)
    whole = rng.integers(-8, 10, size=60).tolist()
    exact = sign_flip_test(fractions(*whole, over=8))
    monkeypatch.setattr(signflip, "_MOST_STEPS", 0)
    drawn = sign_flip_test(fractions(*whole, over=8))
    assert exact.exact
    assert not drawn.exact
    assert 0 < drawn.error < 0.002
    assert abs(drawn.p - exact.p) < 5 * drawn.error
    assert sign_flip_test(fractions(*whole, over=8)) == drawn != sign_flip_test(fractions(*whole, over=8), seed=1)
    assert f"{signflip.DRAWS} draws" in drawn.name


def test_order_and_direction_do_not_matter():
    rng = np.random.default_rng(1)
    whole = rng.integers(-4, 6, size=40)
    found = sign_flip_test(fractions(*whole.tolist())).p
    assert sign_flip_test(fractions(*rng.permutation(whole).tolist())).p == pytest.approx(found)
    assert sign_flip_test(fractions(*(-whole).tolist())).p == pytest.approx(found)


def test_level():
    """Two models that are alike: p is at most 0.05 in 5 % at most; in less, as sums on a grid come in steps."""
    assert 0.02 < share_below(rng_seed=2, a=1.0, b=1.0) < 0.06
    assert 0.005 < share_below(rng_seed=3, a=0.3, b=3.0) < 0.05


def share_below(rng_seed, a, b):
    """30 questions, 4 samples each, 1500 times."""
    rng = np.random.default_rng(rng_seed)
    p_RQ = rng.beta(a, b, size=(1500, 30))
    differences_RQ = rng.binomial(4, p_RQ) - rng.binomial(4, p_RQ)
    return np.mean([sign_flip_test(fractions(*row)).p <= 0.05 for row in differences_RQ.tolist()])


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
