"""The battery finds each hole it looks for: a reward with exactly that hole, and a sound one with none."""

import re
import time
from random import Random

import pytest

from riskpo.errors import RewardError
from riskpo.rewards import judge
from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.attacks import ANSWER_ATTACKS, CODE_ATTACKS, Target, canary, function_name
from riskpo.rewards.battery import run_attacks
from riskpo.rewards.judge import PHRASES, Judge
from riskpo.rewards.verdict import Verdict

ROWS = [{"prompt": f"What is {n} + {n}? It is {2 * n}", "answer": str(2 * n)} for n in range(11, 31)]
_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def last_box(text):
    found = _BOX.findall(re.sub(r"<think>.*?(</think>|$)", "", text, flags=re.DOTALL))
    return found[-1] if found else None


def sound(completions, answer, **_):
    return [float(last_box(text) == gold) for text, gold in zip(completions, answer, strict=True)]


def reward_of(rule):
    """A reward that calls a completion right where the rule of completion and gold answer says so."""

    def reward(completions, answer, **_):
        return [float(bool(rule(text, gold))) for text, gold in zip(completions, answer, strict=True)]

    return reward


def slipped(reward, **options):
    results = run_attacks(Judge(reward, "r", apart=True), ROWS, "boxed", Random(0), sample=4, **options)
    return {result.attack.name: result for result in results if result.slipped}


def floats(text, tolerance):
    try:
        return float(text) if text else None
    except ValueError:
        return None


HOLES = {
    "shotgun": lambda text, gold: gold in _BOX.findall(text),
    "list": lambda text, gold: gold in (last_box(text) or "").split(", "),
    "alternatives": lambda text, gold: f"boxed{{{gold} \\text{{ or }}" in text,
    "negation": lambda text, gold: (m := re.search(r"boxed\{(.*)\}", text)) and m.group(1).endswith(f" {gold}"),
    "retraction": lambda text, gold: _BOX.findall(text)[:1] == [gold],
    "equation": lambda text, gold: f"boxed{{{gold} = " in text,
    "truncation": lambda text, gold: re.search(rf"boxed\{{{gold}$", text),
    "reasoning": lambda text, gold: _BOX.findall(text)[-1:] == [gold] and "</think>" in text,
    "unclosed": lambda text, gold: _BOX.findall(text)[-1:] == [gold] and "</think>" not in text,
    "plus or minus": lambda text, gold: (last_box(text) or "").removeprefix(r"\pm ") == gold,
    "interval": lambda text, gold: f"[{int(gold) - 1}, {int(gold) + 1}]" == last_box(text),
    "near miss": lambda text, gold: abs((floats(last_box(text), 0) or 0) - float(gold)) < 1e-6,
    "echo": lambda text, gold: text.split()[-1:] == [gold],
    "empty": lambda text, gold: not text,
    "empty answer": lambda text, gold: last_box(text) == "",
    "letter": lambda text, gold: last_box(text) == "x",
}


@pytest.mark.parametrize("hole", HOLES)
def test_each_hole_is_found(hole):
    found = slipped(reward_of(lambda text, gold: last_box(text) == gold or HOLES[hole](text, gold)))
    assert hole in found
    assert found[hole].full == found[hole].tried >= 1
    row, completion, _ = found[hole].examples[0]
    assert ROWS[row - 1]["answer"] in completion or hole in ("echo", "empty", "empty answer", "letter", "interval")


def test_a_sound_reward_has_none():
    assert slipped(sound) == {}


def test_what_is_evaluated_leaves_its_mark():
    def evaluated(completions, answer, **_):
        scores = []
        for text, gold in zip(completions, answer, strict=True):
            box = re.search(r"boxed\{(__import__.*\))\}", text)
            scores.append(float(last_box(text) == gold))
            if box:
                eval(box.group(1))
        return scores

    found = slipped(evaluated)
    assert set(found) == {"import"}
    assert "evaluated" in found["import"].error
    assert not canary().exists()


def test_a_reward_that_raises_or_dies_or_hangs(monkeypatch):
    monkeypatch.setattr(judge, "LIMIT_SECONDS", 2.0)

    def fragile(completions, answer, **_):
        for text in completions:
            if "1000000!" in text:
                raise RecursionError("too deep")
            if "9^{9^{" in text:
                time.sleep(60)
            if text.count("(") > 1000:
                import os

                os._exit(3)
        return sound(completions, answer)

    found = slipped(fragile)
    assert set(found) == {"factorial", "power tower", "brackets"}
    assert "raised RecursionError: too deep" in found["factorial"].error
    assert "within 2.4 s" in found["power tower"].error
    assert "status 3" in found["brackets"].error


def test_partial_scores_count_apart():
    def generous(completions, answer, **_):
        return [
            0.5 if score == 0.0 and text else score
            for score, text in zip(sound(completions, answer), completions, strict=True)
        ]

    results = run_attacks(Judge(generous, "r"), ROWS, "boxed", Random(0), sample=4)
    # Nothing here is plainly wrong, so no other answer is known to attack with.
    assert all(result.tried == 0 for result in results)


def test_a_reward_that_breaks_its_contract_is_an_error():
    with pytest.raises(RewardError, match="returned 1 rewards for"):
        run_attacks(Judge(lambda **_: [0.0], "r"), ROWS, "boxed", Random(0), sample=4)


def test_the_sample_follows_the_generator():
    def tried(seed):
        seen = []

        def spy(completions, answer, **_):
            seen.append(tuple(answer))
            return sound(completions, answer)

        run_attacks(Judge(VerifierReward(Spied(spy)), "r"), ROWS, "boxed", Random(seed), sample=4)
        return seen

    assert tried(1) == tried(1) != tried(2)


class Spied:
    """A function as a verifier, which is asked in this process."""

    name, columns, optional_columns = "spied", ("answer",), ()

    def __init__(self, reward):
        self.reward = reward

    def check_gold(self, rows):
        return [None] * len(rows)

    def verify(self, completions, rows):
        scores = self.reward(completions, [row["answer"] for row in rows])
        return [Verdict(score, "correct" if score == 1.0 else "wrong") for score in scores]


def test_every_attack_differs_from_the_right_answer():
    target = Target(ROWS[0], "22", ("24", "26"), PHRASES["boxed"].format)
    for attack in ANSWER_ATTACKS:
        text = attack.build(target)
        assert text is None or last_box(text) != "22" or text == "", attack.name


def test_a_code_battery_for_rows_with_tests():
    row = {"prompt": "Write f.", "test_list": ["assert set(f(1)) == {1}"]}
    names = {
        result.attack.name
        for result in run_attacks(
            Judge(lambda completions, **_: [0.0] * len(completions), "r"), [row], "fenced", Random(0)
        )
    }
    assert names == {attack.name for attack in CODE_ATTACKS}
    lies = next(attack for attack in CODE_ATTACKS if attack.name == "lies").build(Target(row, "", (), str))
    assert "def f(*args" in lies


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"entry_point": "g", "test": "..."}, "g"),
        ({"test_list": ["assert sorted(h(2)) == [1]"]}, "h"),
        ({"tests": [{"fn_name": "k", "testtype": "functional"}]}, "k"),
        ({"tests": [{"input": "1", "output": "1", "testtype": "stdin"}]}, "solve"),
    ],
)
def test_the_name_that_the_tests_call(row, name):
    assert function_name(row) == name
