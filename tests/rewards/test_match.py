"""Two rewards for own data: what counts as equal, what cannot be scored, and texts written to confuse them."""

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.rewards.match import exact_match, last_number, numeric_match, text_of


def chat(text):
    return [{"role": "user", "content": "17"}, {"role": "assistant", "content": text}]


# --- exact ---


@pytest.mark.parametrize(
    ("completion", "gold", "reward"),
    [
        ("Paris", "Paris", 1.0),
        (" Paris\n", "Paris ", 1.0),
        ("paris", "Paris", 0.0),
        ("Paris.", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("", "", 1.0),
        ("7", 7, 1.0),
        ("7.0", 7, 0.0),
        ("None", None, None),
        (chat("Paris"), "Paris", 1.0),
        (chat("Rome"), "Paris", 0.0),
    ],
)
def test_exact_match(completion, gold, reward):
    assert exact_match([completion], [gold], prompts=["?"], level=["easy"]) == [reward]


# --- numeric ---


@pytest.mark.parametrize(
    ("completion", "gold"),
    [
        ("The answer is 1,234.50", "1234.5"),
        ("#### 18", "18"),
        ("2 + 3 = 5.", 5),
        ("so x=-7", "-7"),
        ("+7", "7"),
        (".5", "0.5"),
        ("3e-4", "0.0003"),
        ("1.5E3 apples", 1500),
        ("-0", "0"),
        ("first 3, then 4, so 12", "12"),
        ("1,234,567", "1,234,567"),
        ("$1,000", "1000.00"),
        ("0.1", 0.1),
        ("1e22", 1e22),
        ("100000000000000000000000000001", "100000000000000000000000000001"),
        ("12e", "12"),
        ("007", "7"),
        ("5", " 5 "),
        (chat("5"), "5"),
    ],
)
def test_equal_numbers(completion, gold):
    assert numeric_match([completion], [gold], prompts=["?"]) == [1.0]


@pytest.mark.parametrize(
    ("completion", "gold"),
    [
        ("", "0"),
        ("no number, e.g. none", "0"),
        ("-.e+", "0"),
        ("5 or 6", "5"),
        ("5", "-5"),
        ("1,2345", "12345"),
        ("12,34", "1234"),
        ("100000000000000000000000000002", "100000000000000000000000000001"),
        ("0.30000000000000004", "0.3"),
        ("1e400", "1e401"),
        ("1e999999999999999999999", "1"),
        ("٤٢", "42"),  # digits of another script are no ASCII number: wrong, not an error
        ("x²", "2"),
        (chat("6"), "17"),
    ],
)
def test_unequal_numbers(completion, gold):
    assert numeric_match([completion], [gold]) == [0.0]


@pytest.mark.parametrize(
    "gold",
    [None, "", "abc", "x=5", "$5", "5%", "1 2", "1,2,3", "2,4", "12,34", "nan", "inf", "-Infinity", "sNaN", "٤٢"],
)
def test_gold_that_is_no_number_is_unscorable(gold):
    """Not the model's fault: None, and never a match with whatever the digits would make."""
    assert numeric_match(["5", "123", "24", "nan", ""], [gold] * 5) == [None] * 5


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,2345", "2345"),
        ("10-12", "12"),
        ("\u22125", "-5"),
        ("1..5", "0.5"),
        ("v1.2.3", "0.3"),
        ("1e5e6", None),
        ("0x10", "10"),
        ("1 000", "0"),
    ],
)
def test_last_number_of_odd_texts(text, number):
    """What is read where a person might read otherwise: on record, so that a change is seen."""
    assert last_number(text) == (None if number is None else Decimal(number))


def test_length_mismatch():
    for match in (exact_match, numeric_match):
        with pytest.raises(ValueError, match="zip"):
            match(["1"], ["1", "2"])


def test_text_of_reads_the_last_message():
    assert text_of(chat("a")) == "a"
    assert text_of("a") == "a"


@given(st.text(), st.one_of(st.none(), st.text(), st.integers(), st.floats()))
def test_never_raises(completion, gold):
    for match in (exact_match, numeric_match):
        assert match([completion, chat(completion)], [gold, gold])[0] in (0.0, 1.0, None)


@given(st.text(alphabet="0123456789,.eE+- \n٣²½", max_size=40))
def test_never_raises_on_almost_numbers(text):
    """Whatever is read as the last number is one, and equals itself as the gold answer."""
    number = last_number(text)
    assert numeric_match([text], [text])[0] in (0.0, 1.0, None)
    if number is not None:
        assert numeric_match([text], [str(number)]) == [1.0]


@given(st.decimals(allow_nan=False, allow_infinity=False), st.text(alphabet="abc :=\n", max_size=5))
def test_a_number_is_found_behind_words(number, words):
    assert numeric_match([f"17 {words} {number}"], [str(number)]) == [1.0]
    assert numeric_match([f"{number:,}"], [number]) == [1.0]


@pytest.mark.parametrize(
    "piece",
    ["1", "1,", "111,", ",111", "1e", "1.", "-", "+-", ".", "e", " ", "1e9", "٣", "1,111e-", "9" * 99 + "e" + "9" * 99],
)
def test_a_megabyte_is_read_quickly(piece):
    """No shape of digits and separators makes the search crawl."""
    text = piece * (1_000_000 // len(piece))
    start = time.perf_counter()
    assert numeric_match([text], ["5"]) == [0.0]
    assert time.perf_counter() - start < 2.0
