"""Hostile and tricky answers, one file each under `answers/`: completion, gold answer, and what the verdict must be."""

import json
import threading
import time
from pathlib import Path

import pytest

from riskpo.rewards.math import MathVerifier

FILES = sorted((Path(__file__).parent / "answers").glob("*.json"))
QUICK, PATIENT = 2.0, 20.0  # seconds: for what may hang, and for what must not, on a machine however busy


def completion_of(case):
    """The text itself, or the parts with how often each is repeated."""
    given = case["completion"]
    return given if isinstance(given, str) else "".join(text * times for text, times in given["parts"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_answer(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    may_hang = "timeout" in case["status"] or path.stem == "gold_tower"
    verifier = MathVerifier(case.get("convention", "auto"), seconds=QUICK if may_hang else PATIENT)
    start = time.monotonic()
    (verdict,) = verifier.verify([completion_of(case)], [{"answer": case["gold"]}])
    statuses = case["status"] if isinstance(case["status"], list) else [case["status"]]
    assert verdict.status in statuses, f"{case['why']}: {verdict}"
    if verdict.status != "bad_gold":
        assert verdict.score == case["score"], verdict
    assert verdict.reason
    assert time.monotonic() - start < 60, "one answer must not hold up the rest"
    if "absent" in case:
        assert not Path(case["absent"]).exists(), "text was run"


def test_the_files_are_there():
    assert len(FILES) >= 150
    # Most of them must leave no choice of status: a test that takes any zero would not see a wrong reason.
    assert sum(isinstance(json.loads(path.read_text(encoding="utf-8"))["status"], str) for path in FILES) >= 120


@pytest.mark.slow
def test_64_hangs_at_once_leave_a_pool_that_works():
    """Each ends with its own verdict, in time, and the pool then scores what is right."""
    tower = "5^{5^{5^{5^{%d}}}}"
    verifier = MathVerifier(seconds=0.5)
    verifier.verify([r"\boxed{x+1}"], [{"answer": "1+x"}])  # workers are up
    start = time.monotonic()
    verdicts = verifier.verify([rf"\boxed{{{tower % n}}}" for n in range(5, 69)], [{"answer": "42"}] * 64)
    took = time.monotonic() - start
    assert {verdict.status for verdict in verdicts} <= {"timeout", "memory"}
    assert all(verdict.score == 0.0 for verdict in verdicts)
    assert took < 64 / verifier.workers * 0.5 * 3 + 10
    # On a machine so busy that half a second is short for an honest comparison, a second one will do.
    after = verifier.verify([rf"\boxed{{\sqrt{{1764}} + {n} - {n}}}" for n in range(5)], [{"answer": "42"}] * 5)
    assert "correct" in {verdict.status for verdict in after}
    assert {verdict.status for verdict in after} <= {"correct", "timeout"}


def test_from_threads():
    """No signals, no event loop: any thread may call, and all at once."""
    verifier, found = MathVerifier(seconds=PATIENT), {}

    def call(number):
        rows = [{"answer": rf"\sqrt{{{number}}}"}] * 2
        found[number] = verifier.verify([rf"\boxed{{{number}^{{1/2}}}}", r"\boxed{0}"], rows)

    threads = [threading.Thread(target=call, args=(number,)) for number in (2, 3, 5, 7, 11, 13, 17, 19)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: [v.score for v in verdicts] for number, verdicts in found.items()} == {
        number: [1.0, 0.0] for number in (2, 3, 5, 7, 11, 13, 17, 19)
    }
