"""Test code outside, the candidate inside: what passes, what the verdict is, what comes across."""

import contextlib
import subprocess
import sys

import pytest

from riskpo.errors import SessionEnded
from riskpo.rewards.code import CodeVerifier
from riskpo.rewards.programs.asserts import instrumented
from riskpo.rewards.programs.codec import encode
from riskpo.rewards.programs.comparison import find_comparison
from riskpo.rewards.programs.functions import judge_functions
from riskpo.rewards.programs.report import Budget
from riskpo.rewards.programs.testsets import read_tests
from riskpo.rewards.sandbox import Limits
from tests.rewards.jail import fenced, sandbox, verdict


def mbpp(*units, **columns):
    return {"test_list": list(units), **columns}


def check(*lines, prompt="def f(*args):\n    '''Text.'''\n", **columns):
    test = "def check(candidate):\n" + "".join(f"    {line}\n" for line in lines)
    return {"test": test, "entry_point": "f", "prompt": prompt, **columns}


def f(*lines):
    """A candidate `f(x)` with this body."""
    return "def f(x):\n" + "".join(f"    {line}\n" for line in lines)


ONE = mbpp("assert f(1) == 1")
CAUGHT = ["try:", "    candidate(1)", "    assert False", "except KeyError as error:", "    assert 'no' in str(error)"]
HELPER = "def helper(x):\n    return x + 1\n\ndef f(x):\n    '''Text.'''\n"


@pytest.mark.parametrize(
    ("program", "row"),
    [
        (f("return x"), check("assert candidate((1, [2])) == (1, [2])")),
        (f("return {x: {1j, b'a'}}"), check("assert candidate((0,)) == {(0,): {b'a', 1j}}")),
        ("def f(x, *, y):\n    return x - y", check("assert candidate(3, y=2) == 1")),
        (f("raise KeyError('no')"), check(*CAUGHT)),
        ("class Odd(KeyError): pass\n" + f("raise Odd('no')"), check(*CAUGHT)),
        (f("x.append(1)"), check("x = [0]", "candidate(x)", "assert x == [0, 1]")),
        (f("x.update({1: 2})"), check("x = {3: 4}", "candidate(x)", "assert x == {1: 2, 3: 4}")),
        (f("x |= {2}", "return x"), check("x = {1}", "assert candidate(x) == {1, 2} == x")),
        (f("x[0] = 9"), check("x = bytearray(2)", "candidate(x)", "assert x == bytearray([9, 0])")),
        (f("yield from x"), check("assert list(candidate('ab')) == ['a', 'b']")),
        ("import re\n" + f("return re.match('a', x)"), mbpp("assert f('a')", "assert not f('b')")),
        ("n = []\n" + f("n.append(x)", "return len(n)"), mbpp("assert f(0) == 1", "assert f(0) == 2")),
        (f("print('noise', flush=True)", "return x"), ONE),
        (f("return helper(x)"), check("assert candidate(1) == helper(1) == 2", prompt=HELPER)),
        (f("return f'{x:>3}'"), mbpp("assert [f(x) for x in (1, 2)] == ['  1', '  2']")),
        ("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\n" + f("return P(x).x"), ONE),
        (f("return math.floor(x)"), mbpp("assert f(1.5) == 1", test_imports=["import math"])),
        ("f = max", mbpp("assert f(1, 2) == 2")),
        (f("return 10 ** x"), mbpp("assert f(2000) == 10 ** 2000", "assert f(2) is not None")),
        ("def f():\n    return float('nan')", mbpp("assert f() != f()")),
        ("def f():\n    return -0.0", mbpp("assert str(f()) == '-0.0'")),
        ("from __future__ import annotations\ndef f(x: List[int]):\n    return 1", check("assert candidate(1) == 1")),
    ],
)
def test_right(program, row):
    found = verdict(program, row)
    assert (found.score, found.status) == (1.0, "correct"), found


