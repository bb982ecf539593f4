"""Format, length, sums: by hand-made cases."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trl.rewards import get_soft_overlong_punishment, think_format_reward

from riskpo.rewards.shaping import CosineLength, TagFormat, WeightedSum


def verified(completions, **_):
    """1 for `right`, None for `odd`, else 0."""
    return [{"right": 1.0, "odd": None}.get(text, 0.0) for text in completions]


async def awaited(completions, **_):
    return [0.0 for _ in completions]


class AwaitedToo:
    async def __call__(self, completions, **_):
        return [0.0 for _ in completions]


# --- format ---


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("<think>a</think>b", 1.0),
        ("  <think>\na\n</think>\nb\n", 1.0),
        ("<think>a</think>", 0.0),  # no text after
        ("<think> </think>b", 0.0),  # no reasoning
        ("x<think>a</think>b", 0.0),  # text before
        ("<think>a</think>b<think>c</think>d", 0.0),
        ("<think><think>a</think>b", 0.0),
        ("<think>a</think></think>b", 0.0),
        ("</think>a<think>b", 0.0),
        ("a</think>b", 0.0),
        ("<think>a", 0.0),
        ("", 0.0),
    ],
)
def test_think_format(text, fits):
    assert TagFormat()(completions=[text, [{"role": "assistant", "content": text}]]) == [fits, fits]


def test_several_tags():
    both = TagFormat(("think", "answer"), tail=False)
    texts = ["<think>a</think> <answer>b</answer>", "<think>a</think>x<answer>b</answer>", "<answer>b</answer>"]
    texts += ["<answer>b</answer><think>a</think>", "<think>a</think><answer>b</answer> c"]
    assert both(completions=texts) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_tag_that_the_prompt_opens():
    opened = TagFormat(opened=True)
    assert opened(completions=["a</think>b", "<think>a</think>b", "a", "</think>b"]) == [1.0, 0.0, 0.0, 0.0]


@given(st.text(alphabet="ab \n"), st.text(alphabet="ab \n"))
def test_never_laxer_than_trl(inside, after):
    text = f"<think>{inside}</think>{after}"
    ours = TagFormat()(completions=[text])[0]
    assert ours <= think_format_reward([[{"content": text}]])[0]


def test_long_texts_end():
    """In linear time: a quadratic search would take hours."""
    texts = ["<think>" * 200_000, "<" * 1_000_000, "<think>a</think>" * 100_000]
    assert TagFormat()(completions=texts) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("tags", [(), ("a", "a"), ("a b",), ("",)])
def test_tags_that_cannot_be(tags):
    with pytest.raises(ValueError, match="tags must be different words"):
        TagFormat(tags)


# --- length ---


def test_cosine_length():
    shaped = CosineLength(verified, 100, correct=(1.0, 0.5), wrong=(-1.0, 0.0))
    ids = [[0] * n for n in (0, 50, 100, 250, 0, 100, 50)]
    texts = ["right"] * 4 + ["wrong", "wrong", "odd"]
    scores = shaped(completions=texts, completion_ids=ids)
    assert scores[:6] == pytest.approx([1.0, 0.75, 0.5, 0.5, -1.0, 0.0])
    assert scores[6] is None


def test_a_wrong_answer_never_scores_like_a_right_one():
    with pytest.raises(ValueError, match="must never score what a right one does"):
        CosineLength(verified, 100, correct=(1.0, 0.2), wrong=(0.0, 0.2))
    with pytest.raises(ValueError, match="at least 1: 0"):
        CosineLength(verified, 0)


# --- sums ---


def test_weighted_sum():
    overlong = get_soft_overlong_punishment(100, 50)
    total = pickle.loads(pickle.dumps(WeightedSum([verified, TagFormat(), overlong], [1.0, 0.5, 2.0])))
    logged = {}
    scores = total(
        completions=["right", "odd", "<think>a</think>b", "wrong"],
        completion_ids=[[0] * 75, [0], [0], [0] * 101],
        log_metric=logged.__setitem__,
        answer=["x"] * 4,
    )
    assert scores == [1.0 - 1.0, None, 0.5, -2.0]
    assert total.__name__ == "verified+tag_format+soft_overlong_punishment_reward"
    assert logged["reward_parts/verified"] == pytest.approx(1 / 3)
    assert logged["reward_parts/tag_format"] == 0.25
    assert logged["reward_parts/soft_overlong_punishment_reward"] == pytest.approx(-1.5 / 4)


@pytest.mark.parametrize(
    ("rewards", "weights", "said"),
    [
        ([], None, "0 reward functions"),
        ([verified], [1.0, 2.0], "1 reward functions and 2 weights"),
        ([verified], [float("nan")], "finite"),
        ([verified, awaited, AwaitedToo()], None, r"\['awaited', 'AwaitedToo'\] are asynchronous"),
    ],
)
def test_sums_that_cannot_be(rewards, weights, said):
    with pytest.raises(ValueError, match=said):
        WeightedSum(rewards, weights)


def test_a_part_of_the_wrong_length_is_an_error():
    with pytest.raises(ValueError, match="gave 1 scores for 2 completions"):
        WeightedSum([lambda **_: [0.0]])(completions=["a", "b"])
