"""Small seeded errors in Python programs: off by one, a wrong constant, a dropped branch."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator

_SHIFTED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
_SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv}


def mutants(source: str, function: str, count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Up to `count` different mutants of a program, as (kind, source).

    Args:
        source: the program.
        function: only what stands in this function is changed.
    """
    tree = ast.parse(source)
    plain = ast.unparse(tree)
    found: dict[str, str] = {}
    places = [(number, change) for number, node in enumerate(_inside(tree, function)) for change in _changes(node)]
    rng.shuffle(places)
    for number, (kind, change) in places:
        mutant = copy.deepcopy(tree)
        node = next(node for position, node in enumerate(_inside(mutant, function)) if position == number)
        change(node, rng)
        text = ast.unparse(ast.fix_missing_locations(mutant))
        if text != plain:
            found.setdefault(text, kind)
        if len(found) == count:
            break
    return [(kind, text) for text, kind in found.items()]


def emptied(source: str, function: str, body: str) -> str:
    """The program with the function's body replaced."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            node.body = ast.parse(f"def body():\n    {body}").body[0].body
    return ast.unparse(ast.fix_missing_locations(tree))


def _inside(tree: ast.Module, function: str) -> Iterator[ast.AST]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for statement in node.body:
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):  # a docstring
                    yield from ast.walk(statement)


def _changes(node: ast.AST) -> list[tuple[str, Callable[[ast.AST, random.Random], None]]]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [("off by one", _shift_constant), ("wrong constant", _other_integer)]
    if isinstance(node, ast.Constant) and type(node.value) in (bool, float, str):
        return [("wrong constant", _other_constant)]
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SHIFTED:
        return [("off by one", _shift_comparison)]
    if isinstance(node, ast.BinOp) and type(node.op) in _SWAPPED:
        return [("wrong operator", _swap_operator)]
    if isinstance(node, ast.If):
        return [("dropped branch", _drop_body), ("dropped branch", _drop_test)]
    return []


def _shift_constant(node, rng):
    node.value += rng.choice([-1, 1])


def _other_integer(node, rng):
    node.value = node.value * 2 + rng.randint(3, 9)


def _other_constant(node, rng):
    node.value = (
        not node.value if type(node.value) is bool else node.value + (1.5 if type(node.value) is float else "x")
    )


def _shift_comparison(node, rng):
    node.ops[0] = _SHIFTED[type(node.ops[0])]()


def _swap_operator(node, rng):
    node.op = _SWAPPED[type(node.op)]()


def _drop_body(node, rng):
    node.body = [ast.Pass()]


def _drop_test(node, rng):
    node.test = ast.Constant(True)
