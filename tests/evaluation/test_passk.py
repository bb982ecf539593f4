"""pass@k by hand and over all subsets; intervals that cover what they say they cover."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.passk import average, count, pass_at_k, pass_at_ks


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


# --- every k at once, unscorable samples ---


def test_every_k_over_all_subsets():
    """Questions with 5, 3 and 0 usable samples: NaN beyond."""
    found_QK = pass_at_ks([2, 3, 0], [5, 3, 0])
    assert found_QK.shape == (3, 5)
    for k in range(1, 6):
        draws = list(itertools.combinations([1, 1, 0, 0, 0], k))
        assert found_QK[0, k - 1] == pytest.approx(sum(map(any, draws)) / len(draws))
    assert found_QK[1, :3].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(found_QK[1, 3:]).all()
    assert np.isnan(found_QK[2]).all()


@given(st.integers(1, 1024), st.data())
def test_every_k_agrees_with_one_k(samples, data):
    correct = data.draw(st.integers(0, samples))
    ks = data.draw(st.lists(st.integers(1, samples), min_size=1, max_size=5))
    found_K = pass_at_ks([correct], [samples], ks)[0]
    exact = [1 - Fraction(math.comb(samples - correct, k), math.comb(samples, k)) for k in ks]
    assert found_K == pytest.approx([float(value) for value in exact], rel=1e-11, abs=1e-15)
    every_K = pass_at_ks([correct], [samples])[0]
    assert (np.diff(every_K) >= 0).all()
    assert every_K[0] == pytest.approx(correct / samples)


def test_scores_to_counts():
    """None is neither right nor wrong; partial credit is not right; rows may be ragged."""
    counts = count([[1.0, None, 0.0, 1 - 1e-9], [0.5, 0.999], [None, None], []])
    assert counts.correct_Q.tolist() == [2, 0, 0, 0]
    assert counts.usable_Q.tolist() == [3, 2, 0, 0]
    counts = count(np.array([[1.0, np.nan], [0.0, 0.0]]))
    assert (counts.correct_Q.tolist(), counts.usable_Q.tolist()) == ([1, 0], [1, 2])


def test_none_is_not_zero():
    """A question all of whose judged samples are right has pass@1 = 1, however many could not be judged."""
    counts = count([[1.0, None, None, None]])
    assert pass_at_ks(counts.correct_Q, counts.usable_Q, [1, 2])[0].tolist() == pytest.approx(
        [1.0, np.nan], nan_ok=True
    )


def test_average():
    found = average([[1.0, 0.5, None], [0.0, 0.0, 0.3], [None, None, None]])
    assert found == pytest.approx([0.75, 0.1, np.nan], nan_ok=True)


def test_average_is_pass_at_1():
    scores_QS = (np.random.default_rng(0).random((20, 9)) < 0.4).astype(float)
    counts = count(scores_QS)
    assert average(scores_QS) == pytest.approx(pass_at_ks(counts.correct_Q, counts.usable_Q, [1])[:, 0])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: pass_at_ks([1], [2], [0]), ConfigError, "k >= 1"),
        (lambda: pass_at_ks([3], [2]), DataError, "question 0 has 3 right of 2"),
        (lambda: pass_at_ks([1, 2], [2]), DataError, "one each"),
        (lambda: count([]), DataError, "at least one question"),
        (lambda: count([[0.0], [0.0, 1.5]]), DataError, "question 1, sample 1 has score 1.5"),
        (lambda: average([[-1.0]]), DataError, "has score -1"),
    ],
)
def test_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
