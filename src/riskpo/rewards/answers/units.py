r"""Units at the end of an answer: what may be dropped against a plain number, and which contradict each other.

A unit is dropped where only one side states one ("5 cm" against 5). Where both do, known units are converted (50 cents
is \$0.50) or refused (5 m is not 5 cm); a word that is in no table ("students") counts for nothing. Words that turn a
number into another statement (not, or, times, squared, percent) are no units: see `NOT_UNITS`.
"""

from __future__ import annotations

import re
from fractions import Fraction

Unit = tuple[str, Fraction]  # what is measured, and the size in that measure's base unit


def _measures(kind: str, listed: str) -> dict[str, Unit]:
    """`"m metre meter = 1; cm = 1/100"` as a table; plurals in -s are added."""
    table: dict[str, Unit] = {}
    for entry in listed.split(";"):
        names, size = entry.split("=")
        for name in names.split():
            table[name] = table[name + "s"] = (kind, Fraction(size.strip()))
    return table


_LENGTHS = _measures(
    "length",
    "m meter metre = 1; cm centimeter centimetre = 1/100; mm millimeter millimetre = 1/1000; km kilometer kilometre = "
    "1000; in inch inche = 127/5000; ft foot feet = 381/1250; yd yard = 1143/1250; mi mile = 201168/125",
)
UNITS: dict[str, Unit] = {
    **_LENGTHS,
    **_measures("mass", "g gram gm = 1; mg milligram = 1/1000; kg kilogram = 1000; lb pound = 45359237/100000"),
    **_measures("time", "s sec second = 1; min minute = 60; h hr hour = 3600; day = 86400; week = 604800"),
    **_measures("money", "dollar usd buck = 1; cent penny pennies = 1/100"),
    **_measures("volume", "L liter litre = 1; ml mL milliliter millilitre = 1/1000"),
    **_measures("angle", "degree deg = 1"),
    **_measures("square", "unit^2 squareunit = 1"),
    **_measures("speed", "mph = 1; kmph = 15625/25146; km/h = 15625/25146"),
    **_measures("morning or afternoon", "am = 1; pm = 1000003"),
    "a.m.": ("morning or afternoon", Fraction(1)),
    "p.m.": ("morning or afternoon", Fraction(1000003)),
}
for _name, (_kind, _size) in list(_LENGTHS.items()):
    UNITS[f"square {_name}"] = UNITS[f"{_name}^2"] = UNITS[f"sq {_name}"] = (_kind + " squared", _size**2)
    UNITS[f"cubic {_name}"] = UNITS[f"{_name}^3"] = (_kind + " cubed", _size**3)
    UNITS[f"square {_name}s"] = (_kind + " squared", _size**2)

SCALES = {
    **{"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12},
    **{"hundreds": 100, "thousands": 1000, "millions": 10**6, "billions": 10**9, "trillions": 10**12},
}

# After one of these words the number is no longer the answer, or not that number.
NOT_UNITS = frozenset(
    re.findall(
        r"\S+",
        "not isnt is are was were be no never none nor neither or and but if else when unless maybe perhaps possibly "
        "could would might may should wrong false incorrect approx approximately about around plus minus times over "
        "divided multiplied squared cubed root sqrt factorial mod modulo percent percentage pct power pi log ln sin "
        "cos tan half third quarter infinity to than more less greater fewer through until up down something any many "
        "some the this that these those answer solution result equals equal exactly rather instead",
    )
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'.-]*")
_FORM = re.compile(r"[A-Za-z][A-Za-z /'.-]{0,39}(?:\^\{?[23]\}?)?\.?")


def unit_of(text: str, *, spaced: bool = True) -> str | None:
    """The unit that a text states, in one spelling; None where the text is no unit.

    Args:
        text: what follows a number, e.g. "square feet".
        spaced: whether it stood apart from the number (a blank, or `\\text`): then a single letter of the table or
            any noun will do; else only a unit of the table of two letters or more.
    """
    text = " ".join(text.replace("{", "").replace("}", "").split()).strip()
    text = text if text.endswith(".m.") else text.rstrip(".")
    if text in UNITS:
        return text if spaced or len(text) > 1 else None
    lower = text.lower()
    if lower in UNITS and len(lower) > 1:
        return lower
    if not spaced or not _FORM.fullmatch(text):
        return None
    words = _WORD.findall(lower)
    if len(words) > 6 or any(word.replace("'", "") in NOT_UNITS or word in SCALES for word in words):
        return None
    return lower if any(len(word) > 2 for word in words) else None


_ONE = Fraction(1)


def conversion(gold: str | None, answer: str | None) -> Fraction | None:
    """What the answer's number is multiplied with before it is compared; None where the units contradict each other.

    1 where either states no unit, or one that is in no table.
    """
    if not gold or not answer:
        return _ONE
    ours, theirs = UNITS.get(gold), UNITS.get(answer)
    if ours is None or theirs is None:
        return _ONE
    return theirs[1] / ours[1] if ours[0] == theirs[0] else None
