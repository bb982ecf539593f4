"""What running one program on the tests of its problem came to, before any score is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from riskpo.rewards.sandbox import Limits
from riskpo.rewards.verdict import Status


@dataclass(frozen=True, slots=True)
class Report:
    """How one program did.

    Args:
        passed: for each test whether it passed; tests that were not run have not.
        status: "correct" where all passed, otherwise what the first failure was, or why nothing can be said.
        reason: a sentence on that failure.
    """

    passed: tuple[bool, ...]
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one completion may use.

    Args:
        limits: of each program that is run: one per input, or one for all calls of a function.
        test_seconds: wall-clock time for one input, or one call.
        total_seconds: wall-clock time for all tests of a completion together. The program's own time counts, not the
            time that it takes to start a sandbox, or to wait for one.
        every_test: run the others too after one has failed.
    """

    limits: Limits
    test_seconds: float
    total_seconds: float
    every_test: bool
