import pytest

from riskpo.errors import BadTestsError
from riskpo.rewards.programs.checkers import FormError, Words, find_checker, register


def right(checker, expected, given):
    return find_checker(checker)(b"", expected, given)


@pytest.mark.parametrize(
    ("checker", "expected", "given", "verdict"),
    [
        ("tokens", b"1 2\n3\n", b"1 2\n3\n", True),
        ("tokens", b"1 2\n3\n", b"1   2 3", True),
        ("tokens", b" 7 \n", b"7", True),
        ("tokens", b"1\r\n2\r\n", b"1\n2\n", True),
        ("tokens", b"1 2 3", b"1 2", False),  # a prefix
        ("tokens", b"1 2 3", b"1 2 3 4", False),
        ("tokens", b"1", b"", False),
        ("tokens", b"1", b"1 2 3 4 5 6 7 8 9", False),  # all candidates
        ("tokens", b"1", b"1.0", False),
        ("tokens", b"1", b"01", False),
        ("tokens", b"1", b"+1", False),
        ("tokens", b"YES", b"yes", False),
        ("tokens", b"1", b"1\0", False),
        ("tokens", b"1", b"\xff\xfe1", False),
        ("tokens", b"1", b"\x1b[31m1\x1b[0m", False),
        ("tokens", b"12", b"1\xc2\xa02", False),
        ("tokens", "ü".encode(), "ü".encode(), True),
        ("tokens", b"", b"\n", True),
        ("tokens", b"", b"x", False),
        ("nocase", b"YES\nNo", b"yes nO", True),
        ("nocase", b"YES", b"YE", False),
        ("lines", b"a b\nc\n", b"a b  \nc", True),
        ("lines", b"a b\nc\n", b"a b c", False),
        ("lines", b"a b\n", b"a  b\n", False),
        ("lines", b"a\n\nb", b"a\nb", False),
        ("lines", b" a", b"a", False),
        ("floats:1e-6", b"0.5 x", b"0.5000001 x", True),
        ("floats:1e-6", b"0.5", b"0.500002", False),
        ("floats:1e-6", b"1000000", b"1000000.9", True),
        ("floats:1e-6", b"1000000", b"1000001.1", False),
        ("floats:1e-6", b"0", b"-0.0", True),
        ("floats:1e-6", b"0", b"1e-7", True),
        ("floats:1e-6", b"5", b"5.000000", True),
        ("floats:1e-6", b"0.5", b".5", True),
        ("floats:1e-6", b"1", b"nan", False),
        ("floats:1e-6", b"1", b"inf", False),
        ("floats:1e-6", b"1", b"1e400", False),
        ("floats:1e-6", b"1e308", b"1e400", False),
        ("floats:1e-6", b"nan", b"nan", True),  # the same word
        ("floats:1e-6", b"nan", b"1", False),
        ("floats:1e-6", b"10", b"1_0", False),
        ("floats:1e-6", b"3", "\u0663".encode(), False),  # a digit, but no decimal number here
        ("floats:1e-6", b"1 2", b"1", False),
        ("floats:1e-6", b"1", b"1" + b"0" * 100_000, False),
        ("floats:1e-6", b"1", b"1e999", False),
        ("floats:0", b"1", b"1.0", True),
        ("unordered", b"1 2 2", b"2\n1 2", True),
        ("unordered", b"1 2 2", b"1 1 2", False),
        ("unordered", b"1 2", b"1 2 2", False),
        ("unordered:lines", b"1 2\n3 4\n", b"3 4\n1 2", True),
        ("unordered:lines", b"1 2\n3 4\n", b"1 4\n3 2", False),
    ],
)
def test_checkers(checker, expected, given, verdict):
    assert right(checker, expected, given) is verdict


@pytest.mark.parametrize(
    "name", ["tokenz", "", "floats", "floats:", "floats:x", "floats:-1", "floats:1", "codeforces:1_A"]
)
def test_unknown(name):
    with pytest.raises(BadTestsError, match="checker"):
        find_checker(name)


def test_missing():
    with pytest.raises(BadTestsError, match="several right outputs, needs a checker"):
        find_checker("missing")


def test_one_s_own():
    @register("even")
    def even(given_input, expected, given):
        words = Words(given)
        number = words.integer(0, 10**9)
        words.end()
        return number % 2 == 0

    assert right("even", b"", b"4")
    assert not right("even", b"", b"3")
    for output in (b"", b"4 4", b"x", b"1e1", b"4.0", b"\xd9\xa4", b"9" * 5000, b"-2", b"10000000000"):
        with pytest.raises(FormError):
            right("even", b"", output)
