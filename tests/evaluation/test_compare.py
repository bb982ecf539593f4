"""Two evaluations: what is paired, what is said, over tasks, and where there is nothing to say."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from riskpo.errors import DataError
from riskpo.evaluation.bounds import difference_bounds
from riskpo.evaluation.compare import compare
from riskpo.evaluation.pairs import pass_pairs
from riskpo.evaluation.signflip import sign_flip_test


def drawn(questions, samples, gain=0.0, seed=0):
    """A's and B's scores on the same questions, A's success probability `gain` above."""
    rng = np.random.default_rng(seed)
    p_Q1 = rng.uniform(0.1, 0.6, size=(questions, 1))
    return tuple(
        {f"q{q}": row.astype(float).tolist() for q, row in enumerate(rng.random((questions, samples)) < p_Q1 + more)}
        for more in (gain, 0.0)
    )


# --- pairs ---


def test_pairs_by_hand():
    """q1 with 3 of 4 and 1 of 2; q2 with 0 of 2 (one unscorable) and 2 of 2. Each side has one more."""
    a = {"q1": [1, 1, 1, 0], "q2": [0, None, 0], "qa": [1], "qx": [None, None]}
    b = {"qb": [1, 1], "q2": [1, 1], "q1": [1, 0], "qx": [1, 1], "qc": [0]}
    pairs = pass_pairs(a, b)
    assert (pairs.a_Q.tolist(), pairs.b_Q.tolist()) == ([0.75, 0.0], [0.5, 1.0])
    assert pairs.exact == (Fraction(1, 4), Fraction(-1))
    assert pairs.within_Q == pytest.approx([0.1875 / 3 + 0.25, 0.0])
    assert (pairs.only_a, pairs.only_b, pairs.left_out) == (1, 2, 1)
    assert pairs.samples == 2.5
    assert pairs.blocks == pytest.approx(4 / (1 / 4 + 1 / 2 + 1 / 2 + 1 / 2))


def test_pass_at_2_leaves_out_what_has_one_sample():
    a = {"q1": [1, 0, 0], "q2": [1, 0], "q3": [0, 0, 0, 0]}
    b = {"q1": [0, 0], "q2": [1, None], "q3": [0, 1, 0]}
    pairs = pass_pairs(a, b, k=2)
    assert pairs.a_Q == pytest.approx([2 / 3, 0.0])
    assert pairs.b_Q == pytest.approx([0.0, 2 / 3])
    assert (pairs.left_out, pairs.exact, pairs.within) == (1, None, None)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ({"q1": [1.0]}, {"p1": [1.0]}, "share no question"),
        ({}, {"p1": [1.0]}, "share no question"),
        ({"q1": [1.0], "q2": [None]}, {"q1": [0.0], "q2": [1.0]}, r"at least 2 questions.*there are 1 \(1 shared"),
        ({"q1": [1.0], "q2": [2.0]}, {"q1": [0.0], "q2": [1.0]}, "score 2.0"),
    ],
)
def test_nothing_to_compare(a, b, says):
    with pytest.raises(DataError, match=says):
        pass_pairs(a, b)
    with pytest.raises(DataError, match=f"gsm8k: .*{says}"):
        compare({"gsm8k": a}, {"gsm8k": b})


def test_no_shared_task():
    one, other = drawn(3, 1)
    with pytest.raises(DataError, match="share no task: amc and math"):
        compare({"amc": one}, {"math": other})


# --- one task ---


def test_numbers():
    a, b = drawn(40, 4, gain=0.1)
    found = compare({"t": a}, {"t": b}).tasks["t"]
    differences = [Fraction(int(sum(a[q]) - sum(b[q])), 4) for q in a]
    values = np.array([float(d) for d in differences])
    low, high = difference_bounds(values.mean(), values.var(), 40, 4)
    assert found.difference == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))
    assert found.test == sign_flip_test(differences)
    assert found.p_holm == found.test.p
    assert found.a - found.b == pytest.approx(found.difference)


def test_sides_and_order():
    a, b = drawn(60, 4, gain=0.2)
    found, turned = compare({"t": a}, {"t": b}).tasks["t"], compare({"t": b}, {"t": a}).tasks["t"]
    assert (found.outcome, turned.outcome) == ("better", "worse")
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low))
    assert found.test.p == turned.test.p
    shuffled = compare({"t": dict(reversed(a.items()))}, {"t": b}).tasks["t"]
    assert (shuffled.low, shuffled.high, shuffled.test.p) == pytest.approx((found.low, found.high, found.test.p))


def test_sentences():
    a, b = drawn(60, 4, gain=0.2)
    (better,) = compare({"gsm8k": a}, {"gsm8k": b}, names=("new", "old")).sentences
    assert better.startswith("new is better than old on gsm8k: +")
    assert "exact sign-flip test, 60 shared questions." in better
    (worse,) = compare({"gsm8k": b}, {"gsm8k": a}, names=("old", "new")).sentences
    assert worse.startswith("old is worse than new on gsm8k: -")
    a, b = drawn(30, 1, gain=0.03, seed=1)
    b["extra"] = [1.0]
    (unsure,) = compare({"aime": a}, {"aime": b}).sentences
    assert "not distinguishable on aime with these samples" in unsure
    assert "more questions would be needed; what more samples of each would bring cannot be told" in unsure
    assert "Not compared: 0 questions that A alone has and 1 that B alone has." in unsure


def test_more_samples_are_named_where_they_help():
    """The same probabilities but for 2 points on each question: all the noise is of the sampling."""
    a, b = drawn(200, 2, gain=0.03, seed=4)
    found = compare({"t": a}, {"t": b}).tasks["t"]
    assert found.outcome == "not distinguishable"
    assert found.needed.samples_enough
    assert "more samples of each" in found.sentence