@pytest.mark.parametrize(
    ("program", "row", "status", "reason"),
    [
        (f("return 2"), ONE, "wrong", "failed in assert f(1) == 1"),
        (f("raise ValueError('no')"), ONE, "runtime_error", "it raised ValueError: no"),
        (f("raise MemoryError"), ONE, "memory", "it raised MemoryError"),
        (f("raise AssertionError"), ONE, "runtime_error", "it raised AssertionError"),
        (f("return f(x)"), ONE, "runtime_error", "RecursionError"),
        ("raise KeyError('a')", ONE, "runtime_error", "the program itself raised KeyError"),
        ("import numpy_", ONE, "runtime_error", "the program itself raised ModuleNotFoundError"),
        ("def g(x):\n    return 1", ONE, "wrong", "does not define f"),
        ("def f(x) return 1", ONE, "compile_error", "SyntaxError"),
        (f("while True: pass"), ONE, "timeout", "did not end within"),
        (f("return 'a'"), mbpp("assert abs(f(1) - 1) < 2"), "wrong", "cannot use what it returned: TypeError"),
        (f("return None"), mbpp("assert len(f(1)) == 2"), "wrong", "cannot use what it returned: TypeError"),
        (f("return 10 ** 400"), mbpp("assert abs(f(1) - 0.5) < 1"), "wrong", "OverflowError"),
        (f("return lambda: 1"), mbpp("assert f(1)"), "wrong", "f returned a value of type function"),
        (f("return [0] * 10**7"), mbpp("assert len(f(1)) == 10**7"), "wrong", "more than 1000000 values"),
        (f("raise SystemExit(0)"), mbpp("try:\n    f(1)\nexcept:\n    pass"), "wrong", "it gave no answer"),
        (f("quit()"), mbpp("try:\n    assert f(1)\nexcept:\n    pass"), "wrong", "left with SystemExit"),
        (f("import os; os._exit(0)"), ONE, "wrong", "ended itself"),
        (f("x.clear()"), mbpp("x = [1]\nf(x)\nassert x == [1]"), "wrong", "assert x == [1]"),
    ],
)
def test_wrong(program, row, status, reason):
    slack = {"test_seconds": 1.0, "total_seconds": 1.0} if status == "timeout" else {}
    found = verdict(program, row, **slack)
    assert (found.score, found.status) == (0.0, status), found
    assert reason in found.reason


def test_values_that_the_test_code_cannot_cope_with(monkeypatch):
    """The worker is killed, and the next candidate gets another one."""
    monkeypatch.setattr("riskpo.rewards.code._SLACK_SECONDS", 2.0)
    verifier = CodeVerifier(sandbox(), test_seconds=1.0, total_seconds=1.0, workers=1)
    row = mbpp("assert sum(f(1)) == 3")
    found = verifier.verify([fenced(f(f"return {value}")) for value in ("range(10**15)", "range(3)")], [row] * 2)
    verifier.close()
    assert [(one.score, one.status) for one in found] == [(0.0, "timeout"), (1.0, "correct")]
    assert "could not cope with what the program returned" in found[0].reason


HUGE = {"input": str([0] * 10**6), "output": "1", "testtype": "functional", "fn_name": "f"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (check("assert True"), "never calls the candidate"),
        (check("def unused(): return candidate(1)"), "never calls the candidate"),
        (mbpp("assert f(1) == 1", "lambda: f(1)"), "never calls the candidate"),
        (mbpp("assert f([0] * 10**6) == 1"), "the test hands over more than 1000000 values"),
        (mbpp("assert eval(f(1)) == 1"), "the test code uses eval"),
        (check("exec(candidate(1))"), "the test code uses exec"),
        ({"tests": [HUGE]}, "the arguments of test 0 cannot be carried"),
        (mbpp("assert f(lambda x: x)"), "the test hands over a value of type function"),
        (mbpp("assert f(1)", test_imports=["import no_such_"]), "the set-up of the tests failed: ModuleNotFoundError"),
    ],
)
def test_tests_that_cannot_be_used(row, reason):
    found = verdict(f("return 1"), row)
    assert (found.score, found.status) == (None, "bad_gold"), found
    assert reason in found.reason


def test_large_arguments_and_results():
    """As large as those of LeetCode, again and again in one session."""
    numbers = list(range(10**5, 3 * 10**5))  # 1.6 MB as a message
    case = {"input": str(numbers), "output": str(numbers[::-1]), "testtype": "functional", "fn_name": "f"}
    found = verdict(f("return x[::-1]"), {"tests": [case] * 4})
    assert found.status == "correct", found


