"""`compute_score`: the package's rewards and a user's, one response at a time, from many threads."""

from __future__ import annotations

import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from riskpo.engines.verl.reward import check_rewards, compute_score
from riskpo.errors import ConfigError, RewardError


def score(solution: str, truth: Any, extra: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    return compute_score("somewhere", solution, truth, extra, **given)


def test_mathematics() -> None:
    right = score(r"so \boxed{\frac{1}{2}}", "0.5", reward="math:boxed")
    assert (right["score"], right["acc"], right["scored"], right["verdict"]) == (1.0, 1.0, True, "correct")
    wrong = score(r"\boxed{2}", "0.5", reward=["math:boxed"])
    assert (wrong["score"], wrong["acc"], wrong["verdict_answer"]) == (0.0, 0.0, "2")


def test_what_cannot_be_judged_is_not_wrong() -> None:
    values = score("Answer: 1", "", reward="math:dapo")
    assert math.isnan(values["score"])
    assert (values["scored"], values["acc"], values["verdict"]) == (False, 0.0, "bad_gold")


def test_choices_take_the_other_columns() -> None:
    values = score("The answer is (B).", "B", {"options": ["3", "4"]}, reward="choice")
    assert values["score"] == 1.0


def test_programs_are_judged_by_the_tests_in_the_gold() -> None:
    gold = json.dumps({"tests": {"fn_name": None, "inputs": ["1 2\n"], "outputs": ["3\n"]}})
    program = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
    good = score(program, gold, {"tests": {"inputs": None}}, reward="code")
    assert (good["score"], good["verdict"]) == (1.0, "correct")
    assert score(program.replace("+", "-"), gold, reward="code")["score"] == 0.0


def test_a_sum_and_what_validation_counts() -> None:
    text = "<think>so</think> 7"
    values = score(text, "7", reward=["numeric", "tag_format"], weights=[1.0, 0.5])
    assert (values["score"], values["acc"]) == (1.5, 1.0)
    values = score("8", "7", reward=["numeric", "tag_format"])
    assert (values["score"], values["acc"]) == (0.0, 0.0)
    unjudged = score(text, "", reward=["math:boxed", "tag_format"])
    assert math.isnan(unjudged["score"])
    assert not unjudged["scored"]


def test_a_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
def near(prompts, completions, answer, tolerance, **_):
    text = completions[0][-1]["content"]
    return [None if text == "?" else float(abs(float(text) - float(answer[0])) <= tolerance[0])]

def two(completions, **_):
    return [1.0, 1.0]
"""
    (tmp_path / "my_verl_rewards.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert score("3.1", "3", {"tolerance": 0.2}, reward="my_verl_rewards:near")["score"] == 1.0
    assert score("3.3", "3", {"tolerance": 0.2}, reward="my_verl_rewards:near")["score"] == 0.0
    assert not score("?", "3", {"tolerance": 0.2}, reward="my_verl_rewards:near")["scored"]
    with pytest.raises(RewardError, match=r"gave \[1.0, 1.0\] for one completion"):
        score("3", "3", reward="my_verl_rewards:two")


def test_from_many_threads_no_signal_is_needed() -> None:
    def one(number: int) -> float:
        return float(score(rf"\boxed{{{number % 3}}}", "1", reward="math:boxed")["score"])

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(120)))
    assert found == [float(number % 3 == 1) for number in range(120)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["math", "soft_overlong"], "reward_manager.name=dapo"),
        (["code:dense"], "use code:fraction"),
        (["maths"], "Did you mean 'math'"),
        (["math:boxt"], "Did you mean 'math:boxed'"),
    ],
)
def test_what_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_rewards(names)
