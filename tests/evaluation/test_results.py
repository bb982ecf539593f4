"""Scores from records: by hand, with what cannot be had refused."""

import dataclasses

import pytest

from riskpo.errors import ConfigError
from riskpo.evaluation.records import Record
from riskpo.evaluation.results import check_ks, default_ks, same_answer, task_results


def record(question, sample, score, status="wrong", tokens=10, truncated=False):
    return Record(0, question, sample, "text", tokens, truncated, score, status, None, "")


def test_by_hand():
    """Two questions, four samples: 2 of 4 right; 1 of 3 usable ones right."""
    records = [record("a", n, float(n < 2)) for n in range(4)]
    records += [record("b", 0, 1.0), record("b", 1, 0.0, "no_answer", 30, True), record("b", 2, 0.0)]
    records += [record("b", 3, None, "infra_error")]
    found = task_results(records, ["a", "b"], 4, [1, 2, 4])
    assert found["pass"]["1"]["mean"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found["pass"]["2"]["mean"] == pytest.approx((5 / 6 + 2 / 3) / 2)
    assert (found["pass"]["4"]["mean"], found["pass"]["4"]["left_out"]) == (1.0, 1)
    assert found["avg"]["mean"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert (found["truncated"], found["no_answer"], found["unscorable"]) == (1 / 8, 1 / 8, 1 / 8)
    assert found["tokens"] == 100 / 8
    assert found["scores"] == [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, None]]
    assert found["maj"] == {}  # the scorer names no answers
    low, high = (found["pass"]["1"]["over_questions"][side] for side in ("low", "high"))
    assert 0.0 < low < found["pass"]["1"]["mean"] < high < 1.0


def test_one_sample_has_no_interval_over_samples():
    found = task_results([record(str(n), 0, float(n % 2)) for n in range(10)], [str(n) for n in range(10)], 1, [1])
    assert found["pass"]["1"]["over_samples"]["low"] is None
    assert "too few samples" in found["pass"]["1"]["over_samples"]["refused"]
    assert found["pass"]["1"]["over_questions"]["low"] > 0.0


def test_nothing_scorable():
    found = task_results([record("a", 0, None, "infra_error")], ["a"], 1, [1])
    assert (found["pass"], found["avg"], found["unscorable"]) == ({}, None, 1.0)
    assert "no question has 1 samples that could be judged" in found["why"]


def test_votes():
    """Three votes for 0.5 in two spellings, which is right, one for 2: the majority of all four is right."""
    answers = ["0.5", r"\frac{1}{2}", "1/2", "2"]
    records = [dataclasses.replace(record("a", n, float(n < 3)), answer=answers[n]) for n in range(4)]
    found = task_results(records, ["a"], 4, [1, 4])
    assert found["maj"]["4"]["mean"] == 1.0
    assert found["maj"]["1"]["mean"] == 0.75
    assert same_answer("1,000") == same_answer("1000.0") != same_answer("1001")
    assert same_answer("x + 1") == same_answer("x+1")


def test_partial_scores_count_in_the_average_alone():
    found = task_results([record("a", 0, 0.5, "partial"), record("a", 1, 1.0)], ["a"], 2, [1])
    assert (found["pass"]["1"]["mean"], found["avg"]["mean"]) == (0.5, 0.75)


def test_ks():
    assert default_ks(1) == [1]
    assert default_ks(33) == [1, 2, 4, 8, 16, 32]
    check_ks([1, 33], 33)
    with pytest.raises(ConfigError, match=r"k = \[0, 34\] cannot be had from 33"):
        check_ks([0, 5, 34], 33)
