"""CodeVerifier end to end, in the real sandbox where a program runs."""

import pickle
import threading

import pytest

from riskpo.errors import ConfigError, SandboxError
from riskpo.rewards.code import CodeVerifier
from riskpo.rewards.programs.checkers import register
from riskpo.rewards.programs.dense import DifficultyWeights
from riskpo.rewards.programs.functions import judge_functions
from riskpo.rewards.programs.report import Budget
from riskpo.rewards.programs.testsets import read_tests
from riskpo.rewards.sandbox import Execution, Limits
from riskpo.rewards.verdict import Verifier
from tests.rewards.jail import fenced, needs_data, rows, sandbox, verdict
from tests.rewards.solutions import SOLUTIONS

ADD = "a, b = map(int, input().split())\nprint(a + b)"
PAIRS = {"tests": [{"input": f"{n} {n}\n", "output": f"{2 * n}\n"} for n in range(1, 5)]}
SQUARES = {"test_list": [f"assert square({n}) == {n * n}" for n in range(4)]}


class Recorded:
    """A sandbox that is none: answers by rule, and counts."""

    name = "recorded"

    def __init__(self, answer):
        self.answer, self.runs = answer, []

    def run(self, program, stdin=b"", *, limits=None, files={}):  # noqa: B006
        self.runs.append((program, stdin, limits))
        return self.answer(program, stdin)

    def session(self, program, *, limits=None):
        raise SandboxError("no sessions here")


def adds(program, stdin):
    return Execution("exited", b"%d\n" % sum(map(int, stdin.split())))


def judged(program, row=PAIRS, answer=adds, **options):
    return CodeVerifier(Recorded(answer), **options).verify([fenced(program)], [row])[0]


# --- without running anything ---


def test_it_is_a_verifier():
    verifier = CodeVerifier(Recorded(adds))
    assert isinstance(verifier, Verifier)
    assert (verifier.name, verifier.columns) == ("code", ())
    assert {"tests", "test", "entry_point", "test_list", "checker"} <= set(verifier.optional_columns)
    assert CodeVerifier(Recorded(adds), score="dense").name == "code-dense"


@pytest.mark.parametrize(
    "options",
    [
        {"score": "most"},
        {"test_seconds": 0},
        {"test_seconds": 5, "total_seconds": 4},
        {"total_seconds": float("inf")},
        {"test_seconds": float("nan")},
        {"longest": 0},
        {"workers": 0},
    ],
)
def test_options(options):
    with pytest.raises(ConfigError):
        CodeVerifier(Recorded(adds), **options)


def test_unknown_sandbox():
    with pytest.raises(ConfigError, match="unknown sandbox 'bubblewarp'"):
        CodeVerifier("bubblewarp")


@pytest.mark.parametrize(
    ("completion", "status", "options"),
    [
        ("", "no_answer", {}),
        ("print(1)", "no_answer", {}),
        ("```python\nprint(1)", "no_answer", {}),
        (fenced(" \n\t\n"), "no_answer", {}),
        (fenced("x" * 100_001), "too_long", {}),
        (fenced("x" * 10_000_000), "too_long", {}),
        (fenced("x" * 11), "too_long", {"longest": 10}),
        (fenced("print(1)\0"), "compile_error", {}),
        (fenced("print('\ud800')"), "compile_error", {}),
    ],
)
def test_what_is_not_run(completion, status, options):
    never = Recorded(lambda *_: pytest.fail("it was run"))
    (found,) = CodeVerifier(never, **options).verify([completion], [PAIRS])
    assert (found.score, found.status) == (0.0, status)
    assert found.reason


def test_bare_completions():
    assert CodeVerifier(Recorded(adds), bare=True).verify(["print(1)"], [PAIRS])[0].status == "correct"


def test_the_answer_is_the_program():
    assert judged("\ufeff" + ADD).answer == ADD


