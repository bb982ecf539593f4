"""Gold answers that no completion could ever equal are refused, and a resume notices that the rows are other ones."""

import pytest
from datasets import Dataset

from riskpo.errors import DataError, ResumeError
from riskpo.rewards.match import exact_match, numeric_match
from riskpo.runs.data import check_gold, check_same_data, describe_data, keep_data

GSM8K = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n#### 72"


# --- gold answers ---


def checked(answers, name):
    """What is said of gold answers; each stands in a row of its own, as a data set holds them."""
    train = Dataset.from_list([{"prompt": "?"}] * len(answers))
    rewards = {"numeric": numeric_match, "exact": exact_match}
    return check_gold(Answers(train, answers), name, rewards.get(name, print))


class Answers:
    """A data set whose column holds values of several types, which `datasets` would refuse."""

    column_names = ("answer",)

    def __init__(self, train, answers):
        self.train, self.answers = train, answers

    def __len__(self):
        return len(self.train)

    def __getitem__(self, column):
        return {"answer": self.answers}[column]


def test_no_gold_number_at_all():
    with pytest.raises(
        DataError, match=r"can use none of the 2 gold answers: the first, in row 1, .*#### 72.*a single"
    ):
        checked([GSM8K, "five"], "numeric")
    with pytest.raises(DataError, match=r"can use none of the 2 gold answers: .* None; expected is a text"):
        checked([None, None], "exact")


def test_some_gold_numbers():
    said = checked(["72", 5, GSM8K, None, "1,000.5"], "numeric")
    assert said.startswith("2 of 5 gold answers cannot be used by reward numeric (the first: row 3, ...")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("answers", "reward"),
    [(["72", 5, -0.5, "1,000"], "numeric"), ([GSM8K], "exact"), ([GSM8K], "mine:score"), ([None], None)],
)
def test_usable_answers(answers, reward):
    assert checked(answers, reward) is None


# --- the same rows ---

ROWS = [{"prompt": "1+1=", "answer": "2"}, {"prompt": "2+2=", "answer": "4"}]


def same(folder, rows):
    check_same_data(folder, Dataset.from_list(rows))


def test_the_same_rows(tmp_path):
    """Further columns do not count; a run of which nothing was kept is not compared."""
    same(tmp_path, ROWS)
    keep_data(tmp_path, Dataset.from_list(ROWS))
    same(tmp_path, [{**row, "level": 3} for row in ROWS])


def test_more_rows(tmp_path):
    keep_data(tmp_path, Dataset.from_list(ROWS))
    with pytest.raises(ResumeError, match="it had 2 rows at the start and has 3 now"):
        same(tmp_path, [*ROWS, {"prompt": "3+3=", "answer": "6"}])


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[::-1],
        [ROWS[0], {"prompt": "2+2=", "answer": "5"}],
        [ROWS[0], {"prompt": "2+3=", "answer": "4"}],
        [{"prompt": row["prompt"]} for row in ROWS],
    ],
)
def test_other_rows(tmp_path, rows):
    keep_data(tmp_path, Dataset.from_list(ROWS))
    with pytest.raises(ResumeError, match="had 2 rows at the start and has 2 now, with other prompts or answers"):
        same(tmp_path, rows)


def test_conversations():
    chats = [{"prompt": [{"role": "user", "content": row["prompt"]}], "answer": row["answer"]} for row in ROWS]
    assert describe_data(Dataset.from_list(chats)) == describe_data(Dataset.from_list(chats))
    assert describe_data(Dataset.from_list(chats)) != describe_data(Dataset.from_list(ROWS))
