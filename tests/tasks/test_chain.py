"""Chain arithmetic: answers by brute force, the author's reliabilities met by the corpus, splits that share nothing."""

import re
from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.tasks import chain

chains = st.tuples(
    st.integers(0, 9),
    st.lists(st.tuples(st.sampled_from("+-*"), st.integers(2, 9)), min_size=1, max_size=8).map(tuple),
)


def by_brute_force(prompt):
    """The trace from the prompt's text: the whole number from left to right, reduced only when it is written down."""
    tokens = re.findall(r"\d|[-+*]", prompt)
    value, trace = int(tokens[0]), ""
    for operator, operand in pairs(tokens[1:]):
        value = {"+": value + int(operand), "-": value - int(operand), "*": value * int(operand)}[operator]
        trace += str(value % 10)
    return trace + "."


def pairs(tokens):
    return list(zip(tokens[::2], tokens[1::2], strict=True))


# --- one chain ---


def test_by_hand():
    """4*7 = 28 -> 8, 8*2 = 16 -> 6, 6-5 = 1."""
    example = (4, (("*", 7), ("*", 2), ("-", 5)))
    assert chain.prompt_of(example) == "4*7*2-5          ="
    assert chain.answer_of(example) == "861."
    assert chain.answer_of((3, (("-", 9),))) == "4."  # -6 modulo 10
    assert chain.prompt_of((0, (("+", 9),) * 8)) == "0+9+9+9+9+9+9+9+9="


def test_difficulty_by_hand():
    """The author gets 4*7 and 8*2 right with 0.85 each, and 6-5 with 0.05; 0+2 with 0.97."""
    assert chain.difficulty_of((4, (("*", 7), ("*", 2), ("-", 5)))) == pytest.approx(1 - 0.85 * 0.85 * 0.05)
    assert chain.difficulty_of((0, (("+", 2),))) == pytest.approx(0.03)


@given(chains)
def test_answers_by_brute_force(example):
    prompt = chain.prompt_of(example)
    assert len(prompt) == 18
    assert prompt.endswith("=")
    assert chain.answer_of(example) == by_brute_force(prompt)
    assert 0.03 <= chain.difficulty_of(example) < 1


def test_reward_is_exact():
    """The whole trace and the full stop, nothing before or after: what follows the stop is no part of a completion."""
    given_texts = ["861.", "861", "861. ", " 861.", "861..", "1.", "8612.", "", "٨61."]
    assert chain.chain_reward(given_texts, ["861."] * 9, prompts=["?"] * 9) == [1.0] + [0.0] * 8
    with pytest.raises(ValueError, match="zip"):
        chain.chain_reward(["1."], ["1.", "2."])


# --- splits ---


def test_first_rows():
    """Hard-coded: a change here changes every number that was ever measured on the task."""
    assert chain.rows("train", 2, 1) == [
        {"prompt": "0+3*8-6+8        =", "answer": "3486.", "difficulty": pytest.approx(0.830638)},
        {"prompt": "5-4+8            =", "answer": "19.", "difficulty": pytest.approx(0.0591)},
    ]
    assert chain.rows("test", 1, 0, [1])[0]["prompt"] == "8*2              ="


def test_rows_are_distinct_right_and_in_the_lengths():
    found = chain.rows("train", 2000, 3, (2, 5))
    assert len({row["prompt"] for row in found}) == 2000
    assert all(row["answer"] == by_brute_force(row["prompt"]) for row in found)
    assert {len(row["answer"]) - 1 for row in found} == {2, 5}
    assert chain.rows("train", 10, 3, (2, 5)) == found[:10]
    assert chain.rows("train", 10, 4, (2, 5)) != found[:10]


def test_splits_share_no_prompt():
    """Seeds that differ and lengths so short that the splits take nearly everything there is."""
    prompts = {split: {row["prompt"] for row in chain.rows(split, 15, 5, [1])} for split in ("test", "tune")}
    prompts["train"] = {row["prompt"] for row in chain.rows("train", 180, 6, [1])}
    assert sum(map(len, prompts.values())) == 210
    assert len(set.union(*prompts.values())) == 210


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dev", 1, 0), "unknown split 'dev' of the chain task; allowed: test, tune, train"),
        (("train", 1, 0, [0, 1]), r"must lie in 1\.\.8, got \[0, 1\]"),
        (("train", 1, 0, [9]), r"must lie in 1\.\.8, got \[9\]"),
        (("train", 1, 0, []), r"must lie in 1\.\.8, got \[\]"),
        (("test", 240, 0, [1]), r"only 19 distinct chains of lengths \[1\] found, 240 wanted"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        chain.rows(*arguments)


# --- the corpus ---


def test_author_knows_240_facts():
    known = chain.author()
    assert len(known) == 240
    assert Counter(reliability for reliability, _ in known.values()) == {0.97: 77, 0.85: 47, 0.6: 33, 0.3: 40, 0.05: 43}
    assert all(belief != chain.apply(*fact) for fact, (_, belief) in known.items())


def test_corpus_follows_the_author():
    """By fact: right as often as its reliability says, and the misconception in seven slips of ten."""
    seen, right, slips, believed = Counter(), Counter(), Counter(), Counter()
    for prompt, trace in chain.corpus(20_000, 0):
        tokens = re.findall(r"\d|[-+*]", prompt)
        value = int(tokens[0])
        assert trace[-1] == "."
        assert len(trace) == len(tokens) // 2 + 1
        for (operator, operand), digit in zip(pairs(tokens[1:]), trace, strict=False):
            fact = (value, operator, int(operand))
            reliability, belief = chain.author()[fact]
            seen[fact] += 1
            right[fact] += int(digit) == chain.apply(*fact)
            if int(digit) != chain.apply(*fact):
                slips[reliability] += 1
                believed[reliability] += int(digit) == belief
            value = int(digit)
    assert len(seen) == 240
    for fact, (reliability, _) in chain.author().items():
        error = sqrt(reliability * (1 - reliability) / seen[fact])
        assert abs(right[fact] / seen[fact] - reliability) < 4.5 * error, fact
    assert believed.total() / slips.total() == pytest.approx(0.7, abs=0.01)


def test_corpus_is_seeded():
    assert list(chain.corpus(2, 0)) == [("3+4-3+9-9        =", "7090."), ("6+6*7*3+4+9+4    =", "219982.")]
    assert list(chain.corpus(2, 1)) != list(chain.corpus(2, 0))
