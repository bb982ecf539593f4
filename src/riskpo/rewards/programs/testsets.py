"""The tests of a problem, read from the columns of a row: what shapes of data the code verifier accepts.

| shape | columns | kind |
|---|---|---|
| CodeContests, LiveCodeBench: standard input, output | `tests`: a list of `{"input", "output"}` | `StdioTests` |
| the same as columns | `tests`: `{"input": [...], "output": [...]}` (or `inputs`, `outputs`) | `StdioTests` |
| LiveCodeBench: functions | `tests` with `testtype` = `functional` and `fn_name` | `CallTests` |
| HumanEval | `test`, defines `check(candidate)`; `entry_point`; the prompt: `question` or `prompt` | `CodeTests` |
| MBPP | `test_list`, perhaps `test_imports` and `test_setup_code` | `CodeTests` |

`tests` may also be the text of such a JSON value. `checker` is optional: how outputs are compared (checkers.py). The
first shape of the table that a row has counts.

Tests are trusted, and so is a prompt that begins the function: they belong to the data set, not to the model, and what
is code in them runs in a worker process outside of the sandbox. Never build them out of what a model wrote.
"""

from __future__ import annotations

import ast
import builtins
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riskpo.errors import BadTestsError
from riskpo.rewards.programs.codeforces import checker_of

COLUMNS = (
    *("tests", "fn_name", "checker", "name"),
    *("test", "entry_point", "question", "prompt"),
    *("test_list", "test_imports", "test_setup_code"),
)


@dataclass(frozen=True, slots=True)
class StdioTests:
    """Programs that read standard input and write standard output.

    Args:
        cases: input and expected output of each test.
        checker: how outputs are compared; a name of checkers.py.
    """

    cases: tuple[tuple[bytes, bytes], ...]
    checker: str = "tokens"


@dataclass(frozen=True, slots=True)
class CallTests:
    """A function, or a method of a class `Solution`, that is called with arguments.

    Args:
        function: its name.
        cases: arguments and expected result of each test.
        checker: how results are compared; a name of checkers.py.
    """

    function: str
    cases: tuple[tuple[list[Any], Any], ...]
    checker: str = "tokens"


@dataclass(frozen=True, slots=True)
class CodeTests:
    """Test code of the data set, which calls functions of the candidate.

    Args:
        functions: the names that the candidate defines.
        units: sources that run one after the other; each is a test of its own where `check` is None.
        check: of HumanEval, the name of the function in the only unit that is called with the candidate's first one.
        setup: trusted source that runs before: imports, and the prompt's own helper functions.
        preamble: source that runs in the sandbox before the candidate: the prompt's imports and helpers.
        prompt: text that a completion continues when it does not define the function itself; may be empty.
    """

    functions: tuple[str, ...]
    units: tuple[str, ...]
    check: str | None = None
    setup: str = ""
    preamble: str = ""
    prompt: str = ""


Tests = StdioTests | CallTests | CodeTests


def read_tests(row: Mapping[str, Any]) -> Tests:
    """The tests of a row.

    Raises:
        BadTestsError: there are none, or they are malformed.
    """
    if row.get("tests") is not None:
        return _read_cases(row)
    if row.get("test") and row.get("entry_point"):
        return _read_check(row)
    if row.get("test_list") is not None:
        return _read_asserts(row)
    raise BadTestsError("no tests: none of the columns tests, test and entry_point, test_list")


# --- inputs and outputs ---


def _read_cases(row: Mapping[str, Any]) -> StdioTests | CallTests:
    cases = _list_of_cases(row["tests"])
    if not cases:
        raise BadTestsError("no tests: the column tests is empty")
    for number, case in enumerate(cases):
        if not isinstance(case, Mapping) or not all(isinstance(case.get(key), str) for key in ("input", "output")):
            raise BadTestsError(f"test {number} has no texts input and output")
    kinds = {case.get("testtype") or ("functional" if case.get("fn_name") else "stdin") for case in cases}
    checker = checker_of(row)
    if kinds == {"stdin"}:
        pairs = tuple((_utf8(case["input"]), _utf8(case["output"])) for case in cases)
        if not any(output.split() for _, output in pairs):
            raise BadTestsError("every expected output is empty: a program that does nothing would pass")
        return StdioTests(pairs, checker)
    if kinds == {"functional"}:
        return _read_calls(row, cases, checker)
    raise BadTestsError(f"tests of the types {sorted(map(str, kinds))}; allowed: all stdin, or all functional")


def _list_of_cases(tests: Any) -> list[Any]:
    if isinstance(tests, str):
        try:
            tests = json.loads(tests)
        except (ValueError, RecursionError):
            raise BadTestsError("the column tests is a text that is no JSON") from None
    if isinstance(tests, Mapping):  # columns: {"input": [...], "output": [...]}
        columns = {key.removesuffix("s") if key in ("inputs", "outputs") else key: tests[key] for key in tests}
        inputs, outputs = columns.get("input"), columns.get("output")
        if not isinstance(inputs, Sequence) or not isinstance(outputs, Sequence) or len(inputs) != len(outputs):
            raise BadTestsError("tests has no lists input and output of equal length")
        others = {key: columns.get(key) for key in ("testtype", "fn_name")}
        return [
            {"input": one, "output": other, **{key: _at(value, i, len(inputs)) for key, value in others.items()}}
            for i, (one, other) in enumerate(zip(inputs, outputs, strict=True))
        ]
    if isinstance(tests, Sequence):
        return list(tests)
    raise BadTestsError(f"the column tests is a {type(tests).__name__}, not a list")


