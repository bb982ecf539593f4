"""Repeats, conflicts and overlaps of questions, by exact text (blanks ignored) and by runs of 13 words.

Two questions are the same when their texts are equal without blanks. Two questions overlap when they share at least
half of the 13-word runs (letters and digits, case ignored) of the shorter one: one shared run alone is most often a
common phrase ("where m and n are relatively prime positive integers. Find m + n"). Questions of fewer than 13 words
have no runs and are compared exactly only.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from riskpo.tasks.base import Item

WORDS = 13
SHARE = 0.5
_WORD = re.compile(r"[^\W_]+")


def squeezed(text: str) -> str:
    """The text without blanks."""
    return "".join(text.split())


def fingerprint(text: str) -> str:
    """16 hexadecimal digits of a hash of the text without blanks."""
    return hashlib.blake2b(squeezed(text).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def same_gold(one: str | None, other: str | None) -> bool:
    """Whether two golds are the same text without blanks, or the same number."""
    if one is None or other is None:
        return one is other
    if squeezed(one) == squeezed(other):
        return True
    from riskpo.rewards.answers.numbers import read_number

    left, right = read_number(one), read_number(other)
    return left is not None and left == right


def key_of(item: Item) -> str:
    """By what an item is known as the same as another: its question, and its image where it has one."""
    return squeezed(item.question) if item.image is None else f"{squeezed(item.question)}\0{_image_key(item.image)}"


@dataclass(frozen=True)
class Groups:
    """Repeated questions of a set.

    Args:
        distinct: how many different questions there are.
        repeats: positions of rows that repeat an earlier question.
        conflicts: positions of all rows of questions that carry different golds, question by question.
    """

    distinct: int
    repeats: tuple[int, ...]
    conflicts: tuple[tuple[int, ...], ...]


def group(items: Sequence[Item]) -> Groups:
    """Repeats and conflicts among items."""
    rows: dict[str, list[int]] = {}
    for position, item in enumerate(items):
        rows.setdefault(key_of(item), []).append(position)
    conflicts = []
    for positions in rows.values():
        golds = [_gold_of(items[position]) for position in positions]
        if len(positions) > 1 and not all(same_gold(golds[0], gold) for gold in golds[1:]):
            conflicts.append(tuple(positions))
    repeats = sorted(position for positions in rows.values() for position in positions[1:])
    return Groups(len(rows), tuple(repeats), tuple(conflicts))


@dataclass(frozen=True, slots=True)
class Mark:
    """What an item is compared by.

    Args:
        key: the same for the same question.
        runs: of its words; none for a question with an image, whose text may be a common phrase.
    """

    key: str
    runs: frozenset[int]


def mark(item: Item, words: int = WORDS) -> Mark:
    """What an item is compared by; `words` 0: its text alone."""
    return Mark(key_of(item), runs(item.question, words) if item.image is None else frozenset())


class Benchmark:
    """A set of questions that others are compared with.

    Args:
        name: what reports call it.
        items: its rows.
        words: the length of the runs; 0: exact only.
    """

    def __init__(self, name: str, items: Iterable[Item], words: int = WORDS) -> None:
        self.name = name
        self.words = words
        self.marks = [mark(item, words) for item in items]
        self._exact = {one.key for one in self.marks}
        self._where: dict[int, list[int]] = {}
        for position, one in enumerate(self.marks):
            for run in one.runs:
                self._where.setdefault(run, []).append(position)

    def holds(self, one: Mark) -> bool:
        """Whether the same question is in it."""
        return one.key in self._exact

    def touches(self, one: Mark) -> bool:
        """Whether a question of it shares a single run."""
        return any(run in self._where for run in one.runs)

    def overlaps(self, one: Mark, share: float = SHARE) -> bool:
        """Whether a question of it shares at least `share` of the runs of the shorter of the two."""
        shared: dict[int, int] = {}
        for run in one.runs:
            for position in self._where.get(run, ()):
                shared[position] = shared.get(position, 0) + 1
        return any(
            count >= share * min(len(one.runs), len(self.marks[position].runs)) for position, count in shared.items()
        )


def runs(text: str, words: int) -> frozenset[int]:
    """Hashes, good in this process, of the runs of `words` words of a text; none where it is shorter or `words` 0."""
    if words < 1:
        return frozenset()
    found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return frozenset(hash(tuple(found[start : start + words])) for start in range(len(found) - words + 1))


def _gold_of(item: Item) -> str | None:
    """The gold; None where tests are it: an answer beside them is one program of many."""
    return None if {"tests", "test", "test_list"} & item.fields.keys() else item.answer


def _image_key(image: object) -> str:
    if isinstance(image, dict):
        content = image.get("bytes")
        return hashlib.blake2b(content, digest_size=8).hexdigest() if content else str(image.get("path"))
    return str(image) if isinstance(image, str) else str(id(image))
