import itertools
import random

import pytest

from riskpo.errors import BadTestsError
from riskpo.rewards.programs import codeforces
from riskpo.rewards.programs.checkers import FormError, find_checker
from riskpo.rewards.programs.codeforces import checker_of


def right(problem, given_input, expected, given):
    try:
        return find_checker(f"codeforces:{problem}")(given_input.encode(), expected.encode(), given.encode())
    except FormError:
        return False


@pytest.mark.parametrize(
    ("row", "checker"),
    [
        ({"name": "1025_B. Weakened Common Divisor"}, "codeforces:1025_B"),
        ({"name": "1157_C2. Increasing Subsequence (hard version)"}, "codeforces:1157_C2"),
        ({"name": "1157_C1. Increasing Subsequence (easy version)"}, "tokens"),
        ({"name": "codeforces/1873_A"}, "nocase"),
        ({"name": "1045_D. Interstellar battle"}, "floats:1e-4"),
        ({"name": "1025_B. Weakened Common Divisor", "checker": "tokens"}, "tokens"),
        ({"name": "digjump"}, "tokens"),
        ({"name": None}, "tokens"),
        ({}, "tokens"),
    ],
)
def test_which_checker(row, checker):
    assert checker_of(row) == checker


@pytest.mark.parametrize(
    ("problem", "given_input", "expected", "rights", "wrongs"),
    [
        (
            "1025_B",
            "3\n17 18\n15 24\n12 15\n",
            "6",
            ["2", "3", "6"],
            ["1", "0", "-1", "4", "5", "6 6", "", "6.0", "2 3", "x", "-2", "1000000000000000000000000"],
        ),
        ("1025_B", "2\n10 16\n7 17\n", "-1", ["-1"], ["1", "2", "7", "0", ""]),
        (
            "1157_C2",
            "5\n1 2 4 3 2\n",
            "4\nLRRR\n",
            ["4\nLRRR", "4 LRRR"],
            ["4\nLLRR", "3\nLRR", "4\nLRRL", "4\nLRRRR", "5\nLRRRR", "4\nlrrr", "4", "", "4\nLRR", "4\nLRRR\nL"],
        ),
        ("1157_C2", "3\n2 2 2\n", "1\nR\n", ["1 L", "1 R"], ["2 LL", "1 X", "0"]),
        (
            "1090_C",
            "3 5\n5 1 2 3 4 5\n2 1 2\n2 3 4\n",
            "2\n1 3 5\n1 2 3\n",
            ["2\n1 3 5\n1 2 3", "2\n1 2 5\n1 3 2", "2\n1 2 3\n1 3 5"],
            [
                "2\n1 3 5\n1 3 5",
                "2\n1 3 3\n1 2 3",
                "2\n1 2 5\n1 2 3",
                "1\n1 2 5",
                "3\n1 3 5\n1 2 3\n2 1 3",
                "2\n1 3 5",
                "",
            ],
        ),
        ("1256_C", "7 2 5\n1 2\n", "YES\n0 1 0 0 2 2 0\n", ["YES\n0 1 0 0 0 2 2"], ["NO", "YES", "YES\n0 2 2 0 0 1 0"]),
        (
            "1256_C",
            "10 1 5\n2\n",
            "YES\n0 0 0 0 1 1 0 0 0 0\n",
            ["YES 0 0 0 0 1 1 0 0 0 0"],
            ["YES 0 0 0 0 0 1 1 0 0 0"],
        ),
        (
            "1256_C",
            "10 1 11\n1\n",
            "YES\n0 0 0 0 0 0 0 0 0 1\n",
            ["YES 1 0 0 0 0 0 0 0 0 0"],
            ["YES 0 0 0 0 0 0 0 0 0 0"],
        ),
        ("1256_C", "4 1 1\n2\n", "NO\n", ["NO"], ["YES 0 1 1 0", "no", ""]),
    ],
)
def test_statements_examples(problem, given_input, expected, rights, wrongs):
    assert right(problem, given_input, expected, expected)
    for output in rights:
        assert right(problem, given_input, expected, output), output
    for output in wrongs:
        assert not right(problem, given_input, expected, output), output