def test_reasons_can_be_printed():
    found = verdict(f("raise ValueError('\\x1b[2Jcleared\\n' * 9)"), ONE)
    assert found.status == "runtime_error"
    assert found.reason.isprintable()
    assert "ValueError: \ufffd[2Jcleared\ufffd" in found.reason


RETURNED = ["re.match('', '')", "iter([1])", "{}.keys()", "int", "range(3)", "bytearray(3)", "{1: 2}.items()"]


def test_a_candidate_cannot_make_tests_unusable():
    """What it returns can always be handed back to it."""
    row = check("x = candidate(None)", "y = candidate(x)", "assert y == 1")
    for value in RETURNED:
        found = verdict("import re\n" + f(f"return {value}"), row)
        assert (found.score, found.status) == (0.0, "wrong"), (value, found)
    grown = verdict(f("return [0] * 300_000"), mbpp("x = f(1)\nassert f(x * 4) == 1"))
    assert (grown.score, grown.status) == (0.0, "wrong")
    assert "an argument of f cannot be carried" in grown.reason


# --- asserts as tests of their own ---


def test_fraction_of_asserts():
    loop = ["for n in range(3):", "    assert candidate(n) == n"]
    row = check("assert candidate(1) == 1", *loop, "assert True, 'none'", "assert candidate(9) == 0")
    for program, score in [
        (f("return x"), 2 / 3),
        (f("return 1 if x < 9 else 0"), 2 / 3),
        (f("return 5"), 0.0),
        (f("return x if x < 9 else 0"), 1.0),
        ("def g(x):\n    return x", 0.0),
        (f("return x if x < 2 else 1 / 0"), 1 / 3),
        ("import os\n" + f("return x if x == 1 else os._exit(0)"), 1 / 3),  # starts anew after each end
    ]:
        assert verdict(program, row, score="fraction").score == pytest.approx(score), program


def test_what_an_end_outside_any_assert_costs():
    row = check("assert candidate(1) == 1", "y = candidate(2)", "assert y == 2")
    found = verdict(f("return x if x == 1 else 1 / 0"), row, score="fraction")
    assert (found.score, found.status) == (0.0, "runtime_error")
    swallowing = ["try:", "    candidate(2)", "except:", "    pass"]
    row = check("assert candidate(1) == 1", *swallowing, "assert candidate(1) == 1")
    program = "import os\n" + f("return x if x == 1 else os._exit(0)")
    assert verdict(program, row).score == 0.0
    assert verdict(program, row, score="fraction").score == 0.5  # the assert that saw it is the one that fails


