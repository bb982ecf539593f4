"""A verdict's score and status fit each other, or there is no verdict."""

import pickle

import pytest

from riskpo.rewards.verdict import STATUSES, UNSCORED, Verdict


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "correct"])
def test_none_is_for_what_was_not_judged(status):
    score = None if status in UNSCORED else 0.0
    verdict = Verdict(score, status)
    assert verdict.scored is (status not in UNSCORED)
    with pytest.raises(ValueError, match=f"with status '{status}'"):
        Verdict(0.0 if score is None else None, status)


@pytest.mark.parametrize(
    ("score", "status", "said"),
    [
        (None, "correct", "None is for"),
        (1.0, "wrong", "full marks are 'correct'"),
        (1.5, "correct", r"not in \[0, 1\]"),
        (-0.1, "partial", r"not in \[0, 1\]"),
        (float("nan"), "partial", r"not in \[0, 1\]"),
        (0.0, "rong", "none of correct, wrong"),
    ],
)
def test_what_cannot_be(score, status, said):
    with pytest.raises(ValueError, match=said):
        Verdict(score, status)


def test_pickles():
    verdict = Verdict(0.5, "partial", "7", "2 of 4 tests passed.", 0.25)
    assert pickle.loads(pickle.dumps(verdict)) == verdict
