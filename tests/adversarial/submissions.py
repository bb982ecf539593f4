"""Dishonest submissions of code, one file each in graders/, and the problems that they pretend to solve.

The first line of a file says for which problems it is, and what the verdict may be: `mbpp, stdio: wrong`. A `.txt` is
a program, a `.md` a whole completion, in which GOOD stands for a right program.

    python submissions.py FILE     writes every verdict as JSON, whoever the caller is
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "graders"
GOOD_STDIO = "a, b = map(int, input().split())\nprint(a + b, *range(a + b), sep='\\n')"
GOOD = {
    "stdio": GOOD_STDIO,
    "floats": "print(0.5)",
    "lists": "def ordered(numbers):\n    return sorted(numbers)",
    **dict.fromkeys(("humaneval", "mbpp", "calls"), "def total(numbers):\n    return sum(numbers)"),
}
CHECK = """
SECRET = "SECRET_OF_THE_TESTS"

def check(candidate):
    expected = 6
    assert candidate([1, 2, 3]) == expected, "SECRET_OF_THE_TESTS"
    assert abs(candidate([0.5, 0.25]) - 0.75) < 1e-6
    assert not candidate([2, -2])
    assert candidate([20, 22]) == 42
"""


def _sums(a, b):
    return {"input": f"{a} {b}\n", "output": "".join(f"{n}\n" for n in [a + b, *range(a + b)])}


def _calls(name, *pairs):
    return [{"input": one, "output": other, "testtype": "functional", "fn_name": name} for one, other in pairs]


PROBLEMS = {
    "stdio": {"tests": [_sums(1, 2), _sums(0, 0), _sums(2, 5)]},
    "floats": {"tests": [{"input": "", "output": "0.5\n"}], "checker": "floats:1e-6"},
    "humaneval": {
        "question": 'def total(numbers):\n    """The sum."""\n',
        "entry_point": "total",
        "test": CHECK,
    },
    "mbpp": {
        "test_list": [
            "assert total([1, 2, 3]) == 6",
            "assert math.isclose(total([0.5, 0.25]), 0.75)",
            "assert not total([2, -2])",
            "assert {total([20, 22])} == set([42])",
        ],
        "test_imports": ["import math"],
    },
    "calls": {"tests": _calls("total", ("[1, 2, 3]", "6"), ("[0.5, 0.25]", "0.75"), ("[20, 22]", "42"))},
    "lists": {
        "test_list": [
            "assert ordered([3, 1, 2]) == [1, 2, 3]",
            "assert ordered([3, 1, 2])[0] == 1 and len(ordered((1, 2, 2))) == 3",
            "assert set(ordered([5, 4])) == {4, 5} and tuple(ordered([5, 4])) == (4, 5)",
            "given = [2, 1]\nassert ordered(given) == [1, 2] and given == [2, 1]",
        ]
    },
}


def submissions(slow=False):
    """Of each: its file's name, the problem, the completion, and the statuses that are right.

    Args:
        slow: with the one whose worker has to be killed, which takes 20 seconds.
    """
    for path in sorted(FOLDER.iterdir()):
        if path.name == "returns_colliding_set.txt" and not slow:
            continue
        first, _, body = path.read_text(encoding="utf-8").partition("\n")
        problems, _, statuses = first.strip("#<!-> ").partition(": ")
        for problem in problems.split(", "):
            if path.suffix == ".txt":
                completion = f"```python\n{body}\n```\n"
            else:
                completion = re.sub("^GOOD$", lambda _, p=problem: GOOD[p], body, flags=re.MULTILINE)
            yield path.name, problem, completion, statuses.split(", ")


def verdicts(found, score="all"):
    """The verdicts on submissions, in their order."""
    from riskpo.rewards.code import CodeVerifier

    verifier = CodeVerifier(score=score, test_seconds=2.0, total_seconds=2.0 if score == "fraction" else 6.0)
    try:
        return verifier.verify([one[2] for one in found], [PROBLEMS[one[1]] for one in found])
    finally:
        verifier.close()


if __name__ == "__main__":
    results = [[one.score, one.status, one.reason] for one in verdicts(list(submissions()))]
    Path(sys.argv[1]).write_text(json.dumps(results))
