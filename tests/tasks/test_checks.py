"""What is refused before anything expensive starts, and that the message names the rows."""

import pytest

from riskpo.errors import DataError
from riskpo.tasks.checks import check_columns, check_prompts, check_size


def chat(*contents):
    return [{"role": "user", "content": content} for content in contents]


def test_columns():
    check_columns(["prompt", "answer", "level"], ["prompt", "answer"], "the training set")
    with pytest.raises(DataError, match=r"the training set lacks the column\(s\) \['answer'\]; it has \['prompt'\]\."):
        check_columns(iter(["prompt"]), ["prompt", "answer"], "the training set")


def test_size():
    check_size(20, 20, "160 responses / 8 per prompt")
    with pytest.raises(DataError, match=r"has 19 prompts, but one step takes 20 \(160 responses / 8 per prompt\)"):
        check_size(19, 20, "160 responses / 8 per prompt")


@pytest.mark.parametrize("empty", ["", " \n\t", [], chat(""), chat(None), [{"role": "user"}]])
def test_empty_prompts(empty):
    with pytest.raises(DataError, match=r"1 prompts are empty \(rows 2\): remove these rows"):
        check_prompts(["a", empty, "b"], allow_duplicates=True)


@pytest.mark.parametrize("strange", [None, 5, 0.5, ["text"], {"role": "user", "content": "a"}])
def test_prompts_that_are_neither_text_nor_conversation(strange):
    with pytest.raises(DataError, match=r"1 prompts are neither a text nor a conversation, .* \(rows 2\)"):
        check_prompts(["a", strange, "b"], allow_duplicates=True)


@pytest.mark.parametrize("prompt", ["a", chat("a"), tuple(chat("a")), chat("", "a"), chat([{"type": "image"}])])
def test_prompts_that_say_something(prompt):
    check_prompts([prompt], allow_duplicates=False)


def test_first_rows_are_named():
    with pytest.raises(DataError, match=r"7 prompts are empty \(rows 1, 2, 3, 4, 5, \.\.\.\)"):
        check_prompts([""] * 7, allow_duplicates=False)


@pytest.mark.parametrize("make", [str, chat])
def test_duplicates(make):
    prompts = [make("a"), make("b"), make("a"), make("b"), make("a")]
    with pytest.raises(DataError, match=r"3 prompts repeat an earlier one \(rows \(1, 3\), \(2, 4\), \(1, 5\)\)"):
        check_prompts(prompts, allow_duplicates=False)
    check_prompts(prompts, allow_duplicates=True)


def test_a_conversation_is_no_duplicate_of_its_text():
    """The order of a message's keys does not matter, the roles do."""
    check_prompts(["a", chat("a"), [{"role": "system", "content": "a"}], "a "], allow_duplicates=False)
    with pytest.raises(DataError, match=r"rows \(1, 2\)"):
        check_prompts([chat("a"), [{"content": "a", "role": "user"}]], allow_duplicates=False)