def test_equal_programs_run_once_and_each_stops_at_its_first_failure():
    box = Recorded(lambda program, stdin: Execution("exited", b"2" if program == "two" else b"0"))
    found = CodeVerifier(box).verify([fenced("two"), fenced("no"), fenced("two"), fenced("two")], [PAIRS] * 4)
    assert [one.status for one in found] == ["wrong"] * 4
    assert sorted(program for program, _, _ in box.runs) == ["no", "two", "two"]  # two passes the first test
    assert found[0].reason == "test 1"


def test_expected_outputs_do_not_enter():
    box = Recorded(adds)
    row = {"tests": [{"input": "100 200", "output": "300"}]}
    assert CodeVerifier(box).verify([fenced(ADD)], [row])[0].score == 1.0
    assert [(program, stdin) for program, stdin, _ in box.runs] == [(ADD, b"100 200")]


@pytest.mark.parametrize(
    ("execution", "status", "score"),
    [
        (Execution("exited", b"2\n"), "correct", 1.0),
        (Execution("exited", b""), "wrong", 0.0),
        (Execution("exited", b"2 2"), "wrong", 0.0),
        (Execution("runtime_error", b"2\n", b"ValueError: x", 1), "runtime_error", 0.0),
        (Execution("timeout", b"2\n"), "timeout", 0.0),
        (Execution("memory", b"2\n"), "memory", 0.0),
        (Execution("output_limit", b"2\n"), "output_limit", 0.0),
        (Execution("compile_error"), "compile_error", 0.0),
        (Execution("infra_error", b"2\n", detail="no room"), "infra_error", None),
    ],
)
@pytest.mark.parametrize("score_of", ["all", "fraction", "dense"])
def test_how_a_program_ended(execution, status, score, score_of):
    row = {"tests": [{"input": "1 1", "output": "2"}]}
    found = judged(ADD, row, lambda *_: execution, score=score_of)
    assert (found.score, found.status) == (score, status)


def test_one_failure_of_the_machinery_leaves_no_score():
    def third_fails(program, stdin):
        return Execution("infra_error", detail="no room") if stdin == b"3 3\n" else adds(program, stdin)

    for score in ("all", "fraction", "dense"):
        found = judged(ADD, PAIRS, third_fails, score=score)
        assert (found.score, found.status, found.reason) == (None, "infra_error", "no room")


def test_a_sandbox_that_raises_leaves_no_score():
    def broken(*_):
        raise OSError("disk full")

    found = judged(ADD, PAIRS, broken)
    assert (found.score, found.status, found.reason) == (None, "infra_error", "OSError: disk full")


def test_a_checker_that_is_broken_leaves_no_score():
    @register("broken")
    def broken(given_input, expected, given):
        return 1 / 0

    found = judged(ADD, {**PAIRS, "checker": "broken"})
    assert (found.score, found.status) == (None, "infra_error")
    assert "ZeroDivisionError" in found.reason


# --- scores ---


def below(limit):
    """Right for numbers below the limit, and 0 for others."""

    def answer(program, stdin):
        number = int(stdin.split()[0])
        return Execution("exited", b"%d" % (2 * number if number < limit else 0))

    return answer


def test_fraction():
    found = judged(ADD, PAIRS, below(4), score="fraction")
    assert (found.score, found.status, found.reason) == (0.75, "partial", "3 of 4 tests passed; test 3")
    assert judged(ADD, PAIRS, below(9), score="fraction").status == "correct"
    assert judged(ADD, PAIRS, below(0), score="fraction").status == "wrong"


def test_dense_weighs_over_the_completions_of_one_prompt():
    def as_the_program_says(program, stdin):
        return below(int(program))(program, stdin)

    weights = DifficultyWeights(alpha=1.0, sigma=0.1, delta=0.0)
    verifier = CodeVerifier(Recorded(as_the_program_says), score="dense", weights=weights)
    other = {**PAIRS, "question": "the same tests, another prompt"}
    completions = ["5", "3", "1", None, "3"]
    texts = ["no program" if limit is None else fenced(limit) for limit in completions]
    found = verifier.verify(texts, [PAIRS, PAIRS, PAIRS, PAIRS, other])
    passed = [[True] * 4, [True, True, False, False], [False] * 4, [False] * 4]
    assert [one.score for one in found[:4]] == pytest.approx(weights.scores(passed))
    assert found[4].score == pytest.approx(weights.scores([passed[1]])[0])
    assert [one.status for one in found] == ["correct", "partial", "wrong", "no_answer", "partial"]