def test_an_input_that_breaks_the_rules_leaves_the_expected_output_alone():
    broken = "3\n17 18\n15\n"
    assert right("1025_B", broken, "6", " 6 \n")
    assert not right("1025_B", broken, "6", "3")


# --- brute force ---


def river_is_right(cells, lengths, jump):
    """By the statement: stand on 0, jump 1 to `jump` cells, over platforms in their order, each in one piece."""
    blocks = [(value, len(list(group))) for value, group in itertools.groupby(cells)]
    position, wanted = 0, list(enumerate(lengths, start=1))
    platforms = [block for block in blocks if block[0]]
    if platforms != wanted:
        return False
    for cell in [number for number, value in enumerate(cells, start=1) if value] + [len(cells) + 1]:
        if cell - position > jump:
            return False
        position = cell
    return True


def test_every_river():
    checked = 0
    for count, lengths, jump in [
        (5, (1, 2), 1),
        (5, (1, 2), 2),
        (5, (2, 2), 2),
        (6, (1, 1, 1), 2),
        (5, (3,), 3),
        (4, (1,), 2),
    ]:
        given_input = f"{count} {len(lengths)} {jump}\n{' '.join(map(str, lengths))}\n"
        rivers = list(itertools.product(range(len(lengths) + 1), repeat=count))
        good = [river for river in rivers if river_is_right(river, lengths, jump)]
        expected = "YES\n" + " ".join(map(str, good[0])) if good else "NO"
        for river in rivers:
            output = "YES\n" + " ".join(map(str, river))
            assert right("1256_C", given_input, expected, output) is (river in good)
            checked += river in good
    assert checked > 10


def paths(near, length):
    """All simple paths of so many vertices."""

    def grow(path):
        if len(path) == length:
            yield path
            return
        for other in near[path[-1]]:
            if other not in path:
                yield from grow([*path, other])

    return [path for start in range(len(near)) for path in grow([start])]


@pytest.mark.parametrize("seed", range(25))
def test_tiles_against_all_paths(seed):
    rng = random.Random(seed)
    count = rng.randint(2, 6)
    edges = [(rng.randrange(vertex), vertex) for vertex in range(1, count)]
    near = [[] for _ in range(count)]
    for one, other in edges:
        near[one].append(other)
        near[other].append(one)
    length = rng.randint(2, min(4, count))
    given_input = f"{count} {length}\n" + "".join(f"{a + 1} {b + 1}\n" for a, b in edges)
    colourings = list(itertools.product(range(1, length + 1), repeat=count))
    every = paths(near, length)
    good = {c for c in colourings if all(len({c[vertex] for vertex in path}) == length for path in every)}
    expected = "Yes\n" + " ".join(map(str, min(good))) if good else "No"
    for colouring in colourings:
        output = "Yes\n" + " ".join(map(str, colouring))
        assert right("1214_H", given_input, expected, output) is (colouring in good)
    assert right("1214_H", given_input, expected, "No") is not bool(good)


def test_tiles_of_another_form():
    given_input, expected = "3 2\n1 2\n2 3\n", "Yes\n1 2 1\n"
    assert right("1214_H", given_input, expected, "Yes\n2 1 2")
    for output in ("Yes\n2 1", "Yes\n2 1 2 1", "Yes\n0 1 0", "Yes\n3 1 3", "yes\n1 2 1 ", "No", ""):
        assert not right("1214_H", given_input, expected, output)
    cycle = "3 2\n1 2\n1 2\n"
    assert right("1214_H", cycle, expected, "Yes 1 2 1")
    assert not right("1214_H", cycle, expected, "Yes 2 1 2")


def test_a_tree_too_large_says_so(monkeypatch):
    monkeypatch.setattr(codeforces, "_MOST_STEPS", 10)
    given_input = "9 9\n" + "".join(f"{v} {v + 1}\n" for v in range(1, 9))
    with pytest.raises(BadTestsError, match="not larger ones"):
        right("1214_H", given_input, "Yes\n1 2 3 4 5 6 7 8 9", "Yes\n9 8 7 6 5 4 3 2 1")
