"""A task's scores put together: means, what is left out, both intervals, majority."""

import json

import numpy as np
import pytest

from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.intervals import question_interval
from riskpo.evaluation.scores import average_score, majority_scores, pass_scores

SCORES = [[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, None, 0.0], [1.0, None, None, None], [0.0, 0.0, 0.0, 1.0]]


def test_pass():
    one, two, four = pass_scores(SCORES, [1, 2, 4])
    assert [s.metric for s in (one, two, four)] == ["pass@1", "pass@2", "pass@4"]
    assert one.mean == pytest.approx((0.5 + 0 + 1 + 0.25) / 4)
    assert (one.questions, one.left_out) == (4, 0)
    assert two.mean == pytest.approx((5 / 6 + 0 + 0.5) / 3)
    assert (two.questions, two.left_out) == (3, 1)
    assert (four.mean, four.questions, four.left_out) == (1.0, 2, 2)
    assert one.over_questions == question_interval([0.5, 0.0, 1.0, 0.25])
    assert one.over_samples.refused  # one question of four has one usable sample
    json.dumps([s.as_dict() for s in (one, two, four)], allow_nan=False)


def test_both_intervals():
    """Over samples it is the narrower one: the questions differ much."""
    rng = np.random.default_rng(0)
    scores_QS = (rng.random((50, 16)) < rng.beta(0.5, 0.5, size=(50, 1))).astype(float)
    for score in pass_scores(scores_QS, [1, 8]):
        inner, outer = score.over_samples, score.over_questions
        assert outer.low < inner.low < score.mean < inner.high < outer.high
    assert "too few samples" in pass_scores(scores_QS, [9])[0].over_samples.refused
    assert "too few samples" in pass_scores(scores_QS[:, :1], [1])[0].over_samples.refused


def test_average():
    score = average_score([[1.0, 0.5], [0.0, 0.2], [None, None]])
    assert (score.metric, score.questions, score.left_out) == ("avg@2", 2, 1)
    assert score.mean == pytest.approx(0.425)
    binary = [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    (pass_1,) = pass_scores(binary, [1])
    assert average_score(binary).over_samples == pass_1.over_samples
    assert average_score(binary).over_questions == pass_1.over_questions


def test_majority():
    answers = [["7", "7", "8"], ["1", "2", None], ["4", None, None]]
    scores = [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, None, None]]
    one, three = majority_scores(answers, scores, [1, 3])
    assert one.mean == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert (three.metric, three.mean, three.questions, three.left_out) == ("maj@3", pytest.approx(0.75), 2, 1)
    assert "no unbiased estimate" in three.over_samples.refused
    assert three.over_questions.low < 0.75 < three.over_questions.high


def test_no_question_left():
    with pytest.raises(DataError, match="pass@5: no question has as many usable samples"):
        pass_scores(SCORES, [5])
    with pytest.raises(ConfigError, match="k >= 1"):
        pass_scores(SCORES, [0])
    with pytest.raises(DataError, match="avg@0"):
        average_score([[None]])
