"""Tests of programming problems, from the shapes they are published in to the one the code verifier takes: a list of
`{"input", "output", "testtype", "fn_name"}`, all texts."""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Any

from riskpo.tasks.base import RowError

Case = dict[str, str]
_KINDS = {"stdin": "stdin", "stdin_stdout": "stdin", "functional": "functional", "function_call": "functional"}


def parsed(value: Any, column: str) -> Any:
    """A column that holds JSON, or the text of it. Raises RowError."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{column} is a text that is no JSON ({str(error)[:60]})") from None


def cases_of(tests: Any, function: str | None = None) -> list[Case]:
    """Tests as a list of cases or as columns.

    Args:
        tests: `[{"input", "output", "testtype" or "type", "fn_name"}]`, or TACO's `{"inputs", "outputs", "fn_name"}`.
            Arguments of a call may be a list: each becomes a line of JSON, as in LiveCodeBench. TACO puts every result
            in a list of its own; where all results of a problem are such lists of one, they are taken out.
        function: its name where the cases do not say it.

    Raises:
        RowError: there are none, or they are malformed.
    """
    if isinstance(tests, dict) and isinstance(tests.get("inputs"), list) and isinstance(tests.get("outputs"), list):
        tests = _from_columns(tests)
    if not isinstance(tests, list) or not tests:
        raise RowError("tests must be a list that is not empty")
    return [_case(test, number, function) for number, test in enumerate(tests)]


def longest(cases: list[Case], most: int) -> list[Case]:
    """The cases with the longest inputs, in their order, where there are more than `most`."""
    chosen = sorted(range(len(cases)), key=lambda index: -len(cases[index]["input"]))[:most]
    return [cases[index] for index in sorted(chosen)]


def unpacked(value: str) -> Any:
    """LiveCodeBench's private tests: JSON in a pickled text, compressed, in base 64. Nothing but a text is unpickled.

    Raises:
        RowError: it is none of that.
    """
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(_Texts(io.BytesIO(zlib.decompress(base64.b64decode(value)))).load())
    except (ValueError, TypeError, binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise RowError(f"private_test_cases cannot be unpacked: {type(error).__name__}: {error}") from None


class _Texts(pickle.Unpickler):
    """Refuses everything that is not built into the format: a pickle may name any function to call."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"a pickle of {module}.{name}, not of a text")


def _from_columns(tests: dict[str, Any]) -> list[dict[str, Any]]:
    inputs, outputs, name = tests["inputs"], tests["outputs"], tests.get("fn_name")
    if len(inputs) != len(outputs):
        raise RowError(f"tests has {len(inputs)} inputs and {len(outputs)} outputs")
    if name and all(isinstance(output, list) and len(output) == 1 for output in outputs):
        outputs = [output[0] for output in outputs]
    kind = "functional" if name else "stdin"
    return [
        {"input": one, "output": other, "testtype": kind, "fn_name": name}
        for one, other in zip(inputs, outputs, strict=True)
    ]


def _case(test: Any, number: int, function: str | None) -> Case:
    if not isinstance(test, dict) or "input" not in test or "output" not in test:
        raise RowError(f"test {number} has no input and output")
    described = test.get("metadata")
    named = described.get("func_name") if isinstance(described, dict) else None
    name = test.get("fn_name") or named or function
    stated = test.get("testtype") or test.get("type") or ("functional" if test.get("fn_name") else "stdin")
    if stated not in _KINDS:
        raise RowError(f"test {number} is of the type {stated!r}; allowed: {', '.join(_KINDS)}")
    if _KINDS[stated] == "stdin":
        return {"input": _lines(test["input"]), "output": _lines(test["output"]), "testtype": "stdin", "fn_name": ""}
    if not isinstance(name, str) or not name:
        raise RowError(f"test {number} calls a function that it does not name")
    return {
        "input": _arguments(test["input"]),
        "output": test["output"] if isinstance(test["output"], str) else json.dumps(test["output"]),
        "testtype": "functional",
        "fn_name": name,
    }


def _lines(value: Any) -> str:
    """What a program reads or writes: a text, or a list of lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    raise RowError(f"an input or output must be a text or a list of lines, got {type(value).__name__}")


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "\n".join(json.dumps(argument) for argument in (value if isinstance(value, list) else [value]))
