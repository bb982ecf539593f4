"""Built-in tasks by name, and the nearest name for a misspelt one."""

import pytest

from riskpo.errors import ConfigError
from riskpo.tasks.registry import TASKS, get_task


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
    assert str(caught.value) == f"unknown task '{given}'.{hint} Allowed: chain, chain-long, multiplication."