def test_dense_leaves_out_what_could_not_be_judged():
    def answer(program, stdin):
        return Execution("infra_error") if program == "0" else below(int(program))(program, stdin)

    found = CodeVerifier(Recorded(answer), score="dense").verify([fenced("3"), fenced("0")], [PAIRS, PAIRS])
    assert found[0].score == pytest.approx(DifficultyWeights().scores([[True, True, False, False]])[0])
    assert found[1].score is None


def test_nothing_expected_proves_nothing():
    row = {"tests": [{"input": "0 0", "output": ""}, {"input": "1 1", "output": "2"}]}
    silent = judged("pass", row, lambda *_: Execution("exited", b""), score="fraction")
    assert (silent.score, silent.status) == (0.0, "wrong")
    right = judged("x", row, lambda _, stdin: Execution("exited", b"2" if stdin == b"1 1" else b""), score="fraction")
    assert right.score == 1.0


# --- golds ---


def test_check_gold():
    rows_and_reasons = [
        (PAIRS, None),
        (SQUARES, None),
        ({}, "no tests"),
        ({"tests": [{"input": "", "output": ""}]}, "does nothing would pass"),
        ({**PAIRS, "checker": "missing"}, "several right outputs, needs a checker"),
        ({**PAIRS, "checker": "no such"}, "unknown checker"),
        ({"tests": 5}, "not a list"),
        ({"test_list": 5}, "malformed tests: TypeError"),
        ({"tests": {"input": 5, "output": {}}}, "of equal length"),
        (
            {"tests": [{"input": "1", "output": "1", "fn_name": "f"}], "checker": "lines"},
            "checker 'lines' for a function",
        ),
    ]
    verifier = CodeVerifier(Recorded(adds))
    reasons = verifier.check_gold([row for row, _ in rows_and_reasons])
    for (row, expected), reason in zip(rows_and_reasons, reasons, strict=True):
        assert (reason is None) if expected is None else (expected in reason), (row, reason)
    found = verifier.verify([fenced(ADD)] * 2, [{}, {**PAIRS, "checker": "missing"}])
    assert [(one.score, one.status) for one in found] == [(None, "bad_gold")] * 2
    assert found[1].reason == "several right outputs, needs a checker"


@needs_data
def test_check_gold_of_the_real_sets():
    for name in ("humaneval", "mbpp_sanitized", "code_stdio_sample"):
        assert set(CodeVerifier(Recorded(adds)).check_gold(rows(name))) == {None}


# --- the real sandbox ---


@pytest.mark.parametrize("behind", ["", "\n\ndef main(\n", "\nprint(square(2", "\n# Next problem:\nclass Half"])
def test_a_base_model_that_goes_on_and_is_cut(behind):
    """What stands behind the function is not part of it, whole or cut in the middle."""
    row = {"test": "def check(f):\n    assert f(2) == 4", "entry_point": "square", "prompt": "def square(n):\n"}
    (found,) = CodeVerifier(sandbox(), bare=True).verify([f"    return n * n{behind}"], [row])
    assert (found.score, found.status) == (1.0, "correct")


