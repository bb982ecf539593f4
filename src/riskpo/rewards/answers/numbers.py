r"""The fast path: answers that are plain numbers, compared exactly as fractions, without computer algebra.

`compare` says "equal" or "different" only where both texts are numbers in a form that has one meaning; anything else is
"unknown" and belongs to `symbolic`. Read as numbers: integers with or without thousands separators
(`1,000`, `1\,000`, `1{,}000`), decimals, fractions (`3/4`, `\frac{3}{4}`, `\frac34`), mixed numbers (`1\frac45` is
9/5), scientific notation (`3\times10^{4}`, `3e4`), signs, `x = 5`, `\$5`, and any of these with a unit or a percent
sign.

- Decimals are exact: `0.33` is 33/100 and no third. Only a row's own tolerance makes an approximation right.
- Leading zeros mean nothing: `025` is 25. A comma is never a decimal point.
- A percent sign counts by what the gold is. Gold `25\%`: `25\%`, `25` (the sign left out) and `0.25` are equal to it.
  A plain gold above 1 in size counts percents, so `50\%` is equal to gold 50 and not to 0.5 of anything; a plain gold
  in [-1, 1] is a share, so `50\%` is equal to gold 0.5, and `0.5\%` is not.
- Units: see `riskpo.rewards.answers.units`.
- Digits: ASCII, and their full-width forms. Others (superscripts, Devanagari, ...) are not read as numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from riskpo.rewards.answers.notation import UnreadableError, closing, tidy
from riskpo.rewards.answers.units import SCALES, conversion, unit_of

Comparison = Literal["equal", "different", "unknown"]

LONGEST = 400  # characters: a longer text is no plain number
_MOST_DIGITS = 1000  # of an exponent's effect: 1e400 is a number, 10^{10^{10}} is left to the worker

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?!\d)|\d+)"
_DECIMAL = rf"(?:{_INTEGER}\.\d+|{_INTEGER}\.?|\.\d+)"
_SIGNED = rf"(?:[-+]\s*)?{_DECIMAL}"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]\s*)?(?:"
    rf"(?P<whole>\d+)\s*\\frac\s*\{{\s*(?P<upper>\d+)\s*\}}\s*\{{\s*(?P<lower>\d+)\s*\}}"  # 1\frac{4}{5}
    rf"|(?P<whole2>\d+) (?P<upper2>\d+)\s*/\s*(?P<lower2>\d+)"  # 1 4/5
    rf"|\\frac\s*\{{\s*(?P<top>{_SIGNED})\s*\}}\s*\{{\s*(?P<bottom>{_SIGNED})\s*\}}"
    rf"|(?P<over>{_DECIMAL})\s*/\s*(?P<under>{_DECIMAL})"
    rf"|(?P<number>{_DECIMAL})(?:[eE](?P<e>[-+]?\d{{1,5}})"
    rf"|\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*(?:\{{\s*(?P<power>[-+]?\s*\d{{1,5}})\s*\}}|(?P<digit>\d)(?!\d)))?"
    rf")",
    re.ASCII,
)
_DIGITS = re.compile(r"-?\d+", re.ASCII)
_NAME = re.compile(r"[A-Za-z](?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]+\}))?\s*={1,2}\s*(?=\S)", re.ASCII)
_MONEY = re.compile(r"^(?P<sign>[-+]\s*)?(?:\\\$|€|£|¥)\s*")
_PERCENT = re.compile(r"\s*(?:\\?%|\\text\s?\{\s*(?:\\?%|percent)\s*\}|(?<=[\d}]) percent|(?<=\d)percent)$")
_DEGREES = re.compile(r"\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})(?:\s*(?:\\text\{\s*)?[CF]\}?)?$")
_OF_ANGLES = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")  # there a degree is pi/180, no unit
_TEXT_UNIT = re.compile(r"\s*\\text\s?\{(?P<unit>[^{}]*)\}(?P<power>\s*\^\s*(?:[23]|\{[23]\}))?$")
_PLAIN_UNIT = re.compile(r"(?<=[\d}.])(?P<gap>\s*)(?P<unit>[A-Za-z](?:[A-Za-z /'.-]|\^\{?[23]\}?)*)$")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was written.

    Args:
        value: the number before any percent sign.
        percent: whether a percent sign follows.
        unit: in one spelling; None where none is stated.
    """

    value: Fraction
    percent: bool = False
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A text without the marks at its ends: `core` is all that is left, the rest is as in `Quantity`."""

    core: str
    percent: bool = False
    unit: str | None = None
    scale: int = 1


def read_number(text: str, *, tidied: bool = False) -> Quantity | None:
    """The number that a text states, or None where it is no plain number.

    Args:
        text: an answer; LaTeX or plain.
        tidied: whether it has been through `tidy`.
    """
    if len(text) > LONGEST:
        return None
    if _DIGITS.fullmatch(text):
        return Quantity(Fraction(int(text)))
    if not tidied:
        try:
            text = tidy(text)
        except UnreadableError:
            return None
    marked = without_marks(text)
    value = _value(marked.core)
    if value is None:
        return None
    return Quantity(value * marked.scale if marked.scale != 1 else value, marked.percent, marked.unit)


def without_marks(text: str) -> Marked:
    """Takes money signs, percent signs, degrees, scale words and units off a tidied text.

    Units are taken off only behind a digit, a brace or a bracket, so that no part of a formula is lost.
    """
    percent, unit, scale = False, None, 1
    money = _MONEY.match(text)
    if money:
        text, unit = (money.group("sign") or "") + text[money.end() :], "dollar" if "$" in money.group() else None
    elif text.endswith("\\$"):
        text, unit = text[:-2].rstrip(), "dollar"
    for _ in range(3):
        if found := _PERCENT.search(text):
            percent = True
        elif (found := _DEGREES.search(text)) and not _OF_ANGLES.search(text):
            unit = unit or "degree"
        elif found := _TEXT_UNIT.search(text) or _PLAIN_UNIT.search(text):
            groups = found.groupdict()
            stated = groups["unit"].strip()
            if stated.lower() in SCALES:
                scale *= SCALES[stated.lower()]
            elif stated and (word := _unit(stated, groups.get("power"), groups.get("gap", " ") != "")):
                unit = unit or word
            elif stated:
                break
        else:
            break
        if not text[: found.start()].strip():
            break
        text = text[: found.start()].rstrip()
    return Marked(text, percent, unit, scale)


def _unit(stated: str, power: str | None, spaced: bool) -> str | None:
    exponent = re.sub(r"[^23]", "", power or "")
    return unit_of(stated + (f"^{exponent}" if exponent else ""), spaced=spaced)


def _value(text: str) -> Fraction | None:
    text = text.strip()
    while text.startswith("{") and closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    named = _NAME.match(text)
    if named:
        text = text[named.end() :]
        marked = _MONEY.match(text)
        text = text if marked is None else (marked.group("sign") or "") + text[marked.end() :]
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    try:
        value = _absolute(found)
    except (ZeroDivisionError, ValueError):  # a denominator of 0; more digits than Python reads
        return None
    return -value if value is not None and (found.group("sign") or "").startswith("-") else value


def _absolute(found: re.Match[str]) -> Fraction | None:
    part = found.groupdict()
    if part["whole"] or part["whole2"]:
        whole, upper, lower = (part[name] or part[name + "2"] for name in ("whole", "upper", "lower"))
        return int(whole) + Fraction(int(upper), int(lower))
    if part["top"]:
        return _decimal(part["top"]) / _decimal(part["bottom"])
    if part["over"]:
        return _decimal(part["over"]) / _decimal(part["under"])
    exponent = int((part["e"] or part["power"] or part["digit"] or "0").replace(" ", ""))
    if abs(exponent) > _MOST_DIGITS:
        return None
    number = _decimal(part["number"])
    return number * Fraction(10) ** exponent if exponent else number


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def compare(gold: str, answer: str, *, tolerance: Fraction | None = None, unit: str | None = None) -> Comparison:
    """Whether an answer is the gold number.

    Args:
        gold: the right answer.
        answer: the given one.
        tolerance: how far the answer may lie from the gold; None = it must be exact.
        unit: of the gold, where its text states none.
    """
    right = read_number(gold)
    given = read_number(answer) if right is not None else None
    if right is None or given is None or _NAME.match(gold):
        return "unknown"
    return "equal" if equal_quantities(right, given, tolerance=tolerance, unit=unit) else "different"


def equal_quantities(
    gold: Quantity, answer: Quantity, *, tolerance: Fraction | None = None, unit: str | None = None
) -> bool:
    """Whether two numbers are the same by the rules at the top of this module."""
    factor = conversion(gold.unit or unit, answer.unit)
    if factor is None:
        return False
    given = answer.value * factor if factor != 1 else answer.value
    if gold.percent:
        allowed = (given,) if answer.percent else (given, given * 100)
    elif answer.percent and unit != "%":
        allowed = (given,) if abs(gold.value) > 1 else (given / 100,)
    else:
        allowed = (given,)
    if tolerance:
        return any(abs(value - gold.value) <= tolerance for value in allowed)
    return gold.value in allowed
