"""pass@k by hand and over all subsets; intervals that cover what they say they cover."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError
from riskpo.evaluation import passk
from riskpo.evaluation.passk import over_questions, pass_at_k


def at(correct, samples, k):
    return pass_at_k(np.array([correct]), samples, k)[0]


# --- pass@k ---


def test_by_hand():
    """Two of four right, draw two: both wrong in 1 of 6 draws."""
    assert at(2, 4, 1) == pytest.approx(0.5)
    assert at(2, 4, 2) == pytest.approx(5 / 6)
    assert at(2, 4, 3) == at(2, 4, 4) == 1.0
    assert at(0, 64, 64) == 0.0
    assert at(1, 64, 32) == pytest.approx(0.5)
    assert pass_at_k(np.array([0, 1, 4]), 4, 2) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("samples", [1, 2, 5, 7])
def test_over_all_subsets(samples):
    for correct, k in itertools.product(range(samples + 1), range(1, samples + 1)):
        draws = list(itertools.combinations([1] * correct + [0] * (samples - correct), k))
        assert at(correct, samples, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@given(samples=st.integers(2, 300), data=st.data())
def test_grows_with_k_and_with_correct(samples, data):
    correct = data.draw(st.integers(0, samples - 1))
    k = data.draw(st.integers(1, samples - 1))
    assert 0.0 <= at(correct, samples, k) <= at(correct, samples, k + 1) + 1e-12 <= 1.0 + 1e-12
    assert at(correct, samples, k) <= at(correct + 1, samples, k) + 1e-12


def test_large_numbers():
    """No overflow where the binomials have a thousand digits: 1 - C(n - 1, k) / C(n, k) is k / n."""
    assert at(1, 4000, 1000) == pytest.approx(0.25)


@pytest.mark.parametrize("k", [0, -1, 5])
def test_k_outside(k):
    with pytest.raises(ConfigError, match=rf"pass@{k} needs at least {k} samples per question.*there are 4"):
        at(1, 4, k)


# --- intervals ---


def test_by_hand_interval():
    """Without spread no interval; of two questions, 0 and 1, a quarter of the resamples shows only zeros."""
    assert vars(over_questions(np.full(7, 0.3))) == pytest.approx({"mean": 0.3, "low": 0.3, "high": 0.3})
    assert vars(over_questions(np.array([0.0, 1.0]))) == {"mean": 0.5, "low": 0.0, "high": 1.0}


def test_deterministic():
    values_Q = np.random.default_rng(0).random(50)
    assert over_questions(values_Q) == over_questions(values_Q) != over_questions(values_Q, seed=1)


def test_width_follows_the_standard_error():
    values_Q = np.random.default_rng(0).normal(size=400)
    estimate = over_questions(values_Q)
    error = values_Q.std() / 20
    assert estimate.low == pytest.approx(values_Q.mean() - 1.96 * error, abs=0.1 * error)
    assert estimate.high == pytest.approx(values_Q.mean() + 1.96 * error, abs=0.1 * error)


def test_a_paired_difference_is_narrower():
    """Questions differ much, the change on each is the same: only pairing sees it."""
    before_Q = np.random.default_rng(0).random(100)
    change = over_questions(before_Q + 0.05 - before_Q)
    assert change.high - change.low == pytest.approx(0.0, abs=1e-12)


def test_coverage(monkeypatch):
    """Of 400 intervals, from questions of unequal difficulty sampled 8 times each, about 95 % hold the true mean."""
    monkeypatch.setattr(passk, "RESAMPLES", 1000)
    rng = np.random.default_rng(0)
    covered = 0
    for run in range(400):
        correct_Q = rng.binomial(8, rng.beta(1, 2, size=60))
        estimate = over_questions(pass_at_k(correct_Q, 8, 1), seed=run)
        covered += estimate.low <= 1 / 3 <= estimate.high
    assert 0.92 <= covered / 400 <= 0.975
