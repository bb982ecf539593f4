"""Tests of functions: the data set's own test code runs out here, the candidate's functions run in the sandbox.

`judge` is what a worker process runs, for one candidate. Test code is trusted, but what it works with is not: numbers
of a thousand digits, NaN, lists of a hundred thousand members come back from the candidate. So it runs in a process
that can be killed, and never in the trainer's.

A candidate passes where the test code ran to its end, no assert failed, the candidate was called at least once, and it
never ended itself, timed out or answered with what cannot be compared.
"""

from __future__ import annotations

import functools
import pickle
import random
from typing import Any

from riskpo.errors import BadTestsError
from riskpo.rewards.programs.asserts import FAILED, PASSED, instrumented
from riskpo.rewards.programs.candidate import Candidate, Stopped, failure_of
from riskpo.rewards.programs.codec import CodecError, encode
from riskpo.rewards.programs.comparison import find_comparison
from riskpo.rewards.programs.report import Budget, Report
from riskpo.rewards.programs.testsets import CallTests, CodeTests
from riskpo.rewards.sandbox import Sandbox
from riskpo.rewards.verdict import Status

# What starter code of LeetCode takes for granted.
PRELUDE = "from typing import *\nimport collections, functools, heapq, itertools, math, bisect, random, re, string\n"
PRELUDE += "from collections import *\nfrom functools import *\nfrom heapq import *\nfrom itertools import *\n"
PRELUDE += "from bisect import *\nfrom math import *\nfrom builtins import *\n"  # math has a pow of its own
PRELUDE += "import sys\nsys.setrecursionlimit(50_000)\n"


def packed(sandbox: Sandbox, program: str, tests: CallTests | CodeTests, budget: Budget) -> bytes:
    """The task of a worker: what `judge` wants, as bytes, since workers are handed plain values only."""
    return pickle.dumps((pickle.dumps(sandbox), program, tests, budget))


def judge(task: bytes) -> tuple[list[bool], str, str]:
    """Judges one candidate: which tests passed, the status and the reason of a `Report`.

    Args:
        task: made by `packed` in the trainer's process.
    """
    sandbox, program, tests, budget = pickle.loads(task)
    try:
        report = judge_functions(_sandbox(sandbox), program, tests, budget)
    except BadTestsError as error:
        return [], "bad_gold", str(error)
    return list(report.passed), report.status, report.reason


@functools.cache
def _sandbox(pickled: bytes) -> Sandbox:
    """The same for every task of a worker: a sandbox has to look for its tools once."""
    sandbox: Sandbox = pickle.loads(pickled)
    return sandbox


def judge_functions(sandbox: Sandbox, program: str, tests: CallTests | CodeTests, budget: Budget) -> Report:
    """Judges one candidate in this process.

    Raises:
        BadTestsError: tests that cannot be used, as shows only when they run.
    """
    random.seed(0)  # test code that draws its arguments draws the same ones for everybody
    if isinstance(tests, CallTests):
        with Candidate(sandbox, [PRELUDE, program], [tests.function], budget) as candidate:
            report = _judge_calls(candidate, tests, budget)
    else:
        with Candidate(sandbox, [tests.preamble, program], tests.functions, budget) as candidate:
            report = _Run(candidate, tests, budget).report()
    if candidate.broken:
        return Report(tuple(False for _ in report.passed), "infra_error", candidate.broken.reason)
    return report


def _judge_calls(candidate: Candidate, tests: CallTests, budget: Budget) -> Report:
    same = find_comparison(tests.checker)
    _check_arguments(tests)
    passed = [False] * len(tests.cases)
    failed: tuple[Status, str] | None = None
    for number, (arguments, expected) in enumerate(tests.cases):
        status: Status = "wrong"
        reason = ""
        try:
            passed[number] = same(expected, candidate.call(tests.function, arguments, {}))
        except (Stopped, Exception) as error:  # noqa: BLE001  (of the candidate, or of a comparison with what it returned)
            status, reason = _failure(error, candidate)
        if not passed[number]:
            failed = failed or (status, f"test {number}{reason}")
            if not budget.every_test or candidate.broken:
                break
    return Report(tuple(passed), *(failed or ("correct", "")))


