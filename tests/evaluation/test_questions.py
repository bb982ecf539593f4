"""Rows as questions: names that last, limits that repeat, and what is refused before a model is loaded."""

import pytest

from riskpo.errors import DataError
from riskpo.evaluation.questions import question_set
from riskpo.rewards.judge import Judge
from riskpo.rewards.match import numeric_match
from riskpo.rewards.registry import make_reward

ROWS = [{"prompt": f"{n} + 1?", "answer": str(n + 1)} for n in range(20)]
JUDGE = Judge(numeric_match, "numeric")


def test_names():
    rows = [{**ROWS[0], "prompt_id": "mine"}, {**ROWS[1], "id": 7}, ROWS[2]]
    names = [question.name for question in question_set("t", rows, JUDGE).questions]
    assert names[:2] == ["mine", "7"]
    alone = question_set("t", [ROWS[2]], JUDGE).questions[0].name
    assert names[2] == alone  # whatever else is asked


def test_limits_repeat_and_are_said():
    few, again, other = (question_set("t", ROWS, JUDGE, limit=5, limit_seed=seed) for seed in (0, 0, 1))
    assert [q.name for q in few.questions] == [q.name for q in again.questions] != [q.name for q in other.questions]
    assert len(few.questions) == 5
    said = few.describe()
    assert (said["asked"], said["limit"], said["limit_seed"], said["scorer"]) == (5, 5, 0, "numeric")
    assert said["fingerprint"] != other.describe()["fingerprint"]
    assert "limit" not in question_set("t", ROWS, JUDGE).describe()


def test_gold_answers_that_cannot_be_used_are_said():
    rows = [*ROWS[:3], {"prompt": "?", "answer": "", "id": "empty"}, {"prompt": "??", "answer": None, "id": "none"}]
    found = question_set("t", rows, Judge(make_reward("math"), "math"))
    (note,) = found.about["notes"]
    assert note.startswith("2 of 5 gold answers cannot be used by scorer math, so that answers to them are not judged")
    assert "empty, none" in note
    assert question_set("t", ROWS, Judge(make_reward("math"), "math")).about["notes"] == []


def test_images_go_along():
    rows = [{**ROWS[0], "image": "a"}, {**ROWS[1], "images": ["b", "c"]}, ROWS[2]]
    assert [q.images for q in question_set("t", rows, JUDGE).questions] == [("a",), ("b", "c"), ()]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "there are no questions"),
        ([ROWS[0], {"prompt": "", "answer": "1"}], "row 2 has no prompt"),
        ([ROWS[0], ROWS[0]], "two questions are named"),
    ],
)
def test_refused(rows, said):
    with pytest.raises(DataError, match=said):
        question_set("t", rows, JUDGE)


def test_gold_answers_that_no_scorer_can_use():
    with pytest.raises(DataError, match="scorer math can use none of the 1 gold answers"):
        question_set("t", [{"prompt": "?", "answer": ""}], Judge(make_reward("math"), "math"))
