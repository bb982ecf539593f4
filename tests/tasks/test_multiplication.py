"""The times table: right products, held-out facts, and a reward that reads the first line only."""

import pytest

from riskpo.tasks.multiplication import SHOTS, first_line_match, rows


def asked(row):
    """The two factors of a row's question."""
    assert row["prompt"].startswith(SHOTS)
    a, b = row["prompt"].removeprefix(SHOTS).removesuffix(" =").split(" * ")
    return int(a), int(b)


def test_all_facts():
    """2..9 times 2..9 without the four shown, in either order: 57 facts; a quarter of the pairs is held out."""
    train, test = rows("train", 43, 1), rows("test", 14, 2)
    facts = [asked(row) for row in train + test]
    assert len(set(facts)) == 57
    assert not {frozenset(asked(row)) for row in train} & {frozenset(asked(row)) for row in test}
    assert all(int(row["answer"]) == a * b for row, (a, b) in zip(train + test, facts, strict=True))
    assert not any(f"{a} * {b} =" in SHOTS or f"{b} * {a} =" in SHOTS for a, b in facts)
    assert rows("test", 1, 0) == [{"prompt": SHOTS + "2 * 6 =", "answer": "12"}]
    assert [asked(row) for row in rows("train", 43, 3)] != facts[:43]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("tune", 1, 0), "unknown split 'tune'.*allowed: test, train"), (("test", 16, 0), "has 14 problems, 16 wanted")],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        rows(*arguments)


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("42", 1),
        (" 42 \n5*5=25", 1),
        ("\n\n42", 1),
        ("42\r\n7", 1),
        ("420", 0),
        ("4 2", 0),
        ("=42", 0),
        ("", 0),
        ("\n", 0),
    ],
)
def test_first_line_match(completion, reward):
    assert first_line_match([completion], ["42"], prompts=["6*7="]) == [reward]
