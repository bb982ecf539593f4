"""The fast path: numbers as they are written, exact, and never certain where it should not be."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.rewards.answers.numbers import compare, read_number
from riskpo.rewards.answers.units import UNITS, conversion

NUMBERS = {
    "42": 42,
    "-7": -7,
    "\u22127": -7,
    "+5": 5,
    "025": 25,
    "27.0": 27,
    ".5": Fraction(1, 2),
    "5.": 5,
    "1,000": 1000,
    r"1{,}000": 1000,
    r"6,\!000": 6000,
    r"12\,000": 12000,
    "1 000": 1000,
    "1,234,567.89": Fraction(123456789, 100),
    "3/4": Fraction(3, 4),
    r"\frac{3}{4}": Fraction(3, 4),
    r"\dfrac34": Fraction(3, 4),
    r"-\frac 34": Fraction(-3, 4),
    r"\frac{-3}{4}": Fraction(-3, 4),
    r"\frac{270}7": Fraction(270, 7),
    "½": Fraction(1, 2),
    r"1\frac{4}{5}": Fraction(9, 5),
    r"-1\frac45": Fraction(-9, 5),
    "1 4/5": Fraction(9, 5),
    "1½": Fraction(3, 2),
    r"3\times10^{4}": 30000,
    r"3 \cdot 10^4": 30000,
    r"1.5 \times 10^{-3}": Fraction(3, 2000),
    "3e4": 30000,
    "1e400": 10**400,
    r"\$5": 5,
    r"-\$0.50": Fraction(-1, 2),
    "$5$": 5,
    r"\text{13}": 13,
    r"\mathbf{42}": 42,
    "{42}": 42,
    r"\boxed{42}": 42,
    "**42**.": 42,
    "x = 5": 5,
    "\uff15": 5,
    "5 million": 5_000_000,
    r"2\text{ dozen}": 24,
}
NO_NUMBERS = [
    *("", "x", "5x", "5 x", "3t", r"5\pi", "5 pi", "1,00", "1,2345", "1.2.3", "--5", "12 34", "5!", "3, 4", "1/0"),
    *(
        r"5\frac{1}{0}",
        "4²",
        "٤٢",
        "4\u200b2",
        "52_8",
        "not 42",
        "42 is wrong",
        "42 or 43",
        "5 squared",
        "5 percent of",
    ),
    *("1" * 500, "1e99999", r"10^{10^{10}}", "0x2A", "1_000", "nan", "inf", "= 5", "(5, 6)", r"99\text{ or so}"),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_reads(text, value):
    found = read_number(text)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_does_not_read(text):
    assert read_number(text) is None
    assert compare(text, text) == compare("42", text) == compare(text, "42") == "unknown"


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("0.5", r"\frac12", "equal"),
        ("0.5", r"50\%", "equal"),
        ("0.5", r"0.5\%", "different"),
        ("1", r"100\%", "equal"),
        ("50", r"50\%", "equal"),
        ("50", r"5000\%", "different"),
        (r"25\%", "25", "equal"),
        (r"25\%", "0.25", "equal"),
        (r"25\%", "2500", "different"),
        (r"25\%", r"0.25\%", "different"),
        (r"7.2\%", r"7.20 \%", "equal"),
        ("5", r"5\text{ cm}", "equal"),
        (r"5\text{ cm}", "5", "equal"),
        (r"5\text{ cm}", r"5\text{ centimeters}", "equal"),
        (r"5\text{ cm}", r"5\text{ m}", "different"),
        (r"5\text{ cm}", r"0.05\text{ m}", "equal"),
        (r"5\text{ cm}", r"5\text{ cm}^2", "different"),
        (r"45\text{ ft}^2", "45 square feet", "equal"),
        (r"\$0.50", r"50\text{ cents}", "equal"),
        (r"5.4\text{ cents}", r"\$5.4", "different"),
        ("90^\\circ", r"90\text{ degrees}", "equal"),
        (r"9\text{ a.m.}", r"9\text{ p.m.}", "different"),
        ("18 students", "18 people", "equal"),
        ("1/3", "0.333333", "different"),
        ("0.0000001", "0.0000002", "different"),
        ("5", "-5", "different"),
        ("x=5", "5", "unknown"),
        ("5", "x", "unknown"),
    ],
)
def test_compares(gold, answer, expected):
    assert compare(gold, answer) == expected


def test_tolerance_and_unit_of_a_row():
    near = Fraction(1, 10)
    assert compare("4.2", "4.25", tolerance=near) == "equal"
    assert compare("4.2", "4.3", tolerance=near) == "equal"
    assert compare("4.2", "4.31", tolerance=near) == "different"
    assert compare("4.2", r"4.2\%", unit="%") == "equal"
    assert compare("166", r"166\text{ m}^2", unit="cm^2") == "different"
    assert compare("166", r"166\text{ cm}^2", unit="cm^2") == "equal"


def test_units_convert_both_ways():
    for one, (kind, size) in UNITS.items():
        for other, (another, factor) in UNITS.items():
            expected = factor / size if kind == another else None
            assert conversion(one, other) == expected
    assert conversion("cm", "students") == conversion(None, "cm") == 1


integers = st.integers(-(10**12), 10**12)


def written(value, form):
    """A fraction in one of several spellings, all exact."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    if form == "mixed" and size > 1 and size.denominator > 1:
        whole, rest = divmod(size.numerator, size.denominator)
        return rf"{sign}{whole}\frac{{{rest}}}{{{size.denominator}}}"
    if form == "slash":
        return f"{sign}{size.numerator}/{size.denominator}"
    if form == "commas" and size.denominator == 1:
        return f"{sign}{size.numerator:,}"
    if form == "zeros" and size.denominator == 1:
        return f"{sign}00{size.numerator}.000"
    return rf"{sign}\dfrac{{{size.numerator}}}{{{size.denominator}}}"


