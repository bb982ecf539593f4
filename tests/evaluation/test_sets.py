"""What is asked of which task: splits, limits, the words; what does not go together is refused."""

import json

import pytest

from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.sets import MADE, own_set, task_sets
from riskpo.tasks.asked import Asking


@pytest.fixture
def folder(tmp_path):
    rows = [{"question": f"{n} + 2?", "answer": f"#### {n + 2}"} for n in range(9)]
    (tmp_path / "gsm8k_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def names(found):
    return [question.name for question in found.questions]


def prompts(found):
    return [question.row["prompt"] for question in found.questions]


def test_all_questions_of_a_data_set(folder):
    (found,) = task_sets(["gsm8k"], None, Asking(data_dir=folder))
    assert (len(found.questions), found.judge.name) == (9, "math:gsm8k-strict")
    assert found.about["split"] == "test"
    assert found.about["source"]["file"] == "gsm8k_test.jsonl"


def test_words_of_one_s_own(folder):
    file = folder / "gsm8k_test.jsonl"
    (found,) = task_sets(["gsm8k"], None, Asking(file, template="boxed", system="Be brief."), limit=4, limit_seed=1)
    assert prompts(found)[0][0] == {"role": "system", "content": "Be brief."}
    assert found.judge.name == "math:boxed"
    assert (len(found.questions), found.about["limit"], found.about["limit_seed"]) == (4, 4, 1)


def test_a_task_that_makes_its_rows():
    """A seed of the choice is one of the questions; without a limit the task's own number, where it has one."""
    (first,) = task_sets(["chain"], None, Asking(), limit=20)
    (again,) = task_sets(["chain"], None, Asking(), limit=20)
    (other,) = task_sets(["chain"], None, Asking(), limit=20, limit_seed=5)
    assert names(first) == names(again) != names(other)
    assert first.describe()["limit_seed"] == 0
    (many,) = task_sets(["chain"], None, Asking())
    assert len(many.questions) == MADE
    assert "--limit" in many.about["notes"][0]
    (few,) = task_sets(["multiplication"], None, Asking())
    assert (len(few.questions), few.about["notes"]) == (14, [])


def test_the_only_split_is_taken(folder):
    with pytest.raises(DataError, match=r"split sample of task code-sample needs a file"):
        task_sets(["code-sample"], None, Asking(data_dir=folder))


def test_one_file_is_of_one_task(folder):
    with pytest.raises(ConfigError, match=r"--data_file is of one task, and --tasks names 2"):
        task_sets(["gsm8k", "math500"], None, Asking(folder / "gsm8k_test.jsonl"))


def test_a_file_of_one_s_own(tmp_path):
    path = tmp_path / "mine.v2.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{n}+1=", "answer": str(n + 1)}) + "\n" for n in range(6)))
    found = own_set(str(path), "numeric", limit=3)
    assert (found.name, len(found.questions), found.judge.name) == ("mine", 3, "numeric")
