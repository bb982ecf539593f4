"""Where the answer stands: each convention's rule, and time that grows with the length alone."""

import time

import pytest

from riskpo.errors import ConfigError
from riskpo.rewards.extract import CONVENTIONS, after_reasoning, convention_named


def answer(convention, text):
    return CONVENTIONS[convention](text).answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{42}", "42"),
        (r"$\boxed{41}$ \boxed{42} and \boxed{43}.", "43"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed { 5 }", "5"),
        (r"\fbox{3}", "3"),
        (r"\\boxed{5}", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right\}}", r"\left\{ x \right\}"),
        (r"\boxed{}", ""),
        (r"}}}\boxed{5}{", "5"),
        (r"{\boxed{1}} {\boxed{2}}", "2"),
        (r"\boxed{\boxed{42}}", r"\boxed{42}"),
        (r"\boxed{41\boxed{42}}", r"41\boxed{42}"),
        (r"\boxed{41 and then \boxed{42}", "42"),
        (r"\boxed{4", None),
        (r"\boxed{42} or rather \boxed{4", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"boxed{42}", None),
        (r"\boxed 42", None),
        ("Answer: 42\n#### 42", None),
    ],
)
def test_boxed(text, expected):
    assert answer("boxed", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#### 18", "18"),
        ("#### 41\nno\n#### 1,042.5", "1,042.5"),
        ("#### -3", "-3"),
        ("#### 18.", "18"),
        ("####18", None),
        ("#### $18", None),
        ("#### eighteen", None),
        (r"\boxed{18}", None),
    ],
)
def test_gsm8k_strict(text, expected):
    assert answer("gsm8k-strict", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so 41, no, 42.", "42"),
        ("#### 18", "18"),
        ("it costs $1,234.50.", "1,234.50"),
        ("minus: -5", "-5"),
        ("pages 10-12", "12"),
        ("\u22127", "\u22127"),
        ("3/4 of it", "3/4"),
        (".5", ".5"),
        ("100, 200,", "200"),
        ("none", None),
    ],
)
def test_gsm8k_flexible(text, expected):
    assert answer("gsm8k-flexible", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: 42", "42"),
        ("answer :  $42$ \n", "$42$"),
        ("Answer: 41\nANSWER: 42\nbye", "42"),
        ("Answer:\n42", "42"),
        ("Answer: 42" + "x" * 291, None),
        ("Answer: 42\n" + "x" * 289, "42"),
        ("The answer is 42", None),
        (r"\boxed{42}", None),
    ],
)
def test_dapo(text, expected):
    """The last 300 characters of `Answer: 42\\n` + 290 x begin behind the A."""
    assert answer("dapo", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"Answer: 41. No: \boxed{42}. #### 43", "42"),
        ("The answer is 42.", "42."),
        ("The final answer is 42, because 40 + 2 = 42.", "42"),
        ("The answer is 42. So we are done", "42"),
        ("The answer is 42 or 43", "42 or 43"),
        ("The answer is 40, 41, 42", "40, 41, 42"),
        ("the answer is not 42", "not 42"),
        ("**Answer:** 42", "42"),
        ("**Answer**: 42", "42"),
        ("answer = 7", "7"),
        ("Answer: \n 42", "42"),
        ("Answer: $$\n42\n$$", "$$\n42\n$$"),
        ("Answer: 3.5 cm", "3.5 cm"),
        ("work\n#### 42", "42"),
        (r"\boxed{4 so the answer is 42", None),
        ("42", None),
        ("Answer:", None),
    ],
)
def test_auto(text, expected):
    assert answer("auto", text) == expected


def test_every_convention_says_why_there_is_no_answer():
    for convention in CONVENTIONS.values():
        found = convention("nothing here")
        assert found.answer is None
        assert "there is no" in found.reason, convention.name


def test_names():
    assert sorted(CONVENTIONS) == ["auto", "boxed", "dapo", "gsm8k-flexible", "gsm8k-strict"]
    with pytest.raises(ConfigError, match="Did you mean 'boxed'"):
        convention_named("boxd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no tags", "no tags"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a</think>b</think>c", "c"),
        ("<think>a", None),
        ("<think>a</think>b<think>c", None),
        ("<think><think>a</think>b", "b"),
    ],
)
def test_after_reasoning(text, expected):
    assert after_reasoning(text).answer == expected


def test_other_tags_and_a_block_that_the_prompt_opened():
    assert after_reasoning("[[a]]b", ("[[", "]]")).answer == "b"
    assert after_reasoning("a", opened=True).answer is None
    assert after_reasoning("a</think>b", opened=True).answer == "b"


MEGABYTE = {
    "brackets": "(" * 10**6,
    "braces": "{" * 10**6,
    "closing braces": "}" * 10**6,
    "boxes": "\\boxed{" * 140_000,
    "a box of braces": "\\boxed{" + "{" * 500_000 + "}" * 500_000 + "}",
    "digits": "1" * 10**6,
    "digits and commas": "1," * 500_000,
    "digits and points": "1." * 500_000,
    "slashes": "1/" * 500_000,
    "backslashes": "\\" * 10**6,
    "answers": "answer:" * 150_000,
    "an answer of blanks": "answer" + " " * 10**6,
    "clauses": "answer is " + "; " * 500_000,
    "hashes": "####" * 250_000,
    "dollars": "answer: " + "$" * 10**6,
    "minus signs": "-" * 10**6,
    "think": "<think>" * 150_000,
}


@pytest.mark.parametrize("text", MEGABYTE.values(), ids=MEGABYTE)
def test_a_megabyte_of_anything_is_read_in_seconds(text):
    """Quadratic searches would take minutes to hours here; the bound is loose enough for any machine."""
    start = time.monotonic()
    for convention in CONVENTIONS.values():
        convention(text)
    after_reasoning(text)
    assert time.monotonic() - start < 30
