"""Tests by standard input and output: each input in a sandbox of its own, the comparison outside.

The sandbox gets the program and one input. Expected outputs never enter it, and no two inputs meet in one sandbox, so
nothing that a program leaves behind reaches its next test. What passes is the whole output, read by the checker, of a
program that ended by itself with exit code 0: neither the exit code alone nor an output before a crash is enough.

Where nothing is the expected output, printing nothing proves nothing: such a test counts only for a program that has
passed one with an output.
"""

from __future__ import annotations

from dataclasses import replace

from riskpo.rewards.programs.checkers import FormError, find_checker
from riskpo.rewards.programs.report import Budget, Report
from riskpo.rewards.programs.testsets import StdioTests
from riskpo.rewards.sandbox import Execution, Sandbox
from riskpo.rewards.verdict import Status


def judge_stdio(sandbox: Sandbox, program: str, tests: StdioTests, budget: Budget) -> Report:
    """Runs a program on the inputs, in their order.

    Raises:
        BadTestsError: no such checker, or one that cannot judge such an input.
    """
    checker = find_checker(tests.checker)
    left = budget.total_seconds
    passed = [False] * len(tests.cases)
    failed: tuple[Status, str] | None = None
    for number, (given, expected) in enumerate(tests.cases):
        if left <= 0:
            failed = failed or ("timeout", f"test {number}: {budget.total_seconds:g} s for all tests are used up")
            break
        seconds = min(budget.test_seconds, left)
        done = sandbox.run(program, given, limits=replace(budget.limits, wall_seconds=seconds, cpu_seconds=seconds))
        left -= done.seconds
        if done.status == "infra_error":
            return Report(tuple([False] * len(passed)), "infra_error", done.detail)
        status, reason = _status(done)
        if status == "correct":
            try:
                passed[number] = checker(given, expected, done.stdout)
            except FormError as error:
                reason = f": {error}"
        if not passed[number]:
            failed = failed or ("wrong" if status == "correct" else status, f"test {number}{reason}")
            if not budget.every_test or status == "compile_error":
                break
    if not any(good and expected.split() for good, (_, expected) in zip(passed, tests.cases, strict=True)):
        passed = [False] * len(passed)
    return Report(tuple(passed), *(failed or ("correct", "")))


def _status(done: Execution) -> tuple[Status, str]:
    """What a run comes to before its output is looked at."""
    if done.status == "exited":
        return "correct", ""
    last = done.stderr[-300:].decode("utf-8", "replace").strip().rpartition("\n")[2]
    return done.status, ": " + (last or done.detail or f"exit code {done.exit_code}")
