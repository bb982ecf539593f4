"""How the result of a function is compared with the expected one, which came out of a data set as JSON.

| checker | a right result |
|---|---|
| `tokens` (default) | equal, as Python has it (`1 == 1.0 == True`); a tuple is a list, at any depth |
| `floats:1e-6` | the same, but numbers may differ by this much, absolutely or relative to the expected one |
| `unordered` | a list with the same members in any order |

Both sides consist of exact built-in types (codec.py), so no method of the candidate is called here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from riskpo.errors import BadTestsError
from riskpo.rewards.programs.checkers import tolerance
from riskpo.rewards.programs.codec import CodecError, encode

# The expected result, and the result of the candidate.
Comparison = Callable[[Any, Any], bool]


def find_comparison(name: str) -> Comparison:
    """The comparison of a name.

    Raises:
        BadTestsError: there is none.
    """
    if name == "tokens":
        return lambda expected, given: bool(_listed(expected) == _listed(given))
    if name == "unordered":
        return _same_members
    if name.startswith("floats:"):
        within = tolerance(name)
        return lambda expected, given: _close(_listed(expected), _listed(given), within)
    if name == "missing":
        raise BadTestsError("several right results, needs a checker")
    raise BadTestsError(f"checker {name!r} for a function; known: tokens, unordered, floats:TOLERANCE, missing")


def _listed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_listed(part) for part in value]
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    return value


def _close(expected: Any, given: Any, within: Fraction) -> bool:
    if isinstance(expected, list) and isinstance(given, list):
        return len(expected) == len(given) and all(map(lambda a, b: _close(a, b, within), expected, given))
    if isinstance(expected, dict) and isinstance(given, dict):
        return expected.keys() == given.keys() and all(_close(expected[key], given[key], within) for key in expected)
    if _is_number(expected) and _is_number(given):
        right = Fraction(expected)
        return abs(right - Fraction(given)) <= within * max(Fraction(1), abs(right))
    return bool(expected == given)


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _same_members(expected: Any, given: Any) -> bool:
    right, found = _listed(expected), _listed(given)
    if not isinstance(right, list) or not isinstance(found, list):
        return bool(right == found)
    try:
        return Counter(map(_key, right)) == Counter(map(_key, found))
    except CodecError:
        return False


def _key(value: Any) -> str:
    """The same text for equal values."""
    return encode(_canonical(value))


def _canonical(value: Any) -> Any:
    if isinstance(value, list):
        return [_canonical(part) for part in value]
    if isinstance(value, dict):
        return dict(sorted(((key, _canonical(part)) for key, part in value.items()), key=repr))
    return int(value) if type(value) is bool or (type(value) is float and value.is_integer()) else value
