"""A reward function that cannot work is found by one call, and the message says what it returned."""

import asyncio
from functools import partial

import numpy as np
import pytest
import torch

from riskpo.errors import RewardError
from riskpo.rewards.match import numeric_match
from riskpo.rewards.trial import check_returned, checked_reward, trial_completions, try_reward

ROWS = [{"prompt": "1+1=", "answer": "2"}, {"prompt": "2+2=", "answer": "4"}]
CHATS = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in ROWS]


def score(completions, answer, **_):
    return [float(text == gold) for text, gold in zip(completions, answer, strict=True)]


async def slow_score(completions, **_):
    return [1.0] * len(completions)


def test_completions_are_shaped_like_their_prompts():
    assert trial_completions(ROWS) == ["2", "4"]
    assert trial_completions(CHATS) == [[{"role": "assistant", "content": text}] for text in ("2", "4")]
    assert trial_completions([{"prompt": "a", "solution": 7}, {"prompt": "b"}]) == ["7", "0"]


# --- what a function returns ---


@pytest.mark.parametrize(
    "values",
    [[1, 0.5], (True, None), [float("nan"), None], np.array([1.0, 2.0]), torch.tensor([1, 0]), [np.float32(1), 2]],
)
def test_numbers(values):
    assert len(check_returned(values, 2, "score")) == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("ab", "'score' returned a str, not a list"),
        (None, "'score' returned a NoneType, not a list"),
        (0.5, "'score' returned a float, not a list"),
        ({"a": 1, "b": 2}, "'score' returned a dict, not a list"),
        ([1.0, "good"], r"'score' returned a list with a str in it \(position 1: 'good'\)"),
        ([[1.0], [2.0]], r"'score' returned a list with a list in it \(position 0: \[1\.0\]\)"),
        ([1.0], "'score' returned 1 rewards for 2 completions"),
        ([], "'score' returned 0 rewards for 2 completions"),
    ],
)
def test_anything_else(values, message):
    with pytest.raises(RewardError, match=message) as caught:
        check_returned(values, 2, "score")
    assert str(caught.value).endswith(
        ". Each must return one number per completion, or None for a completion that cannot be scored."
    )
    assert ".." not in str(caught.value)


def test_a_checked_function_keeps_its_name_and_its_values():
    checked = checked_reward(score, "score")
    assert checked.__name__ == "score"
    assert checked(completions=["2", "5"], answer=["2", "4"]) == [1.0, 0.0]
    assert asyncio.run(checked_reward(slow_score, "slow")(completions=["a"])) == [1.0]
    with pytest.raises(RewardError, match="'part' returned a str"):
        checked_reward(partial(lambda completions, word: word, word="good"), "part")(completions=["a"])


# --- one call ---


def test_a_trial_hands_over_every_column():
    seen = {}

    def watch(**given):
        seen.update(given)
        return [0.0, 1.0]

    try_reward(watch, [{**row, "level": 3} for row in ROWS], trainer_state="state")
    assert seen == {
        "prompts": ["1+1=", "2+2="],
        "completions": ["2", "4"],
        "completion_ids": [[0], [0]],
        "answer": ["2", "4"],
        "level": [3, 3],
        "trainer_state": "state",
    }


@pytest.mark.parametrize("reward", [score, slow_score, numeric_match])
def test_rewards_that_work(reward):
    try_reward(reward, ROWS)


def test_conversations():
    try_reward(numeric_match, CHATS)
    with pytest.raises(
        RewardError, match=r"failed on a trial with the first 2 rows .*AttributeError: 'list' object has"
    ):
        try_reward(lambda completions, **_: [float(text.strip() == "") for text in completions], CHATS)


async def slow_text(completions, **_):
    return "good"


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda completions, **_: ["good"] * 2, "returned a list with a str in it"),
        (slow_text, "'slow_text' returned a str"),
        (lambda completions, gold, **_: [1.0] * 2, "TypeError: .*gold"),
        (lambda completions, **_: 1 / 0, "ZeroDivisionError: division by zero. Each must .*set check_rewards=False"),
    ],
)
def test_rewards_that_do_not(reward, message):
    with pytest.raises(RewardError, match=message):
        try_reward(reward, ROWS)
