"""What runs in the sandbox beside a candidate whose functions are tested: it calls them and writes what they return.

One request a line comes in, one answer a line goes out, both in the codec:

    ["load", [source, ...], [name, ...]]    -> ["loaded"], ["missing", name], ["syntax", text], ["raised", type, text]
    ["call", name, [argument, ...], {...}]  -> ["value", result, changed], ["uncarried", text], ["raised", type, text]

Each positional argument is a text of the codec by itself. `changed` has those that the call changed, as they are after
it, by their position.

The candidate runs in this very interpreter and can rewrite every line of this module while it runs. That gives it
nothing: no expected value and no verdict is in here, so all that a forged answer can say is what the candidate might
have returned anyway. For the same reason no secret guards the channel.

This module is sent into the sandbox as text, after the codec; it imports nothing else but the standard library.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from riskpo.rewards.programs.codec import CodecError, decode, encode

_LONGEST_TEXT = 500  # characters of an exception's text


def serve() -> None:
    """Answers requests until standard input ends. The candidate finds an empty input, and its output is thrown away."""
    requests, answers = _take_channel()
    driver = _Driver()
    for line in requests:
        answers.write(driver.answer(line).encode("ascii") + b"\n")
        answers.flush()


def _take_channel() -> tuple[BinaryIO, BinaryIO]:
    """The two ends of the channel, moved away from where `input` and `print` would find them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return requests, answers


class _Driver:
    def __init__(self) -> None:
        self.module = types.ModuleType("candidate")
        sys.modules["candidate"] = self.module  # dataclasses look their module up

    def answer(self, line: bytes) -> str:
        verb, *rest = decode(line)
        try:
            return encode(self.load(*rest) if verb == "load" else self.call(*rest))
        except CodecError as error:
            return encode(["uncarried", str(error)[:_LONGEST_TEXT]])
        except BaseException as error:  # noqa: BLE001  (SystemExit and whatever else a candidate raises)
            return encode(_described(error))

    def load(self, sources: Sequence[str], names: Sequence[str]) -> list[Any]:
        for source in sources:
            try:
                code = compile(source, "<candidate>", "exec", dont_inherit=True)
            except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
                return ["syntax", f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]]
            exec(code, self.module.__dict__)
        for name in names:
            if not callable(self.function(name)):
                return ["missing", name]
        return ["loaded"]

    def function(self, name: str) -> Callable[..., Any] | None:
        """A function of that name, or the method of a fresh `Solution`."""
        found = self.module.__dict__.get(name)
        solution = self.module.__dict__.get("Solution")
        if found is None and isinstance(solution, type) and hasattr(solution, name):
            found = getattr(solution(), name)
        return found

    def call(self, name: str, texts: list[str], named: dict[str, Any]) -> list[Any]:
        arguments = [decode(text) for text in texts]
        result = self.function(name)(*arguments, **named)  # type: ignore[misc]
        return ["value", result, _changes(texts, arguments)]


def _changes(before: Sequence[str], after: Sequence[Any]) -> dict[int, Any]:
    """The arguments that the call changed, by position. One that cannot be carried any more stays as it was."""
    changed = {}
    for position, (text, argument) in enumerate(zip(before, after, strict=True)):
        try:
            if isinstance(argument, (list, dict, set, bytearray)) and encode(argument) != text:
                changed[position] = argument
        except CodecError:
            continue
    return changed


def _described(error: BaseException) -> list[str]:
    """The name of the nearest built-in type, and the text."""
    builtin = next((kind for kind in type(error).__mro__ if kind.__module__ == "builtins"), Exception)
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  (a lying __str__)
        text = ""
    return ["raised", builtin.__name__, text[:_LONGEST_TEXT]]
