"""maj@k against every subset of the samples, voted one by one."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.majority import majority_at_k, vote_of_subsets
from riskpo.evaluation.passk import average


def at(answers, scores, k, **options):
    return majority_at_k([answers], [scores], [k], **options)[0, 0]


def brute(answers, scores, k):
    """Every subset of the usable samples; a tie is a fair draw among the tied."""
    usable = [(a, s) for a, s in zip(answers, scores, strict=True) if s is not None]
    worth = {}
    for answer in {a for a, _ in usable if a is not None}:
        marks = [s == 1.0 for a, s in usable if a == answer]
        worth[answer] = Fraction(sum(marks), len(marks))
    total, subsets = Fraction(0), list(itertools.combinations(usable, k))
    for subset in subsets:
        votes = Counter(a for a, _ in subset if a is not None)
        if votes:
            tied = [a for a, n in votes.items() if n == max(votes.values())]
            total += sum(worth[a] for a in tied) / len(tied)
    return float(total / len(subsets))


def test_by_hand():
    """Two 7s (right), one 8: of the pairs 77, 78, 78 one is right for sure, two are ties. Of all three, 7 wins."""
    answers, scores = ["7", "7", "8"], [1.0, 1.0, 0.0]
    assert at(answers, scores, 1) == pytest.approx(2 / 3)
    assert at(answers, scores, 2) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert at(answers, scores, 3) == pytest.approx(1.0)


def test_a_tie_of_all():
    assert at(["1", "2", "3", "4"], [0.0, 1.0, 0.0, 0.0], 4) == pytest.approx(0.25)


def test_no_answer_does_not_vote():
    """One right answer wins against any number of samples without one; no vote at all is wrong."""
    assert at(["7", None, None], [1.0, 0.0, 0.0], 3) == 1.0
    assert at(["7", None, None], [1.0, 0.0, 0.0], 2) == pytest.approx(2 / 3)
    assert at([None, None], [0.0, 0.0], 2) == 0.0


def test_unscorable_samples_are_left_out():
    assert at(["7", "8", "8"], [1.0, None, float("nan")], 1) == 1.0
    assert math.isnan(at(["7", "8", "8"], [1.0, None, None], 2))


def test_what_counts_as_one_answer():
    answers, scores = ["1/2", " 1/2 ", "0.5", "3", "3"], [1.0, 1.0, 1.0, 0.0, 0.0]
    assert at(answers, scores, 5) == pytest.approx(0.5)
    assert at(answers, scores, 5, key={"1/2": "h", " 1/2 ": "h", "0.5": "h", "3": "3"}.__getitem__) == 1.0
    assert at(["7", "7", "8"], [1.0, 0.0, 0.0], 3) == pytest.approx(0.5)  # a judge of two minds


@pytest.mark.parametrize("seed", range(30))
def test_over_all_subsets(seed):
    rng = np.random.default_rng(seed)
    samples = int(rng.integers(1, 10))
    answers = [None if rng.random() < 0.15 else str(rng.integers(0, rng.integers(1, 6))) for _ in range(samples)]
    right = str(rng.integers(0, 3))
    scores = [None if rng.random() < 0.1 else float(a == right) for a in answers]
    usable = sum(s is not None for s in scores)
    found_K = majority_at_k([answers], [scores], list(range(1, samples + 1)))[0]
    for k in range(1, usable + 1):
        assert found_K[k - 1] == pytest.approx(brute(answers, scores, k), abs=1e-12)
    assert np.isnan(found_K[usable:]).all()


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=24), st.data())
def test_properties(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    scores = [float(a == "a") for a in answers]
    found = at(answers, scores, k)
    assert 0.0 <= found <= 1.0
    order = data.draw(st.permutations(range(len(answers))))
    assert at([answers[i] for i in order], [scores[i] for i in order], k) == pytest.approx(found, abs=1e-12)
    assert at(answers, scores, 1) == pytest.approx(average([scores])[0])
    # Each answer in turn as the right one: together they win whenever anybody votes.
    parts = [at(answers, [float(a == right) for a in answers], k) for right in "abcd"]
    silent = answers.count(None)
    nobody = math.comb(silent, k) / math.comb(len(answers), k)
    assert sum(parts) == pytest.approx(1 - nobody, abs=1e-12)


def test_many_samples():
    """No overflow at 1024: all different, half of them right, any vote is a fair draw among all."""
    assert vote_of_subsets([1] * 1024, [1.0] * 512 + [0.0] * 512, 0, 40) == pytest.approx(0.5, rel=1e-9)
    assert vote_of_subsets([513, 511], [1.0, 0.0], 0, 1024) == 1.0
    assert vote_of_subsets([400, 400, 224], [1.0, 0.0, 0.5], 0, 1000) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: majority_at_k([["1"]], [[1.0]], [0]), ConfigError, "k >= 1"),
        (lambda: majority_at_k([["1"]], [[1.0], [0.0]], [1]), DataError, "1 questions and scores of 2"),
        (lambda: majority_at_k([["1", "2"]], [[1.0]], [1]), DataError, "question 0 has 2 answers and 1 scores"),
        (lambda: majority_at_k([["1"] * 1025], [[1.0] * 1025], [1]), ConfigError, "at most 1024"),
    ],
)
def test_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
