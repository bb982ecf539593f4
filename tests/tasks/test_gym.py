"""Procedural tasks, with reasoning-gym where it is installed and with the clear error where it is not."""

import importlib.util
import sys

import pytest

from riskpo.errors import ConfigError, DataError, MissingExtraError
from riskpo.tasks.asked import task_rows
from riskpo.tasks.gym import gym_names, gym_reward, rows
from riskpo.tasks.registry import get_task

there = importlib.util.find_spec("reasoning_gym") is not None
needs_library = pytest.mark.skipif(not there, reason="reasoning-gym is not installed (the extra reasoning-gym)")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r'pip install "riskpo\[reasoning-gym\]"'):
        get_task("gym:leg_counting")


@needs_library
def test_unknown_names():
    with pytest.raises(ConfigError, match=r"unknown task 'gym:leg_countin'. Did you mean 'gym:leg_counting'"):
        get_task("gym:leg_countin")
    assert len(gym_names()) > 100
    assert "gym:leg_counting" in gym_names()
    with pytest.raises(ValueError, match="unknown split 'dev' of task gym:leg_counting; allowed: test, tune, train"):
        rows("leg_counting", "dev", 1, 1)
    with pytest.raises(DataError, match="gym:composite cannot be made without options of its own"):
        rows("composite", "train", 1, 1)


@needs_library
def test_splits_share_no_question_whatever_the_seeds():
    asked = [{row["prompt"][1]["content"] for row in rows("leg_counting", split, 40, seed)} for split, seed in SPLITS]
    assert [len(one) for one in asked] == [40] * 4
    train, other_seed, tune, test = asked
    assert not (train | other_seed) & (tune | test)
    assert not tune & test
    assert train != other_seed
    assert rows("leg_counting", "train", 40, 1)[:5] == rows("leg_counting", "train", 5, 1)


SPLITS = [("train", 1), ("train", 2), ("tune", 1), ("test", 1)]


@needs_library
def test_the_library_scores():
    """Its own answers get 1; a question is made again from its name, seed and number."""
    found = task_rows("gym:leg_counting", "train", 6, 3)
    columns = {key: [row[key] for row in found.rows] for key in ("gym_name", "gym_seed", "gym_index")}
    right = [f"<think>so</think>\n<answer>{row['answer']}</answer>" for row in found.rows]
    assert found.reward is gym_reward
    assert gym_reward(right, **columns) == [1.0] * 6
    chat = [[{"role": "assistant", "content": text}] for text in right]
    assert gym_reward(chat, **columns) == [1.0] * 6
    without = [row["answer"] for row in found.rows]
    assert gym_reward(without, **columns) == [0.0] * 6
    hidden = [f"<think><answer>{row['answer']}</answer></think> 7" for row in found.rows]
    assert gym_reward(hidden, **columns) == [0.0] * 6


@needs_library
def test_too_few_questions():
    with pytest.raises(DataError, match=r"task gym:coin_flip made only \d+ different test questions, 1000000 wanted"):
        rows("coin_flip", "test", 1_000_000, 1)
