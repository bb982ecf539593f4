"""Verdicts on programs that a model wrote: do they pass the tests of their problem?

    verifier = CodeVerifier()                        # bubblewrap; SandboxError says what to do where it cannot work
    verdicts = verifier.verify(completions, rows)    # rows: HumanEval, MBPP, LiveCodeBench, CodeContests; testsets.py

The program is the last fenced block (fences.py). It runs in a sandbox, and nothing that tells right from wrong is in
there: standard output is compared outside (stdio.py), and so is what functions return (functions.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

from riskpo.errors import BadTestsError, ConfigError, WorkerError, unknown_name
from riskpo.rewards.programs.checkers import find_checker
from riskpo.rewards.programs.comparison import find_comparison
from riskpo.rewards.programs.dense import DifficultyWeights, fractions
from riskpo.rewards.programs.fences import continuation_of, program_of
from riskpo.rewards.programs.functions import packed
from riskpo.rewards.programs.report import Budget, Report
from riskpo.rewards.programs.stdio import judge_stdio
from riskpo.rewards.programs.testsets import COLUMNS, CallTests, CodeTests, StdioTests, Tests, read_tests
from riskpo.rewards.sandbox import Limits, Sandbox, open_sandbox
from riskpo.rewards.verdict import UNSCORED, Status, Verdict
from riskpo.rewards.worker import Outcome, WorkerPool

_UNREADABLE = re.compile("[\\0\ud800-\udfff]")  # Python stops at the first, and cannot write the second to a file
Score = Literal["all", "fraction", "dense"]
_LONGEST_REASON = 500  # characters
_LEAST_MEMORY_MB = 2048  # of a worker
_MOST_TASK_BYTES = 1 << 28  # with all the tests of a row
_SLACK_SECONDS = 15.0  # of a worker beyond a completion's time: to start a sandbox, and to run the tests' own code


@dataclass(frozen=True, slots=True)
class _Judged:
    """A completion after its tests: what the score is made of."""

    program: str | None
    report: Report
    seconds: float = 0.0


class CodeVerifier:
    """Runs a completion's program on the tests of its row. The shapes of rows are listed in testsets.py.

    Args:
        sandbox: where programs run: a sandbox, or the name of one, which is then opened and tried out.
        score: `all`: 1 where every test passed, else 0, and the tests end at the first failure. `fraction`: the part of
            the tests that passed. `dense`: VeRPO's difficulty-weighted part, weighed over the completions of the same
            prompt in one call (dense.py). The last two run every test. Of HumanEval each assert is a test.
        weights: of `dense`.
        test_seconds: wall-clock and processor time for one input, or wall-clock time for one call of a function.
        total_seconds: wall-clock time for all tests of a completion; what is left to run then has failed.
        limits: what programs may use besides; its seconds are not used.
        bare: whether a completion without any fence is a program as it stands, or continues the prompt, as base models
            write it.
        longest: characters of a program; a longer one is not run.
        workers: completions judged at once; None = the machine's processors.

    Raises:
        SandboxError: the sandbox does not work here.
        ConfigError: an option that is not allowed.
    """

    columns: tuple[str, ...] = ()  # one of several shapes must be there: check_gold says where none is
    optional_columns: tuple[str, ...] = COLUMNS

    def __init__(
        self,
        sandbox: Sandbox | str = "bubblewrap",
        *,
        score: Score = "all",
        weights: DifficultyWeights | None = None,
        test_seconds: float = 10.0,
        total_seconds: float = 60.0,
        limits: Limits | None = None,
        bare: bool = False,
        longest: int = 100_000,
        workers: int | None = None,
    ) -> None:
        if score not in get_args(Score):
            raise ConfigError(unknown_name("score", score, get_args(Score)))
        if (
            not (0 < test_seconds <= total_seconds < float("inf"))
            or longest < 1
            or (workers is not None and workers < 1)
        ):
            raise ConfigError(
                f"test_seconds={test_seconds!r}, total_seconds={total_seconds!r}, longest={longest!r}, "
                f"workers={workers!r}: 0 < test_seconds <= total_seconds, the others at least 1."
            )
        self.name = "code" if score == "all" else f"code-{score}"
        self.score: Score = score
        self.weights = weights or DifficultyWeights()
        self.budget = Budget(limits or Limits(), test_seconds, total_seconds, every_test=score != "all")
        self.bare, self.longest = bare, longest
        self.workers = workers or os.cpu_count() or 1
        self.sandbox = open_sandbox(sandbox) if isinstance(sandbox, str) else sandbox
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._pool: WorkerPool | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_pool")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def close(self) -> None:
        """Ends the worker processes. They are started again where they are needed."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
            self._pool = None

    # --- the protocol of verifiers ---

    def check_gold(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """For each row why its tests cannot be used, or None."""
        return [_tests_of(row)[1] or None for row in rows]

    def verify(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """One verdict for each completion, in their order.

        Equal programs for equal rows are run once. For `dense`, completions whose rows have the same tests and prompt
        are a group.
        """
        keys = [_key(row) for row in rows]
        problems = {key: _tests_of(row) for key, row in dict(zip(keys, rows, strict=True)).items()}
        found = [self._program(completion, *problems[key]) for completion, key in zip(completions, keys, strict=True)]
        tasks = {
            (key, program): tests
            for key, program in zip(keys, found, strict=True)
            if isinstance(program, str) and (tests := problems[key][0]) is not None
        }
        ran = dict(zip(tasks, self._run([(program, tests) for (_, program), tests in tasks.items()]), strict=True))
        judged = [ran[key, one] if isinstance(one, str) else one for key, one in zip(keys, found, strict=True)]
        return self._verdicts(judged, keys)

    # --- a program ---

    def _program(self, completion: str, tests: Tests | None, unusable: str) -> str | _Judged:
        """The program to run on the tests, or what there is to say without running any."""
        if tests is None:
            return _Judged(None, Report((), "bad_gold", unusable))
        program = program_of(completion, bare=self.bare)
        if program is None or not program.strip():
            return _Judged(None, Report((), "no_answer", "no complete block of Python after the reasoning"))
        if len(program) > self.longest:
            reason = f"a program of {len(program)} characters; {self.longest} are allowed"
            return _Judged(None, Report((), "too_long", reason))
        if _UNREADABLE.search(program):
            return _Judged(program, Report((), "compile_error", "a NUL or half a character in the program"))
        if isinstance(tests, CodeTests) and tests.prompt and not _defines(program, tests.functions[0]):
            return tests.prompt + (continuation_of(program) if self.bare else program)
        return program

    # --- running ---

    def _run(self, tasks: Sequence[tuple[str, Tests]]) -> list[_Judged]:
        """Judges programs, in their order."""
        stdio = [(program, tests) for program, tests in tasks if isinstance(tests, StdioTests)]
        calls = [(program, tests) for program, tests in tasks if not isinstance(tests, StdioTests)]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="riskpo-code") as threads:
            futures = [threads.submit(self._judge_stdio, program, tests) for program, tests in stdio]
            called = iter(self._judge_functions(calls) if calls else ())
            ran = iter([future.result() for future in futures])
        return [next(ran if isinstance(tests, StdioTests) else called) for _, tests in tasks]

    def _judge_stdio(self, program: str, tests: StdioTests) -> _Judged:
        begun = time.monotonic()
        try:
            report = judge_stdio(self.sandbox, program, tests, self.budget)
        except BadTestsError as error:
            report = Report((), "bad_gold", str(error))
        except Exception as error:  # noqa: BLE001  (a sandbox, or a user's checker, that failed: no verdict on the program)
            report = Report((), "infra_error", f"{type(error).__name__}: {error}")
        return _Judged(program, report, time.monotonic() - begun)

    def _judge_functions(self, tasks: Sequence[tuple[str, CallTests | CodeTests]]) -> list[_Judged]:
        packs = [(packed(self.sandbox, program, tests, self.budget),) for program, tests in tasks]
        try:
            outcomes = self._workers().map(packs)
        except WorkerError as error:
            outcomes = [Outcome("error", detail=str(error))] * len(tasks)
        return [
            _Judged(program, _report_of(outcome), outcome.seconds)
            for (program, _), outcome in zip(tasks, outcomes, strict=True)
        ]

    def _workers(self) -> WorkerPool:
        with self._lock:
            if self._pool is None:
                self._pool = WorkerPool(
                    "riskpo.rewards.programs.functions:judge",
                    workers=self.workers,
                    seconds=self.budget.total_seconds + _SLACK_SECONDS,
                    # A sandbox inherits the worker's limit.
                    memory_mb=max(_LEAST_MEMORY_MB, self.budget.limits.memory_mb),
                    max_bytes=_MOST_TASK_BYTES,
                )
            return self._pool

    # --- scores ---

    def _verdicts(self, judged: Sequence[_Judged], keys: Sequence[str]) -> list[Verdict]:
        groups: dict[str, list[int]] = {}
        for position, key in enumerate(keys):
            if judged[position].report.status not in UNSCORED:
                groups.setdefault(key, []).append(position)
        scores: dict[int, float] = {}
        for positions in groups.values():
            scores |= dict(zip(positions, self._scores([judged[i].report for i in positions]), strict=True))
        return [_verdict(one, scores.get(position)) for position, one in enumerate(judged)]

    def _scores(self, reports: Sequence[Report]) -> list[float]:
        """The scores of the completions of one prompt. A completion that was not run has passed no test."""
        count = max((len(report.passed) for report in reports), default=0)
        if self.score == "all" or count == 0:
            return [float(report.status == "correct") for report in reports]
        passed_IJ = [report.passed or (False,) * count for report in reports]
        return fractions(passed_IJ) if self.score == "fraction" else self.weights.scores(passed_IJ)


def _verdict(judged: _Judged, score: float | None) -> Verdict:
    report = judged.report
    status: Status = "partial" if score is not None and 0.0 < score < 1.0 else report.status
    # It may quote the program's own words: no terminal escapes in anybody's log.
    reason = "".join(c if c.isprintable() else "\ufffd" for c in report.reason[:_LONGEST_REASON])
    if status == "partial":
        reason = f"{sum(report.passed)} of {len(report.passed)} tests passed; {reason}"
    return Verdict(score, status, judged.program, reason, judged.seconds)


def _report_of(outcome: Outcome) -> Report:
    """What a worker found, or what its end says of the candidate: its values can use up a worker's time and memory."""
    if outcome.status == "done":
        passed, status, reason = outcome.value
        return Report(tuple(passed), status, reason)
    if outcome.status in ("timeout", "memory"):
        return Report((), outcome.status, "the test code could not cope with what the program returned")
    return Report((), "infra_error", f"{outcome.status}: {outcome.detail}")


def _tests_of(row: Mapping[str, Any]) -> tuple[Tests | None, str]:
    """The tests of a row, or None and why they cannot be used."""
    try:
        tests = read_tests(row)
        if isinstance(tests, StdioTests):
            find_checker(tests.checker)
        elif isinstance(tests, CallTests):
            find_comparison(tests.checker)
    except BadTestsError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001  (whatever stands in a row)
        return None, f"malformed tests: {type(error).__name__}: {error}"
    return tests, ""


def _key(row: Mapping[str, Any]) -> str:
    """The same for rows of the same problem."""
    columns = repr([row.get(column) for column in COLUMNS])
    return hashlib.sha256(columns.encode("utf-8", "backslashreplace")).hexdigest()


def _defines(program: str, name: str) -> bool:
    """Whether a program defines a function itself, so that it does not continue the prompt's beginning of it."""
    pattern = rf"^(?:(?:async[ \t]+)?def[ \t]+{name}\b|{name}[ \t]*[=:]|from\b.*\b{name}\b)"
    return re.search(pattern, program, re.MULTILINE) is not None