def test_better_needs_the_test_too():
    """Five questions, five wins: the interval leaves 0 out, but of 32 sign patterns two are as extreme."""
    a = {str(q): [1.0] * 8 for q in range(5)}
    b = {str(q): [0.0] * 8 for q in range(5)}
    found = compare({"t": a}, {"t": b}).tasks["t"]
    assert found.low > 0
    assert found.test.p == pytest.approx(1 / 16)
    assert found.outcome == "not distinguishable"


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("samples", [1, 8])
def test_all_equal(score, samples):
    """No nonsense: no division by nothing, a width, no number where none can be given."""
    scores = {str(q): [score] * samples for q in range(30)}
    comparison = compare({"t": scores}, {"t": scores})
    found = comparison.tasks["t"]
    assert (found.difference, found.test.p, found.outcome) == (0.0, 1.0, "not distinguishable")
    assert found.low < 0 < found.high
    assert found.needed.questions is None
    assert "No difference was seen. A true difference of" in found.sentence
    assert "nan" not in json.dumps(comparison.as_dict(), allow_nan=False)


def test_no_sentence_names_more_than_100_points():
    """Two questions with one sample each find nothing: a difference of 190 points does not exist."""
    found = compare({"t": {"a": [1.0], "b": [0.0]}}, {"t": {"a": [0.0], "b": [1.0]}}).tasks["t"]
    assert found.needed.detectable > 1.0
    assert "With so few questions no difference, however large, would be found" in found.sentence
    assert "points would be found" not in found.sentence


def test_the_same_gain_on_every_question():
    """Differences without spread are no proof of a difference without error."""
    a = {str(q): [1.0, 1.0, 0.0, 0.0] for q in range(40)}
    b = {str(q): [1.0, 0.0, 0.0, 0.0] for q in range(40)}
    found = compare({"t": a}, {"t": b}).tasks["t"]
    assert found.outcome == "better"
    assert found.high - found.low > 0.05
    assert math.isfinite(found.needed.detectable)


# --- several tasks ---


def several():
    sizes = {"aime": (30, 8, 0.0), "amc": (83, 8, 0.03), "math": (200, 4, 0.08)}
    sides = {task: drawn(*size, seed=7) for task, size in sizes.items()}
    return tuple({task: side[i] for task, side in sides.items()} for i in (0, 1))


def test_macro_and_pooled():
    a, b = several()
    found = compare({**a, "only": a["amc"]}, b)
    parts = [found.tasks[task] for task in ("aime", "amc", "math")]
    assert found.only_a == ("only",)
    assert found.macro.difference == pytest.approx(np.mean([one.difference for one in parts]))
    halves = [(one.high - one.low) / 2 for one in parts]
    assert (found.macro.high - found.macro.low) / 2 == pytest.approx(math.sqrt(sum(h**2 for h in halves)) / 3)
    weights = np.array([30, 83, 200]) / 313
    assert found.pooled.difference == pytest.approx(weights @ [one.difference for one in parts])
    every = [float(np.mean(a[t][q]) - np.mean(b[t][q])) for t in a for q in a[t]]
    assert found.pooled.difference == pytest.approx(np.mean(every))
    assert found.pooled.test.exact
    assert found.pooled.test.p == pytest.approx(sign_flip_test([Fraction(round(8 * d), 8) for d in every]).p)
    assert found.macro.questions == found.pooled.questions == 313
    assert "averaged over 3 tasks" in found.macro.sentence
    assert len(found.sentences) == 5


def test_macro_test_weighs_tasks_alike(monkeypatch):
    """Exact on a fine grid, and drawn: the same p within its stated error."""
    a, b = ({t: dict(list(side[t].items())[:n]) for t, n in (("aime", 20), ("amc", 30))} for side in several())
    exact = compare(a, b).macro.test
    monkeypatch.setattr("riskpo.evaluation.signflip._MOST_STEPS", 0)
    drawn_ = compare(a, b).macro.test
    assert exact.exact
    assert not drawn_.exact
    assert abs(exact.p - drawn_.p) < 5 * drawn_.error


def test_holm_over_tasks():
    a, b = several()
    found = compare(a, b)
    p = {task: one.test.p for task, one in found.tasks.items()}
    assert p["math"] == min(p.values())
    assert found.tasks["math"].p_holm == pytest.approx(3 * p["math"])
    assert all(one.p_holm >= one.test.p for one in found.tasks.values())
    assert "corrected for 3 tasks" in found.tasks["math"].sentence


def test_coverage_of_the_macro_difference():
    """Two models alike, two tasks: of 400 comparisons about 95 % hold 0, and at most about 5 % call one better."""
    rng = np.random.default_rng(0)
    held, wrong = [], []
    for _ in range(400):
        a, b = {}, {}
        for task, questions in (("small", 20), ("large", 60)):
            p_Q = rng.beta(1.0, 1.0, size=questions)
            for side in (a, b):
                drawn_QS = (rng.random((questions, 2)) < p_Q[:, None]).astype(float)
                side[task] = {str(q): row.tolist() for q, row in enumerate(drawn_QS)}
        found = compare(a, b).macro
        held.append(found.low <= 0 <= found.high)
        wrong.append(found.outcome != "not distinguishable")
    assert 0.92 < np.mean(held) < 0.985
    assert np.mean(wrong) < 0.08


def test_pass_at_k():
    a, b = drawn(50, 8, gain=0.1)
    comparison = compare({"t": a}, {"t": b}, k=4)
    assert comparison.metric == "pass@4"
    found = comparison.tasks["t"]
    assert found.difference > 0
    assert found.needed.detectable > 0
    assert compare({"t": a}, {"t": b}, k=4) == comparison