def _at(value: Any, position: int, count: int) -> Any:
    """One for each test, or the same for all."""
    if isinstance(value, str) or value is None:
        return value
    if len(value) != count:
        raise BadTestsError(f"{len(value)} values of testtype or fn_name for {count} tests")
    return value[position]


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadTestsError("a test that is no UTF-8") from None


def _read_calls(row: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], checker: str) -> CallTests:
    names = {case.get("fn_name") or row.get("fn_name") for case in cases}
    if len(names) != 1 or not (isinstance(name := names.pop(), str) and name.isidentifier()):
        raise BadTestsError("the tests do not name one function in fn_name")
    read = tuple(
        ([_literal(line) for line in case["input"].splitlines() if line.strip()], _literal(case["output"]))
        for case in cases
    )
    return CallTests(name, read, checker)


def _literal(text: str) -> Any:
    """An argument or a result: JSON, or failing that a literal of Python."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise BadTestsError(f"neither JSON nor a literal: {text[:60]!r}") from None


# --- test code ---


def _read_check(row: Mapping[str, Any]) -> CodeTests:
    entry, source = row["entry_point"], row["test"]
    if not isinstance(source, str) or not (isinstance(entry, str) and entry.isidentifier()):
        raise BadTestsError("test and entry_point must be texts, and entry_point the name of a function")
    tree = _parsed(source, "test")
    if "check" not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
        raise BadTestsError("test does not define check(candidate)")
    prompt, helpers = _prompt_of(row, entry)
    unknown = _free_names([*helpers.body, *tree.body]) - {entry}
    _refuse_evaluation(tree)
    modules = {name for name in unknown if name in sys.stdlib_module_names}
    if unknown - modules:
        raise BadTestsError(f"test refers to {', '.join(sorted(unknown - modules))}, which nothing defines")
    preamble = ast.unparse(helpers)
    return CodeTests((entry,), (source,), "check", _imports(modules) + preamble, preamble, prompt)


def _prompt_of(row: Mapping[str, Any], entry: str) -> tuple[str, ast.Module]:
    """The prompt that begins the function, where a column holds one, and the statements before it that help it."""
    for column in ("question", "prompt"):
        text = row.get(column)
        tree = _beginning(text, entry) if isinstance(text, str) else None
        if tree is not None:
            kept = [node for node in tree.body if getattr(node, "name", None) != entry]
            return str(text), ast.Module(kept, [])
    return "", ast.Module([], [])


def _beginning(text: str, entry: str) -> ast.Module | None:
    """A text that begins the function, with or without a docstring, parsed; None where it is a text about it."""
    for whole in (text, text + "\n    pass"):
        try:
            tree = ast.parse(whole)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return tree if entry in {getattr(node, "name", None) for node in tree.body} else None
    return None


def _read_asserts(row: Mapping[str, Any]) -> CodeTests:
    units, imports = row["test_list"], row.get("test_imports") or ()
    imports = (imports,) if isinstance(imports, str) else imports
    if isinstance(units, str) or not units or not all(isinstance(unit, str) for unit in (*units, *imports)):
        raise BadTestsError("test_list must be a list of texts that is not empty, and so must test_imports where it is")
    imported = "\n".join(imports)
    setup = imported + "\n" + (row.get("test_setup_code") or "")
    trees = [_parsed(source, "test_list") for source in (setup, *units)]
    for tree in trees:
        _refuse_evaluation(tree)
    unknown = _free_names([node for tree in trees for node in tree.body])
    modules = {name for name in unknown if name in sys.stdlib_module_names}
    called = {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    functions = unknown - (modules - called) or _shadowed(trees)
    if not functions:
        raise BadTestsError("test_list calls no function that a candidate could define")
    return CodeTests(tuple(sorted(functions)), tuple(units), None, _imports(modules - called) + setup, imported)


def _shadowed(trees: Sequence[ast.Module]) -> set[str]:
    """The candidate's function where it has the name of a built-in one: what the asserts call first of all."""
    firsts = set()
    for assertion in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)):
        for node in ast.walk(assertion.test):  # breadth first
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                firsts.add(node.func.id)
                break
    return firsts if len(firsts) == 1 else set()


def _parsed(source: str, column: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadTestsError(f"{column} is no Python: {type(error).__name__}: {error}") from None


def _refuse_evaluation(tree: ast.Module) -> None:
    """Test code runs outside of the sandbox, and so would what it evaluates, which may come from the candidate."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("eval", "exec", "compile", "__import__"):
            raise BadTestsError(f"the test code uses {node.id}, which could run a candidate outside of the sandbox")


def _free_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Names that are read and nowhere bound: not built in, assigned, imported, defined, or arguments."""
    read: set[str] = set()
    bound = {*dir(builtins), "__name__", "__file__"}
    for node in (found for statement in statements for found in ast.walk(statement)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return read - bound


def _imports(modules: set[str]) -> str:
    """Modules that test code uses and does not import: in the data sets the reference solution has imported them."""
    return "".join(f"import {name}\n" for name in sorted(modules))
