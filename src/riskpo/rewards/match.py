"""The built-in rewards for a user's own data: the last answer of a completion, compared as text or as a number.

Both take TRL's reward signature. A completion without an answer is wrong (0.0). A gold answer that cannot be
compared is not the model's fault: its completions cannot be scored (None).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

# 1,234.5  -7  .5  3e-4 ; a comma only between groups of three digits; no sign where it may be a minus or a hyphen
# (10-12). A fraction is one token, and no decimal number: 3/4 is not 4.
_NUMBER = re.compile(r"(?:(?<![\w).])[-+])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?(?:/\d+)*")
_LONGEST = 100_000  # characters of a completion's end that are searched; a longer one is cut, not scanned for ever


def exact_match(completions: Sequence[Any], answer: Sequence[Any], **_: Any) -> list[float | None]:
    """1.0 where the completion, outer blanks removed, equals the gold answer character by character, else 0.0.

    Args:
        completions: texts, or conversations whose last message is the completion.
        answer: gold answers; None = unscorable.
    """
    return [
        None if gold is None else float(text_of(completion).strip() == str(gold).strip())
        for completion, gold in zip(completions, answer, strict=True)
    ]


def numeric_match(completions: Sequence[Any], answer: Sequence[Any], **_: Any) -> list[float | None]:
    r"""1.0 where the last number of the completion equals the gold number exactly, else 0.0.

    Thousands separators and trailing zeros do not matter (`1,000.0` is `1000`); numbers are written the English way. No
    arithmetic is done on the text: a fraction is wrong, and of an expression only the last number counts.

    Args:
        completions: texts, or conversations whose last message is the completion.
        answer: gold numbers, as numbers or text; one that is not a single number is unscorable: None.
    """
    return [_equal_numbers(text_of(c), gold) for c, gold in zip(completions, answer, strict=True)]


def text_of(completion: Any) -> str:
    """A completion's text: itself, or the content of a conversation's last message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else None
    if isinstance(content, list):  # blocks of text and images
        return "".join(block.get("text", "") for block in content if isinstance(block, dict))
    return content if isinstance(content, str) else ""


def last_number(text: str) -> Decimal | None:
    """The last number in a text, or None."""
    tail = text[-_LONGEST:].replace("\u2212", "-")  # the typographer's minus
    found = [match.group() for match in _NUMBER.finditer(tail) if any(map(str.isdigit, match.group()))]
    return _decimal(found[-1]) if found else None


def _equal_numbers(text: str, gold: Any) -> float | None:
    right = gold_number(gold)
    if right is None:
        return None
    given = last_number(text)
    return float(given is not None and given == right)


def gold_number(gold: Any) -> Decimal | None:
    """The number that `numeric_match` compares with, or None where a gold answer is not a single number."""
    try:
        return _decimal(str(gold))
    except ValueError:  # an integer of more digits than Python prints
        return None


def _decimal(text: str) -> Decimal | None:
    if not text.isascii() or ("," in text and not _NUMBER.fullmatch(text.strip())):
        return None
    try:
        value = Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
