"""The number that would be needed, by hand and by simulation: with it, four of five experiments find the difference."""

import math

import numpy as np
import pytest

from riskpo.evaluation.compare import compare
from riskpo.evaluation.power import Z, about, needed


def test_by_hand():
    """delta 0.1, B = 0.002, W = 0.003 of 100 questions with 4 samples each; (1.95996 + 0.84162)^2 = 7.8489."""
    found = needed(0.1, 0.005, 0.003, 100, 4)
    assert pytest.approx(7.8489, abs=1e-4) == Z**2
    assert found.questions == math.ceil(100 * 7.8489 * 0.005 / 0.01) - 100 == 293
    # 0.01 / 7.8489 = 0.001274 is below B
    assert (found.samples, found.samples_enough) == (None, False)
    assert found.detectable == pytest.approx(2.80159 * math.sqrt(0.005), abs=1e-5)
    more = needed(-0.1, 0.0030, 0.0025, 100, 4)
    assert (more.samples, more.samples_enough) == (math.ceil(4 * 0.0025 / (0.01 / 7.8489 - 0.0005) - 4), True)
    assert more.samples == 9


def test_what_cannot_be_told():
    assert needed(0.0, 0.01, 0.01, 30, 8).questions is None
    one = needed(0.1, 0.01, None, 30, 1)
    assert one.questions > 0
    assert (one.samples, one.samples_enough) == (None, None)
    enough = needed(0.5, 1e-4, 1e-4, 30, 8)
    assert (enough.questions, enough.samples) == (0, 0)


def test_about():
    assert [about(n) for n in (7, 61, 100, 293, 12_345, 20_000_000)] == [
        "about 7", "about 61", "about 100", "about 300", "about 13000", "more than 10 million",
    ]  # fmt: skip


def power(questions, samples, repeats, seed):
    """How often A, which beats B by 6 points, is called better."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(repeats):
        p_Q = rng.uniform(0.1, 0.7, size=questions)
        gain_Q = rng.choice([-0.1, 0.22], size=questions)
        a, b = (
            {
                str(q): row.astype(float).tolist()
                for q, row in enumerate(rng.random((questions, samples)) < side_Q[:, None])
            }
            for side_Q in (p_Q + gain_Q, p_Q)
        )
        found += compare({"t": a}, {"t": b}).tasks["t"].outcome == "better"
    return found / repeats


def components():
    """sigma_b^2 of the gain, and sigma_w^2 = E[p (1 - p)] of both, in closed form over p ~ U(.1, .7)."""
    between = 0.16**2
    mean, square = 0.4, 0.4**2 + 0.6**2 / 12
    within = mean - square
    for gain in (-0.1, 0.22):
        within += 0.5 * ((mean + gain) - (square + 2 * gain * mean + gain**2))
    return between, within


def test_more_questions_give_the_stated_power():
    between, within = components()
    missing = needed(0.06, (between + within / 2) / 50, within / 2 / 50, 50, 2).questions
    assert 0.74 < power(50 + missing, 2, 400, 0) < 0.86
    assert power(50, 2, 400, 1) < 0.35


def test_more_samples_give_the_stated_power():
    between, within = components()
    found = needed(0.06, (between + within / 2) / 120, within / 2 / 120, 120, 2)
    assert found.samples_enough
    assert 0.74 < power(120, 2 + found.samples, 400, 2) < 0.86


def test_components_are_estimated_without_bias():
    """Mean of the estimated B and W over many comparisons: what the truth says, but for the extra question in B."""
    rng = np.random.default_rng(3)
    from riskpo.evaluation.pairs import pass_pairs

    between, within = components()
    withins, totals = [], []
    for _ in range(300):
        p_Q = rng.uniform(0.1, 0.7, size=40)
        gain_Q = rng.choice([-0.1, 0.22], size=40)
        a, b = (
            {str(q): row.astype(float).tolist() for q, row in enumerate(rng.random((40, 4)) < side_Q[:, None])}
            for side_Q in (p_Q + gain_Q, p_Q)
        )
        pairs = pass_pairs(a, b)
        withins.append(pairs.within)
        totals.append(np.var(pairs.a_Q - pairs.b_Q, ddof=1))
    assert np.mean(withins) == pytest.approx(within / 4, rel=0.02)
    assert np.mean(totals) == pytest.approx(between + within / 4, rel=0.04)
