import json

import pytest

from riskpo.errors import BadTestsError
from riskpo.rewards.programs.testsets import CallTests, CodeTests, StdioTests, read_tests
from tests.rewards.jail import needs_data, rows

PAIR = {"input": "1\n", "output": "2\n"}
CALL = {"input": '[1, 2]\n"a"', "output": "true", "testtype": "functional", "fn_name": "f"}


@pytest.mark.parametrize(
    "row",
    [
        {"tests": [PAIR, PAIR]},
        {"tests": [PAIR | {"testtype": "stdin"}, PAIR | {"testtype": "stdin", "fn_name": None}]},
        {"tests": json.dumps([PAIR, PAIR])},
        {"tests": {"input": ["1\n", "1\n"], "output": ["2\n", "2\n"]}},
        {"tests": {"inputs": ["1\n", "1\n"], "outputs": ["2\n", "2\n"]}},
        {"tests": {"input": ["1\n"] * 2, "output": ["2\n"] * 2, "testtype": ["stdin"] * 2, "fn_name": [None] * 2}},
    ],
)
def test_standard_input(row):
    assert read_tests(row) == StdioTests(((b"1\n", b"2\n"),) * 2)
    assert read_tests({**row, "checker": "lines"}).checker == "lines"
    assert read_tests({**row, "name": "1025_B. Weakened Common Divisor"}).checker == "codeforces:1025_B"


@pytest.mark.parametrize(
    "row",
    [
        {"tests": [CALL]},
        {"tests": [CALL | {"testtype": None}]},
        {"tests": {"input": [CALL["input"]], "output": ["true"], "testtype": "functional", "fn_name": "f"}},
        {"tests": [CALL | {"fn_name": None}], "fn_name": "f"},
        {"tests": [CALL | {"input": "[1, 2]\n'a'\n", "output": " True"}]},  # literals of Python
    ],
)
def test_calls(row):
    assert read_tests(row) == CallTests("f", (([[1, 2], "a"], True),))


def test_human_eval():
    prompt = "import math\n\ndef helper(x):\n    return x\n\ndef f(x):\n    '''Text.'''\n"
    test = "def check(candidate):\n    assert candidate(helper(1)) == math.floor(1.5) == json.loads('1')\n"
    tests = read_tests({"test": test, "entry_point": "f", "question": "Write f.", "prompt": prompt})
    assert isinstance(tests, CodeTests)
    assert (tests.functions, tests.units, tests.check, tests.prompt) == (("f",), (test,), "check", prompt)
    assert tests.preamble == "import math\n\ndef helper(x):\n    return x"
    assert tests.setup == "import json\n" + tests.preamble
    without = read_tests(
        {"test": "def check(c):\n    assert c(1)", "entry_point": "f", "prompt": [{"content": "def f"}]}
    )
    assert (without.prompt, without.preamble, without.setup) == ("", "", "")


def test_mbpp():
    units = ["assert math.isclose(area(1), 3.14)", "assert area(x=2) == sys.maxsize"]
    tests = read_tests({"test_list": units, "test_imports": ["import math"], "test_setup_code": "y = 1"})
    assert tests == CodeTests(("area",), tuple(units), None, "import sys\nimport math\ny = 1", "import math")


@pytest.mark.parametrize(
    ("unit", "function"),
    [
        ("assert set(f((1, 2))) == set((1,))", "f"),
        ("assert [f(x) for x in range(3)] == list(map(abs, [1]))", "f"),
        ("assert sum([1], 2) == 3", "sum"),  # a built-in name
        ("assert not copy([1])", "copy"),  # a module's name
    ],
)
def test_the_name_of_mbpp_s_function(unit, function):
    assert read_tests({"test_list": [unit]}).functions == (function,)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "no tests: none of the columns"),
        ({"tests": None, "test_list": None, "answer": "x"}, "no tests: none of the columns"),
        ({"test": "def check(c): pass"}, "no tests: none of the columns"),
        ({"tests": []}, "no tests: the column tests is empty"),
        ({"tests": "["}, "no JSON"),
        ({"tests": "[" * 100_000}, "no JSON"),
        ({"tests": "5"}, "is a int, not a list"),
        ({"tests": {"input": ["1"], "output": []}}, "of equal length"),
        ({"tests": {"input": ["1"]}}, "of equal length"),
        ({"tests": {"input": ["1"], "output": ["1"], "testtype": []}}, "0 values of testtype"),
        ({"tests": [{"input": "1"}]}, "test 0 has no texts"),
        ({"tests": [PAIR, {"input": 1, "output": "1"}]}, "test 1 has no texts"),
        ({"tests": [PAIR, 5]}, "test 1 has no texts"),
        ({"tests": [{"input": "1", "output": " \n"}]}, "every expected output is empty"),
        ({"tests": [{"input": "\ud800", "output": "1"}]}, "no UTF-8"),
        ({"tests": [PAIR, CALL]}, "allowed: all stdin, or all functional"),
        ({"tests": [PAIR | {"testtype": "interactive"}]}, "types ['interactive']"),
        ({"tests": [CALL, CALL | {"fn_name": "g"}]}, "do not name one function"),
        ({"tests": [CALL | {"fn_name": None}]}, "do not name one function"),
        ({"tests": [CALL | {"fn_name": "a b"}]}, "do not name one function"),
        ({"tests": [CALL | {"input": "[1,"}]}, "neither JSON nor a literal: '[1,'"),
        ({"tests": [CALL | {"output": "__import__('os')"}]}, "neither JSON nor a literal"),
        ({"tests": [CALL | {"output": ""}]}, "neither JSON nor a literal"),
        ({"test": "def check(c:", "entry_point": "f"}, "test is no Python"),
        ({"test": "assert f(1)", "entry_point": "f"}, "does not define check"),
        ({"test": "def check(c):\n    assert c(1) == g(1)", "entry_point": "f"}, "refers to g, which nothing defines"),
        ({"test": 5, "entry_point": "f"}, "must be texts"),
        ({"test": "x", "entry_point": "a.b"}, "must be texts"),
        ({"test_list": []}, "not empty"),
        ({"test_list": "assert f(1)"}, "must be a list of texts"),
        ({"test_list": [None]}, "must be a list of texts"),
        ({"test_list": ["assert f(1"]}, "test_list is no Python"),
        ({"test_list": ["assert 1"]}, "calls no function"),
    ],
)
def test_unusable(row, reason):
    with pytest.raises(BadTestsError) as caught:
        read_tests(row)
    assert reason in str(caught.value)


@needs_data
def test_real_rows():
    assert [read_tests(row).functions for row in rows("humaneval")] == [(r["entry_point"],) for r in rows("humaneval")]
    for row in rows("mbpp_sanitized"):
        (function,) = read_tests(row).functions
        assert f"def {function}(" in row["answer"].replace(f"{function} (", f"{function}(")
    found = [read_tests(row) for row in rows("code_stdio_sample")]
    assert [len(tests.cases) for tests in found] == [101, 102, 151, 118, 35, 331, 143, 96, 126, 62, 5, 15]
    checkers = [tests.checker for tests in found if tests.checker != "tokens"]
    assert checkers == ["codeforces:1025_B", "codeforces:1157_C2", "nocase"]
