"""Built-in tasks by name, and the nearest name for a misspelt one."""

import pytest

from riskpo.errors import ConfigError
from riskpo.tasks.base import DataTask
from riskpo.tasks.registry import DATA_TASKS, TASKS, benchmark_splits, get_data_task, get_task


@pytest.mark.parametrize("name", TASKS)
def test_right_answers_get_full_reward(name):
    """Every task's own answers earn 1, and its splits share no prompt."""
    task = get_task(name)
    train, test = task.rows("train", 10, 0), task.rows("test", 10, 0)
    answers = [row["answer"] for row in train]
    assert task.reward(prompts=[row["prompt"] for row in train], completions=answers, answer=answers) == [1.0] * 10
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in test}


@pytest.mark.parametrize(
    ("given", "hint"),
    [("chian", " Did you mean 'chain'?"), ("multiply", " Did you mean 'multiplication'?"), ("zzz", "")],
)
def test_unknown_name(given, hint):
    with pytest.raises(ConfigError) as caught:
        get_task(given)
    assert str(caught.value).startswith(f"unknown task '{given}'.{hint} Allowed: ")
    names = str(caught.value).split("Allowed: ")[1].rstrip(".").split(", ")
    assert names == sorted([*TASKS, *DATA_TASKS, "gym:NAME"])


@pytest.mark.parametrize("name", DATA_TASKS)
def test_what_a_data_set_says_of_itself(name):
    task = get_task(name)
    assert isinstance(task, DataTask)
    assert task.name == name
    assert all((task.about, task.licence, task.role, task.shapes))
    assert all(split.files for split in task.splits.values())
    assert task.find_split(None) == next(iter(task.splits))
    assert (task.source == "local file") == (task.hub is None)
    assert any(split.hub for split in task.splits.values()) == (task.hub is not None)


def test_file_names_are_nobody_elses():
    """A data folder holds the files of all tasks; only splits of one task may share one."""
    owners = {}
    for task in DATA_TASKS.values():
        for split in task.splits.values():
            for file in split.files:
                assert owners.setdefault(file, task.name) == task.name


def test_training_sets_are_compared_with_every_benchmark():
    names = {task.name for task, _ in benchmark_splits("text")}
    expected = {"gsm8k", "math", "math500", "aime24", "aime25", "amc", "minerva", "olympiadbench"}
    assert names == expected | {"humaneval", "mbpp", "livecodebench"}
    assert [(task.name, splits) for task, splits in benchmark_splits("image + text")] == [
        ("geometry3k", ["test", "sample"])
    ]


def test_a_built_in_task_has_nothing_to_load():
    with pytest.raises(
        ConfigError, match=r"task chain makes its rows: there is nothing to load. Data sets: gsm8k, math"
    ):
        get_data_task("chain")