FORMS = st.sampled_from(["mixed", "slash", "commas", "zeros", "latex"])


@given(integers, st.integers(1, 10**6), integers, st.integers(1, 10**6), FORMS, FORMS)
def test_agrees_with_fractions(a, b, c, d, first, second):
    one, other = Fraction(a, b), Fraction(c, d)
    left, right = written(one, first), written(other, second)
    assert compare(left, right) == ("equal" if one == other else "different")
    assert compare(left, right) == compare(right, left)
    assert compare(left, written(one, second)) == "equal"


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=6), FORMS)
def test_decimals_are_exact(value, form):
    assert compare(f"{value:f}", written(Fraction(value), form)) == "equal"
    assert compare(f"{value:f}1", f"{value:f}2") == "different"


@given(st.text(alphabet=r"0123456789.,/-+%$\{} frac^x=eE()", max_size=20), st.text(max_size=6))
def test_any_text_is_reflexive_and_symmetric(text, tail):
    assert compare(text, text) in ("equal", "unknown")
    found = read_number(text)
    if found is not None and not found.percent:
        assert compare(text, text) in ("equal", "unknown")
    other = text + tail
    verdict, back = compare(text, other), compare(other, text)
    percent = any(number is not None and number.percent for number in (found, read_number(other)))
    if not percent and "=" not in text + other:  # a name or a percent sign counts by which side is the gold
        assert verdict == back


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 999), FORMS, FORMS)
def test_agrees_with_math_verify_where_both_decide(a, c, b, first, second):
    """Fractions with small denominators, so that nothing hides behind Math-Verify's six decimals."""
    from math_verify import parse, verify

    one, other = Fraction(a, b), Fraction(c, b)
    left, right = written(one, first), written(other, second)
    theirs = verify(
        parse(f"${left}$", parsing_timeout=None), parse(f"${right}$", parsing_timeout=None), timeout_seconds=None
    )
    assert (compare(left, right) == "equal") == theirs
