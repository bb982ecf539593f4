"""Values of Python as tagged JSON, exactly: how arguments get into the sandbox and results out of it.

JSON alone loses tuples, sets, bytes, complex numbers, keys that are no strings, -0.0 and infinity. Here None, True,
False and strings stand for themselves, small integers too, and everything else is an array that begins with its tag:

    ["i", "-0x1f"]  int          ["l", v...]  list         ["d", k, v, k, v...]  dict, in its order
    ["f", "0x1.8p+1"]  float     ["t", v...]  tuple        ["r", start, stop, step]  range
    ["c", f, f]  complex         ["s", v...]  set          ["n", v...]  an iterator, with what was left in it
    ["b", "base64"]  bytes       ["z", v...]  frozenset    ["dk", ...] ["dv", ...] ["di", ...]  views of a dict
    ["u", "base64"]  str with halves of characters, two of which JSON would join
    ["y", "base64"]  bytearray   ["m"]  a match of a regular expression: true, and nothing else is known of it

`decode` reads what a hostile program wrote. It builds exact built-in types only, whatever the value called itself in
there, so no comparison ever calls a method of the program. Both directions count values and depth. This module is also
sent into the sandbox as text; it must not import anything that is not in the standard library.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

MOST_VALUES = 1_000_000  # in one message, containers included
MOST_BYTES = 1 << 24  # of one message
DEEPEST = 64  # containers in containers
MOST_BITS = 1 << 20  # of one integer: 300 000 digits
_PLAIN = 1 << 53  # smaller integers stand for themselves

_SEQUENCES: dict[str, type] = {"l": list, "t": tuple, "s": set, "z": frozenset}
# Sub-types are carried as the type that they extend: a Counter arrives as a dict, a named tuple as a tuple.
_BASES: tuple[type, ...] = (int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)
_VIEWS: dict[type, str] = {type({}.keys()): "dk", type({}.values()): "dv", type({}.items()): "di"}
_HEX_FLOAT = re.compile(r"-?0x[01]\.[0-9a-f]{1,13}p[+-][0-9]{1,4}|-?inf|nan")
_HALVES = re.compile("[\ud800-\udfff]")
_HEX_INT = re.compile(r"-?0x[0-9a-f]+")


class CodecError(ValueError):
    """A value that cannot be carried, or a text that is no message of this codec."""


class UncarriedTypeError(CodecError):
    """A value of a type that the codec has no tag for."""


class Match:
    """Stands for an `re.Match`: true, equal only to itself."""


def encode(value: Any) -> str:
    """One line of ASCII for a value.

    Raises:
        UncarriedTypeError: a type that is not listed above.
        CodecError: too many values, too deep, or too large an integer.
    """
    return json.dumps(_Encoder().tag(value, DEEPEST), separators=(",", ":"))


def decode(text: str | bytes) -> Any:
    """The value of a line that `encode` wrote, made of exact built-in types.

    Raises:
        CodecError: anything else. Never another error, whatever the text.
    """
    if len(text) > MOST_BYTES:
        raise CodecError(f"more than {MOST_BYTES} bytes")
    try:
        ascii_text = text if isinstance(text, str) else text.decode("ascii")
        raw = json.loads(
            ascii_text, parse_int=_small, parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_refuse
        )
        return _Decoder().untag(raw, DEEPEST)
    except CodecError:
        raise
    except RecursionError:
        raise CodecError("nested too deep") from None
    except (ValueError, TypeError, OverflowError, MemoryError) as error:  # no JSON, unhashable, no number
        raise CodecError(f"no message of the codec: {type(error).__name__}") from None


def _small(digits: str) -> int:
    if len(digits) > len(str(-_PLAIN)):
        raise CodecError("a large integer that is not tagged")
    return int(digits)


def _refuse(_: Any) -> Any:
    raise CodecError("a bare number with a point, a constant or an object: the codec writes none")


class _Encoder:
    """Counts the values of one message while it tags them."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def tag(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise CodecError(f"more than {MOST_VALUES} values")
        kind = type(value)
        if kind is int and -_PLAIN < value < _PLAIN:  # the most frequent case first
            return value
        if value is None or kind is bool:
            return value
        if kind is range:
            return ["r", *(self.tag(part, depth) for part in (value.start, value.stop, value.step))]
        if kind is re.Match or kind is Match:
            return ["m"]
        if kind in _VIEWS:
            return [_VIEWS[kind], *self.many(value, depth)]
        for base in _BASES:
            if issubclass(kind, base):
                return self.based(value, base, depth)
        if isinstance(value, Iterator):
            return ["n", *self.many(value, depth)]
        raise UncarriedTypeError(f"a value of type {type.__getattribute__(kind, '__name__')[:60]}")

    def based(self, value: Any, base: type, depth: int) -> Any:
        """Tags by the built-in type; its own methods are called, not those of a sub-type that may have others."""
        if base is int:
            plain: Any = int.__pos__(value)
            if plain.bit_length() > MOST_BITS:
                raise CodecError(f"an integer of {plain.bit_length()} bits")
            return plain if -_PLAIN < plain < _PLAIN else ["i", hex(plain)]
        if base is str:
            text = str.__str__(value)
            if _HALVES.search(text) is None:
                return text
            return ["u", base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")]
        if base is float:
            return ["f", float.hex(value)]
        if base is complex:
            plain = complex.__pos__(value)
            return ["c", float.hex(plain.real), float.hex(plain.imag)]
        if base is bytes or base is bytearray:
            return ["b" if base is bytes else "y", base64.b64encode(value).decode("ascii")]
        if base is dict:
            pairs = dict.items(value)
            return ["d", *self.many((part for pair in pairs for part in pair), depth)]
        tag = next(tag for tag, kind in _SEQUENCES.items() if kind is base)
        return [tag, *self.many(base.__iter__(value), depth)]  # type: ignore[attr-defined]

    def many(self, values: Iterable[Any], depth: int) -> Iterator[Any]:
        if depth <= 0:
            raise CodecError(f"more than {DEEPEST} containers in one another")
        return (self.tag(value, depth - 1) for value in values)


class _Decoder:
    """Counts the values of one message while it builds them."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def untag(self, raw: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise CodecError(f"more than {MOST_VALUES} values")
        kind = type(raw)
        if kind is int:
            if not -_PLAIN < raw < _PLAIN:
                raise CodecError("a large integer that is not tagged")
            return raw
        if kind is str or kind is bool or raw is None:
            return raw
        if not isinstance(raw, list) or not raw or not isinstance(raw[0], str):
            raise CodecError("an array without a tag")
        if depth <= 0:
            raise CodecError(f"more than {DEEPEST} containers in one another")
        return self.tagged(raw[0], raw[1:], depth - 1)

    def tagged(self, tag: str, parts: list[Any], depth: int) -> Any:
        if tag in ("i", "f", "c", "b", "y", "u"):
            return _scalar(tag, parts)
        if tag == "m" and not parts:
            return Match()
        values = [self.untag(part, depth) for part in parts]
        if tag in _SEQUENCES:
            return _SEQUENCES[tag](values)
        if tag == "d" and len(values) % 2 == 0:
            return dict(zip(values[::2], values[1::2], strict=True))
        if tag == "n":
            return iter(values)
        if tag == "r" and len(values) == 3 and all(type(part) is int for part in values):
            return range(*values)
        if tag == "dk":
            return dict.fromkeys(values).keys()
        if tag == "dv":
            return dict(enumerate(values)).values()
        if tag == "di":
            return dict(values).items()
        raise CodecError(f"an unknown tag {tag[:10]!r}, or one with the wrong number of parts")


def _scalar(tag: str, parts: list[Any]) -> Any:
    if len(parts) != (2 if tag == "c" else 1) or not all(isinstance(part, str) for part in parts):
        raise CodecError("a number or bytes of the wrong form")
    if tag == "i":
        if len(parts[0]) > MOST_BITS // 4 + 3 or not _HEX_INT.fullmatch(parts[0]):
            raise CodecError("an integer of the wrong form")
        return int(parts[0], 16)
    if tag in ("f", "c"):
        if not all(_HEX_FLOAT.fullmatch(part) for part in parts):
            raise CodecError("a float of the wrong form")
        numbers = [float.fromhex(part) for part in parts]
        return numbers[0] if tag == "f" else complex(*numbers)
    try:
        found = base64.b64decode(parts[0], validate=True)
    except binascii.Error:
        raise CodecError("bytes of the wrong form") from None
    if tag == "u":
        return found.decode("utf-8", "surrogatepass")
    return found if tag == "b" else bytearray(found)
