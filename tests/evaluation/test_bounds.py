"""The three formulas: against the equation they solve, textbook numbers, and what they must do at the edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.evaluation.bounds import (
    ATOM,
    difference_bounds,
    difference_error,
    question_bounds,
    sampling_bounds,
    wilson,
)
from riskpo.evaluation.student import t_quantile

unit = st.floats(0.0, 1.0)


def test_wilson_by_hand():
    """3 of 10: 0.108 to 0.603 (Newcombe 1998 gives 0.1078, 0.6032); 0 of 10: 0 to z^2 / (10 + z^2) = 0.2775."""
    low, high = wilson(0.3, 1.0, 10, 1.959964)
    assert (float(low), float(high)) == pytest.approx((0.1078, 0.6032), abs=1e-4)
    low, high = wilson(0.0, 1.0, 10, 1.959964)
    assert (float(low), float(high)) == pytest.approx((0.0, 0.27753), abs=1e-5)


@given(unit, st.floats(0.001, 1.0), st.integers(2, 2000), st.floats(1.0, 13.0))
def test_wilson_solves_its_equation(mean, effect, size, quantile):
    low, high = (float(bound) for bound in wilson(mean, effect, size, quantile))
    assert 0.0 <= low <= mean <= high <= 1.0
    for m in (low, high):
        assert (mean - m) ** 2 == pytest.approx(quantile**2 * effect * m * (1 - m) / size, rel=1e-6, abs=1e-9)


def test_question_bounds_by_hand():
    """Values 0, 1/2, 1, 1 of four questions, step by step."""
    values = np.array([0.0, 0.5, 1.0, 1.0])
    padded = np.array([*values, 0.0, 1.0])
    weights = np.array([1, 1, 1, 1, ATOM, ATOM])
    centre = weights @ padded / weights.sum()
    spread = weights @ (padded - centre) ** 2 / weights.sum()
    effect = min(1.0, spread / (centre * (1 - centre)) * 4 / 3)
    expected = wilson(0.625, effect, 4, 3.182446)
    assert question_bounds(values.mean(), values.var(), 4) == pytest.approx(expected, abs=1e-6)


def test_coins_have_wilson_s_interval():
    """With one sample a question the design effect is 1, whatever the atoms add."""
    values = np.array([1.0] * 11 + [0.0] * 72)
    expected = wilson(11 / 83, 1.0, 83, t_quantile(0.95, 82))
    assert question_bounds(values.mean(), values.var(), 83) == pytest.approx(expected)


@pytest.mark.parametrize("questions", [2, 30, 83, 500])
@pytest.mark.parametrize("value", [0.0, 0.03125, 0.5, 1.0])
def test_equal_outcomes_leave_a_width(questions, value):
    """A point would claim to know. At 0 and 1: the bound for as many coins, of the order of the rule of three."""
    low, high = (float(bound) for bound in question_bounds(value, 0.0, questions))
    assert high - low > 0.1 / questions
    assert low <= value <= high
    if value == 0.0:
        q2 = t_quantile(0.95, questions - 1) ** 2
        assert (low, high) == (0.0, pytest.approx(q2 / (questions + q2)))
    low, high = (float(bound) for bound in sampling_bounds(value, 0.0, questions, 8))
    assert high - low > 0.1 / questions**1.5
    low, high = (float(bound) for bound in difference_bounds(0.0, 0.0, questions, 8))
    assert high - low > 1 / questions


@given(st.lists(unit, min_size=2, max_size=40), st.sampled_from([1, 8, 32]))
def test_properties(values, blocks):
    values = np.array(values)
    mean, variance, questions = values.mean(), values.var(), len(values)
    for low, high in (question_bounds(mean, variance, questions), sampling_bounds(mean, variance, questions, blocks)):
        assert 0.0 <= low <= mean + 1e-12
        assert mean - 1e-12 <= high <= 1.0
        assert high - low > 0.0
    # Right and wrong change places, and so do the bounds.
    low, high = question_bounds(mean, variance, questions)
    mirrored = question_bounds(1 - mean, variance, questions)
    assert (float(1 - high), float(1 - low)) == pytest.approx(tuple(float(bound) for bound in mirrored), abs=1e-9)
    # A higher level is wider.
    wider = question_bounds(mean, variance, questions, level=0.99)
    assert wider[0] <= low
    assert high <= wider[1]


def test_arrays_are_the_same_as_one_by_one():
    mean_R, variance_R = np.array([0.0, 0.2, 0.9]), np.array([0.0, 0.05, 0.01])
    low_R, high_R = question_bounds(mean_R, variance_R, 30)
    for r in range(3):
        assert question_bounds(mean_R[r], variance_R[r], 30) == pytest.approx((low_R[r], high_R[r]))
    low_R, high_R = sampling_bounds(mean_R, variance_R / 8, 30, 8)
    for r in range(3):
        assert sampling_bounds(mean_R[r], variance_R[r] / 8, 30, 8) == pytest.approx((low_R[r], high_R[r]))


def test_many_questions_are_normal():
    """With 100 000 values all three are mean -+ 1.96 standard errors."""
    values = np.random.default_rng(0).beta(0.5, 1.0, size=100_000)
    error = values.std() / math.sqrt(len(values))
    for low, high in (
        question_bounds(values.mean(), values.var(), len(values)),
        sampling_bounds(values.mean(), values.var(), len(values), 1),
        difference_bounds(values.mean(), values.var(), len(values), 1),
    ):
        assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.01 * error)
        assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.01 * error)


def test_difference_error_by_hand():
    """Differences 0, 0, 1, -1 of one sample: sum of squares 2, half a one more, by 3, by 4."""
    assert difference_error(0.5, 4, 1) == pytest.approx(math.sqrt(2.5 / 12))
    assert difference_error(0.5, 4, 32) == pytest.approx(math.sqrt((2 + 0.5 / 32) / 12))
    assert difference_error(0.0, 4, 32) == difference_error(0.0, 4, 1) == pytest.approx(math.sqrt(0.5 / 12))
    low, high = difference_bounds(0.9, 0.5, 4, 1)
    assert (float(low), float(high)) == (pytest.approx(0.9 - 3.182446 * math.sqrt(2.5 / 12)), 1.0)