def test_order_and_kinds_in_one_call():
    row = {"test": "def check(f):\n    assert f(2) == 4", "entry_point": "square", "prompt": "def square(n):\n"}
    call = {"tests": [{"input": "[3]\n", "output": "[9]", "testtype": "functional", "fn_name": "squares"}]}
    good = "def square(n):\n    return n * n"
    solution = "class Solution:\n    def squares(self, xs: List[int]) -> List[int]:\n        return [x * x for x in xs]"
    verifier = CodeVerifier(sandbox(), workers=2)
    found = verifier.verify(
        [fenced(text) for text in (good, ADD, "    return n * n", solution, ADD + " + 1", good, "print(0)")],
        [SQUARES, PAIRS, row, call, PAIRS, row, SQUARES],
    )
    verifier.close()
    assert [one.status for one in found] == ["correct"] * 4 + ["runtime_error", "correct", "wrong"]
    assert found[6].reason.endswith("the program does not define square")
    assert all(one.seconds > 0 for one in found)


def test_pickled_and_from_a_thread():
    verifier = pickle.loads(pickle.dumps(CodeVerifier(sandbox(), workers=1)))
    found = []
    thread = threading.Thread(target=lambda: found.extend(verifier.verify([fenced(ADD)], [PAIRS])))
    thread.start()
    thread.join(60)
    assert found[0].status == "correct"
    square = fenced("def square(n):\n    return n * n")
    assert verifier.verify([square], [SQUARES])[0].status == "correct"
    verifier.close()
    assert verifier.verify([square], [SQUARES])[0].status == "correct"  # started again
    verifier.close()


def test_a_time_for_all_tests_together():
    row = {"tests": PAIRS["tests"] * 5}
    slow = "import time\ntime.sleep(0.4)\n" + ADD
    found = verdict(slow, row, test_seconds=1.0, total_seconds=1.0, score="fraction")
    assert (found.status, 0 < found.score < 0.5) == ("partial", True)
    assert "1 s for all tests are used up" in found.reason or "did not end" in found.reason
    units = {"test_list": [f"assert square({n}) == {n * n}" for n in range(20)]}
    slow = "import time\ndef square(n):\n    time.sleep(0.4)\n    return n * n"
    found = verdict(slow, units, test_seconds=1.0, total_seconds=1.0, score="fraction")
    assert (found.status, 0 < found.score < 0.5) == ("partial", True)


def test_a_sandbox_without_sessions():
    """Function tests by running the program anew for each call."""
    box = sandbox()

    def run(program, stdin):
        return box.run(program, stdin)

    budget = Budget(Limits(), 5.0, 20.0, every_test=False)
    counting = "calls = []\ndef square(n):\n    calls.append(n)\n    return n * n if len(calls) <= 3 else 0"
    tests = read_tests(SQUARES)

    def passed(program):
        return judge_functions(Recorded(run), program, tests, budget).passed

    assert passed("def square(n):\n    return n * n") == (True,) * 4
    assert passed(counting) == (True, True, True, False)
    assert judge_functions(Recorded(run), "import os\nos._exit(0)", tests, budget).status == "wrong"


@needs_data
@pytest.mark.slow
def test_real_problems_by_standard_input():
    """Right programs pass, other right outputs than the expected one included; wrong ones do not."""
    sample = {row["id"]: row for row in rows("code_stdio_sample")}
    cut = {name: {**sample[name], "tests": sample[name]["tests"][:12]} for name in SOLUTIONS}
    verifier = CodeVerifier(sandbox(), score="fraction", workers=2)
    right = verifier.verify([fenced(text) for text in SOLUTIONS.values()], list(cut.values()))
    assert {name: one.score for name, one in zip(SOLUTIONS, right, strict=True)} == dict.fromkeys(SOLUTIONS, 1.0)
    # Word for word some of these are not what the data set has.
    several = ["codecontests-04", "lcb-codeforces-1873_A"]
    word_for_word = verifier.verify(
        [fenced(SOLUTIONS[name]) for name in several], [{**cut[name], "checker": "tokens"} for name in several]
    )
    assert all(one.score < 1.0 for one in word_for_word), word_for_word
    others = list(cut.values())[1:] + list(cut.values())[:1]
    wrong = verifier.verify([fenced(text) for text in SOLUTIONS.values()], others)
    assert all(one.score < 1.0 for one in wrong)
