"""How the output of a program is compared with the expected one, by name.

| checker | a right output |
|---|---|
| `tokens` (default) | the same words in the same order; blanks and line ends do not matter, the case of letters does |
| `lines` | the same lines; blanks at their ends and empty lines at the end do not matter |
| `nocase` | as `tokens`, but `YES` is `yes` |
| `floats:1e-6` | as `tokens`, but numbers may differ by this much, absolutely or relative to the expected one |
| `unordered`, `unordered:lines` | the same words, or the same lines (as words), in any order |
| `missing` | cannot be told: several outputs are right and no checker is known; such rows are not scored |
| `codeforces:1025_B` ... | any right output of that problem (codeforces.py) |

The whole output counts: one word too few or too many is wrong. Numbers are compared as text (`1.0` is not `1`) unless
`floats` says otherwise, and `floats` knows decimal numbers alone: `nan`, `inf` and `1_000` are words. Bytes are
compared, so an output that is no UTF-8 is simply different.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

from riskpo.errors import BadTestsError

# Input of the test, expected output, output of the program.
Checker = Callable[[bytes, bytes, bytes], bool]

_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_INTEGER = re.compile(rb"-?\d{1,18}")
_LONGEST_NUMBER = 400
_registry: dict[str, Checker] = {}


class FormError(ValueError):
    """An output, or an input, that is not of the form that the problem asks for."""


def register(name: str) -> Callable[[Checker], Checker]:
    """Adds a checker under a name that rows can put into their column `checker`.

    A checker gets the input, the expected and the given output as bytes. It returns whether the output is right, and
    may raise FormError for one that it cannot read. It must take time linear in hostile output of several MB.
    """

    def add(checker: Checker) -> Checker:
        _registry[name] = checker
        return checker

    return add


def find_checker(name: str) -> Checker:
    """The checker of a name.

    Raises:
        BadTestsError: there is none.
    """
    from riskpo.rewards.programs import codeforces  # noqa: F401  (registers its own)

    if name == "missing":
        raise BadTestsError("several right outputs, needs a checker")
    if name.startswith("floats:"):
        return _floats(tolerance(name))
    if name not in _registry:
        raise BadTestsError(
            f"unknown checker {name!r}; known: {', '.join(sorted(_registry))}, floats:TOLERANCE, missing"
        )
    return _registry[name]


def tolerance(name: str) -> Fraction:
    """The tolerance in `floats:1e-6`."""
    text = name.partition(":")[2]
    if not _NUMBER.fullmatch(text.encode()) or not 0 <= Fraction(text) < 1:
        raise BadTestsError(f"checker {name!r}: the tolerance is a number from 0 to below 1, as in floats:1e-6")
    return Fraction(text)


@register("tokens")
def same_tokens(_: bytes, expected: bytes, given: bytes) -> bool:
    return expected.split() == given.split()


@register("nocase")
def _same_but_for_case(_: bytes, expected: bytes, given: bytes) -> bool:
    return expected.lower().split() == given.lower().split()


@register("lines")
def _same_lines(_: bytes, expected: bytes, given: bytes) -> bool:
    def lines(output: bytes) -> list[bytes]:
        return [line.rstrip() for line in output.rstrip().split(b"\n")]

    return lines(expected) == lines(given)


@register("unordered")
def _same_words(_: bytes, expected: bytes, given: bytes) -> bool:
    return Counter(expected.split()) == Counter(given.split())


@register("unordered:lines")
def _same_set_of_lines(_: bytes, expected: bytes, given: bytes) -> bool:
    def lines(output: bytes) -> Counter[tuple[bytes, ...]]:
        return Counter(tuple(line.split()) for line in output.split(b"\n") if line.strip())

    return lines(expected) == lines(given)


def _floats(within: Fraction) -> Checker:
    def close(_: bytes, expected: bytes, given: bytes) -> bool:
        ours, theirs = expected.split(), given.split()
        return len(ours) == len(theirs) and all(
            one == other or _close(one, other, within) for one, other in zip(ours, theirs, strict=True)
        )

    return close


def _close(expected: bytes, given: bytes, within: Fraction) -> bool:
    """Exactly, with fractions: a float would round 400 digits, and call everything equal near infinity."""
    if max(len(expected), len(given)) > _LONGEST_NUMBER:
        return False
    if not (_NUMBER.fullmatch(expected) and _NUMBER.fullmatch(given)):
        return False
    right, found = Fraction(expected.decode()), Fraction(given.decode())
    return abs(right - found) <= within * max(Fraction(1), abs(right))


class Words:
    """Reads the words of an input or an output one after the other."""

    def __init__(self, text: bytes) -> None:
        self._words = text.split()
        self._next = 0

    def word(self) -> bytes:
        """The next word. Raises FormError at the end."""
        if self._next == len(self._words):
            raise FormError("ends too early")
        self._next += 1
        return self._words[self._next - 1]

    def integer(self, least: int, most: int) -> int:
        """The next word as an integer. Raises FormError for anything else, or outside its bounds."""
        word = self.word()
        if not _INTEGER.fullmatch(word) or not least <= (value := int(word)) <= most:
            raise FormError(f"not an integer from {least} to {most}: {word[:20]!r}")
        return value

    def integers(self, count: int, least: int, most: int) -> list[int]:
        """The next `count` words as integers."""
        return [self.integer(least, most) for _ in range(count)]

    def end(self) -> None:
        """Raises FormError where words are left."""
        if self._next != len(self._words):
            raise FormError(f"{len(self._words) - self._next} words too many")