def test_asserts_hold_under_optimisation():
    code, texts = instrumented("assert x == 1, 'a'\nassert True\nassert (x ==\n  2)")
    seen = []
    exec(code, {"x": 1, "__riskpo_passed__": seen.append, "__riskpo_failed__": lambda n, e: seen.append((n, type(e)))})
    assert texts == ["assert x == 1, 'a'", "assert (x ==\n  2)"]
    assert seen == [0, (1, AssertionError)]
    source = (
        "from riskpo.rewards.programs.asserts import instrumented\n"
        "code, _ = instrumented('assert x == 1')\n"
        "exec(code, {'x': 2, '__riskpo_passed__': print, '__riskpo_failed__': lambda n, e: print('failed', n)})\n"
        "assert False\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "failed 0\n"


# --- comparison of results ---


@pytest.mark.parametrize(
    ("checker", "expected", "given", "same"),
    [
        ("tokens", [1, [2]], (1, (2,)), True),
        ("tokens", {"a": [1]}, {"a": (1,)}, True),
        ("tokens", 1, 1.0, True),
        ("tokens", True, 1, True),
        ("tokens", "1", 1, False),
        ("tokens", [1], {1}, False),
        ("tokens", [1, 2], [2, 1], False),
        ("tokens", 0.3, 0.1 + 0.2, False),
        ("tokens", None, None, True),
        ("tokens", 1.5, float("nan"), False),
        ("tokens", [], None, False),
        ("floats:1e-6", [0.3, {"a": 1}], [0.1 + 0.2, {"a": 1.0000001}], True),
        ("floats:1e-6", [0.3], [0.3001], False),
        ("floats:1e-6", [0.3], [0.3, 0.3], False),
        ("floats:1e-6", 1.0, float("inf"), False),
        ("floats:1e-6", 1.0, float("nan"), False),
        ("floats:1e-6", 1.0, True, True),
        ("floats:1e-6", 1.0, "1.0", False),
        ("floats:1e-6", 1e308, 10**400, False),
        ("floats:1e-6", {"a": 1}, {"b": 1}, False),
        ("unordered", [[1, 2], [3]], ((3,), (1, 2)), True),
        ("unordered", [[1, 2]], [[2, 1]], False),
        ("unordered", [1, 1, 2], [1, 2, 2], False),
        ("unordered", [1, True, 2.0], [1.0, 1, 2], True),
        ("unordered", [{"a": 1, "b": 2}], [{"b": 2.0, "a": 1}], True),
        ("unordered", 5, 5, True),
        ("unordered", [5], 5, False),
    ],
)
def test_comparison(checker, expected, given, same):
    assert find_comparison(checker)(expected, given) is same


METHOD = "class Solution:\n    def order(self, xs: List[int], name: str) -> Optional[List[int]]:\n"
METHOD += "        return tuple(heapq.nsmallest(9, xs))\n"
STATE = "class Solution:\n    def __init__(self):\n        self.n = 0\n    def order(self, xs, name):\n"
STATE += "        self.n += 1\n        return sorted(xs) if self.n == 1 else None\n"


def test_calls():
    case = {"input": '[3, 1, 2]\n"x"', "output": "[1, 2, 3]", "testtype": "functional", "fn_name": "order"}
    row = {"tests": [case, {**case, "input": "[]\n\n'y'\n", "output": "[]"}]}
    plain = "def order(xs, name):\n    return sorted(xs)"
    for program in (plain, METHOD, STATE, plain + "\nclass Solution: pass"):
        assert verdict(program, row).status == "correct", program
    wrong = "def order(xs, name):\n    return sorted(xs) or None"
    assert verdict(wrong, row).reason == "test 1"
    assert verdict(wrong, row, score="fraction").score == 0.5
    assert verdict("def order(xs):\n    return sorted(xs)", row).status == "runtime_error"
    backwards = "def order(xs, name):\n    return sorted(xs)[::-1]"
    assert verdict(backwards, {**row, "checker": "unordered"}).status == "correct"
    assert verdict(backwards, row).status == "wrong"


# --- the machinery fails ---


class Failing:
    """A sandbox whose sessions answer with 1, and fail at some exchange; the first one loads the program."""

    name = "failing"

    def __init__(self, at, status="infra_error"):
        self.left, self.status = at, status

    @contextlib.contextmanager
    def session(self, program, *, limits=None):
        yield self

    def exchange(self, line, seconds):
        self.left -= 1
        if self.left < 0:
            raise SessionEnded(self.status, "no room")
        return encode(["loaded"] if b"load" in line else ["value", 1, {}]).encode()


SWALLOWING = "try:\n    f(2)\nexcept:\n    pass"


@pytest.mark.parametrize("every_test", [False, True])
@pytest.mark.parametrize(
    "row",
    [
        mbpp("assert f(1) == 1", "assert f(1) == 1"),
        mbpp("assert f(1) == 5", "assert f(1) == 5"),
        mbpp("assert f(1) == 1", SWALLOWING),
        check("assert candidate(1) == 1", "try:", "    candidate(1)", "except:", "    pass"),
        {"tests": [{"input": "1", "output": "1", "fn_name": "f"}] * 2},
    ],
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_sandbox_that_fails_leaves_no_score(row, at, every_test):
    budget = Budget(Limits(), 1.0, 5.0, every_test)
    report = judge_functions(Failing(at), "", read_tests(row), budget)
    if "5" in str(row) and at == 2 and not every_test:  # it had failed before
        assert report.status == "wrong"
    else:
        assert (report.status, any(report.passed)) == ("infra_error", False)
        assert "no room" in report.reason


@pytest.mark.parametrize("status", ["exited", "runtime_error", "compile_error", "timeout", "memory", "output_limit"])
def test_how_a_session_ends(status):
    report = judge_functions(Failing(1, status), "", read_tests(ONE), Budget(Limits(), 1.0, 5.0, False))
    assert report.status == {"exited": "wrong", "compile_error": "runtime_error"}.get(status, status)
