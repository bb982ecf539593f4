"""Numbers and foreign texts as a page or a Markdown file shows them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"

# What a browser would not show, or what would turn the text around it: controls, soft hyphens,
# marks of direction, tags, lone surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with what cannot be seen written out as `<U+202E>`."""
    return _UNSEEN.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, other than a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any) -> str:
    """A value of a table: four significant digits, no exponent where it can be avoided; a dash for none."""
    if value is None or value != value:
        return DASH
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15 and abs(value) >= 1000):
        return f"{int(value):,}".replace(",", "\u202f")
    size = abs(value)
    if size != 0.0 and (size < 1e-4 or size >= 1e6):
        return f"{value:.2e}".replace("-", MINUS)
    decimals = 1 if size >= 100 else 2 if size >= 10 else 3
    if size != 0.0 and size < 0.001:
        decimals = 5
    return f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float) -> str:
    """A change, with its sign."""
    return number(value) if value < 0 else f"+{number(value)}"


def plain(value: Any) -> str:
    """An option's value in a line: JSON for what is no text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def duration(seconds: float) -> str:
    """A stretch of time in the unit that fits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes in megabytes."""
    return f"{count / 1e6:.1f} MB"
