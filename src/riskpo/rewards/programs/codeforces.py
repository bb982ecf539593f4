"""Checkers for problems of Codeforces with several right outputs that code data sets hold.

CodeContests keeps one output a test, and comparing with that rejects right programs. A row of such a problem is found
by its column `name` (`1025_B. Weakened Common Divisor`), unless its column `checker` says otherwise.

What makes an output the best possible (a count, a length, whether there is any) is taken from the expected output; the
rest is checked against the input. Some inputs of CodeContests are mutations that break the problem's own rules; where
an input cannot be read, only the expected output is right.

Tried on the problems' own tests: 1025_B, 1157_C2 and 1873_A. The rules of 1045_D, 1090_C, 1214_H and 1256_C agree with
brute force on small cases, but had no tests of those problems to be tried on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from riskpo.errors import BadTestsError
from riskpo.rewards.programs.checkers import Checker, FormError, Words, register, same_tokens

_NAME = re.compile(r"(?:codeforces/)?(\d{1,5}_[A-Z]\d?)(?:\. .*)?")
_MOST = 10**9
_MOST_STEPS = 5_000_000  # of a checker that is not linear

# Problems that only need one of the general checkers. 1045_D prints expectations, 1873_A takes YES in any case.
_GENERAL = {"1045_D": "floats:1e-4", "1873_A": "nocase"}

# Reads the input, and returns what checks the words of an output against those of the expected one.
Problem = Callable[[Words], Callable[[Words, Words], bool]]
_known: set[str] = set()


def checker_of(row: Mapping[str, Any]) -> str:
    """The checker of a row: its column `checker`, else the one that is known for the problem, else `tokens`."""
    if row.get("checker"):
        return str(row["checker"])
    name = row.get("name")
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    problem = found[1] if found else ""
    return f"codeforces:{problem}" if problem in _known else _GENERAL.get(problem, "tokens")


def _problem(name: str) -> Callable[[Problem], Problem]:
    def add(problem: Problem) -> Problem:
        _known.add(name)
        register(f"codeforces:{name}")(_checker(problem))
        return problem

    return add


def _checker(problem: Problem) -> Checker:
    def check(given_input: bytes, expected: bytes, output: bytes) -> bool:
        if same_tokens(given_input, expected, output):
            return True
        try:
            judge = problem(Words(given_input))
        except FormError:
            return False
        words = Words(output)
        right = judge(Words(expected), words)
        words.end()
        return right

    return check


@_problem("1025_B")
def _weakened_common_divisor(words: Words) -> Callable[[Words, Words], bool]:
    pairs = [words.integers(2, 1, 2 * _MOST) for _ in range(words.integer(1, 150_000))]

    def judge(expected: Words, given: Words) -> bool:
        divisor = given.integer(-1, 2 * _MOST)
        if divisor < 2 or expected.integer(-1, 2 * _MOST) == -1:
            return False
        return all(a % divisor == 0 or b % divisor == 0 for a, b in pairs)

    return judge


@_problem("1157_C2")
def _increasing_subsequence(words: Words) -> Callable[[Words, Words], bool]:
    values = words.integers(words.integer(1, 200_000), 1, _MOST)

    def judge(expected: Words, given: Words) -> bool:
        length = given.integer(1, len(values))
        moves = given.word()
        if length != expected.integer(1, len(values)) or len(moves) != length or set(moves) - set(b"LR"):
            return False
        left, right, last = 0, len(values) - 1, 0
        for move in moves:
            taken = values[left] if move == ord("L") else values[right]
            left, right = (left + 1, right) if move == ord("L") else (left, right - 1)
            if taken <= last:
                return False
            last = taken
        return True

    return judge


@_problem("1256_C")
def _platforms_jumping(words: Words) -> Callable[[Words, Words], bool]:
    cells, platforms, jump = words.integer(1, 1000), words.integer(1, 1000), words.integer(1, 1000)
    lengths = words.integers(platforms, 1, 1000)

    def judge(expected: Words, given: Words) -> bool:
        if given.word() != b"YES" or expected.word() != b"YES":
            return False
        river = given.integers(cells, 0, platforms)
        position, found = 0, []  # the last cell that can be stood on
        for cell, platform in enumerate([*river, -1], start=1):
            if platform == 0:
                continue
            if cell - position > jump:
                return False
            position = cell
            if platform > 0:
                found.append(platform)
                if len(found) > 1 and platform == found[-2] and river[cell - 2] != platform:
                    return False  # one platform in two pieces
        return found == [number for number, length in enumerate(lengths, start=1) for _ in range(length)]

    return judge


@_problem("1090_C")
def _presents(words: Words) -> Callable[[Words, Words], bool]:
    boxes, kinds = words.integer(1, 100_000), words.integer(1, 100_000)
    contents = [set(words.integers(words.integer(0, kinds), 1, kinds)) for _ in range(boxes)]

    def judge(expected: Words, given: Words) -> bool:
        moves = given.integer(0, 10 * _MOST)
        if moves != expected.integer(0, 10 * _MOST):
            return False
        changed = [set(content) for content in contents]
        for _ in range(moves):
            source, target, kind = given.integer(1, boxes), given.integer(1, boxes), given.integer(1, kinds)
            if kind not in changed[source - 1] or kind in changed[target - 1]:
                return False
            changed[source - 1].remove(kind)
            changed[target - 1].add(kind)
        sizes = [len(content) for content in changed]
        return max(sizes) - min(sizes) <= 1

    return judge


@_problem("1214_H")
def _tiles_placement(words: Words) -> Callable[[Words, Words], bool]:
    count, colours = words.integer(2, 200_000), words.integer(2, 200_000)
    near: list[list[int]] = [[] for _ in range(count)]
    for _ in range(count - 1):
        one, other = words.integer(1, count) - 1, words.integer(1, count) - 1
        near[one].append(other)
        near[other].append(one)
    if len(_order(near)) != count:
        raise FormError("not a tree")

    def judge(expected: Words, given: Words) -> bool:
        if given.word() != b"Yes" or expected.word() != b"Yes":
            return False
        return not _repeated_on_a_path(near, given.integers(count, 1, colours), colours)

    return judge


def _order(near: list[list[int]]) -> list[tuple[int, int]]:
    """The vertices of a tree with their parents, parents first."""
    order, seen = [(0, -1)], {0}
    for vertex, _ in order:
        for other in near[vertex]:
            if other not in seen:
                seen.add(other)
                order.append((other, vertex))
    return order


def _repeated_on_a_path(near: list[list[int]], colour: list[int], length: int) -> bool:
    """Whether some path of `length` vertices has two of one colour.

    Two vertices lie on such a path when what is between them, made as long as possible at both ends, is long enough.
    """
    reach: dict[tuple[int, int], int] = {}  # from a vertex by way of a neighbour: edges of the longest path
    order = _order(near)
    for vertex, parent in reversed(order):
        if parent >= 0:
            reach[parent, vertex] = 1 + max((reach[vertex, o] for o in near[vertex] if o != parent), default=0)
    best: list[list[tuple[int, int]]] = [[] for _ in near]  # the two longest ways out of each vertex
    for vertex, parent in order:
        if parent >= 0:
            reach[vertex, parent] = 1 + next((far for far, way in best[parent] if way != vertex), 0)
        best[vertex] = sorted(((reach[vertex, o], o) for o in near[vertex]), reverse=True)[:2]

    def beyond(vertex: int, way: int) -> int:
        return next((far for far, other in best[vertex] if other != way), 0)

    steps = 0
    for start in range(len(near)):
        queue = deque((first, start, 1, first) for first in near[start])
        while queue:
            steps += 1
            if steps > _MOST_STEPS:
                raise BadTestsError("codeforces:1214_H checks trees of some thousand vertices, not larger ones")
            vertex, parent, distance, first = queue.popleft()
            together = beyond(start, first) + distance + beyond(vertex, parent) + 1
            if colour[vertex] == colour[start] and together >= length:
                return True
            if distance < length - 1:
                queue.extend((other, vertex, distance + 1, first) for other in near[vertex] if other != parent)
    return False