def _check_arguments(tests: CallTests) -> None:
    """Raises BadTestsError for arguments that cannot be carried, before any candidate can be blamed for them."""
    for number, (arguments, _) in enumerate(tests.cases):
        try:
            encode(arguments)
        except CodecError as error:
            raise BadTestsError(f"the arguments of test {number} cannot be carried: {error}") from None


def _failure(error: BaseException, candidate: Candidate) -> tuple[Status, str]:
    """What a test came to that raised."""
    if isinstance(error, BadTestsError):
        raise error
    if isinstance(error, Stopped):
        return error.status, f": {error.reason}"
    if error is candidate.raised:
        return failure_of(error), f": it raised {type(error).__name__}: {str(error)[:200]}"
    if isinstance(error, AssertionError):
        return "wrong", ""
    return "wrong", f": the test cannot use what it returned: {type(error).__name__}"


class _Run:
    """One run of test code: which asserts held, and what the first failure was."""

    def __init__(self, candidate: Candidate, tests: CodeTests, budget: Budget) -> None:
        self.candidate, self.tests, self.budget = candidate, tests, budget
        self.failed: tuple[Status, str] | None = None
        self.held: list[bool] = []  # of each assert: whether it never failed
        self.texts: list[str] = []
        self.stops = 0  # of the candidate, before the assert that runs

    def report(self) -> Report:
        """Runs the units."""
        namespace = self.namespace()
        passed: list[bool] = []
        for unit in self.tests.units:
            good = self.unit(unit, namespace)
            passed.extend(good if self.tests.check and self.budget.every_test else [all(good)])
            if self.failed and (not self.budget.every_test or self.candidate.broken):
                break
        count = max(len(passed), len(self.tests.units))
        passed += [False] * (count - len(passed))
        return Report(tuple(passed), *(self.failed or ("correct", "")))

    def namespace(self) -> dict[str, Any]:
        namespace: dict[str, Any] = {"__name__": "tests"}
        try:
            exec(compile(self.tests.setup, "<setup>", "exec", dont_inherit=True, optimize=0), namespace)
        except Exception as error:
            raise BadTestsError(f"the set-up of the tests failed: {type(error).__name__}: {error}") from error
        namespace |= {name: self.candidate.function(name) for name in self.tests.functions}
        return namespace | {PASSED: self.assert_passed, FAILED: self.assert_failed}

    def unit(self, source: str, namespace: dict[str, Any]) -> list[bool]:
        """Runs one unit: for each assert in it whether it held; one value where it has none."""
        code, self.texts = instrumented(source)
        self.held = [True] * len(self.texts)
        calls, self.stops = self.candidate.calls, self.candidate.stops
        finished = False
        try:
            exec(code, namespace)
            if self.tests.check:
                self.candidate_wins_its_name(namespace)
                namespace[self.tests.check](namespace[self.tests.functions[0]])
            finished = True
        except (Stopped, Exception) as error:  # noqa: BLE001  (of the candidate, or of test code at odds with a result)
            self.fail(error, "")
        if self.candidate.calls == calls:
            raise BadTestsError("the test never calls the candidate")
        if finished and self.stopped_unseen():
            return [False] * max(1, len(self.held))
        return [held and finished for held in self.held] or [finished]

    def candidate_wins_its_name(self, namespace: dict[str, Any]) -> None:
        """Test code that assigns to the candidate's name must not test what it assigned."""
        for name in self.tests.functions:
            namespace[name] = self.candidate.function(name)

    def stopped_unseen(self) -> bool:
        """Whether the candidate gave no answer, and test code that catches everything went on."""
        if self.candidate.stops == self.stops:
            return False
        self.stops = self.candidate.stops
        self.failed = self.failed or ("wrong", "it gave no answer, and the test caught that")
        return True

    def assert_passed(self, number: int) -> None:
        if self.stopped_unseen():
            self.held[number] = False

    def assert_failed(self, number: int, error: BaseException) -> None:
        self.held[number] = False
        self.stops = self.candidate.stops
        if not isinstance(error, (Stopped, Exception)):
            raise error
        self.fail(error, f" in {self.texts[number][:200]}")
        if not self.budget.every_test or self.candidate.broken:
            raise error

    def fail(self, error: BaseException, place: str) -> None:
        status, reason = _failure(error, self.candidate)
        self.failed = self.failed or (status, f"failed{place}{reason}")
