"""Training data: what is empty, missing, repeated, contradicted, or a benchmark's."""

import dataclasses

import pytest

from riskpo.diagnosis.data import CHECKS, Seen, check_data, seen_in_rows
from riskpo.diagnosis.finding import Skipped
from riskpo.tasks.base import Item
from riskpo.tasks.overlap import Benchmark
from riskpo.tasks.survey import Overlap

LONG = " ".join(f"word{number}" for number in range(30))
BENCHMARK = Benchmark("a/test", [Item("What is 2 + 2?", "4"), Item(LONG, "1")])


def codes(rows, benchmarks=()):
    found = check_data(seen_in_rows(rows, "answer", benchmarks), "rows")
    return {(finding.level, finding.code) for finding in found.findings}


def test_clean_rows():
    rows = [{"prompt": f"{n} + 1?", "answer": str(n + 1)} for n in range(5)]
    found = check_data(seen_in_rows(rows, "answer", [BENCHMARK]), "rows")
    assert found.findings == ()
    assert found.skipped == (Skipped("known_defects", "the name of a task"),)
    assert found.facts == {"rows": "5", "different questions": "5", "compared with": "a/test"}


def test_what_can_be_wrong_with_rows():
    rows = [
        {"prompt": "1 + 1?", "answer": "2"},
        {"prompt": "1+1?", "answer": "2.0"},  # a repeat, blanks ignored
        {"prompt": "1 + 2?", "answer": "3"},
        {"prompt": "1 + 2?", "answer": "4"},
        {"prompt": " ", "answer": "5"},
        {"prompt": "1 + 3?", "answer": None},
        {"prompt": [{"role": "user", "content": "What is 2 + 2?"}], "answer": "4"},
        {"prompt": LONG + " more", "answer": "1"},
    ]
    seen = seen_in_rows(rows, "answer", [BENCHMARK])
    assert seen == Seen(8, 5, ("row 5",), ("row 6",), (("row 3", "row 4"),), None, (Overlap("a/test", 1, 1, 1, 0),))
    assert codes(rows, [BENCHMARK]) == {
        ("error", "empty_prompts"),
        ("warning", "missing_golds"),
        ("note", "repeats"),
        ("warning", "conflicts"),
        ("warning", "benchmark_questions"),
    }
    (repeats,) = [f for f in check_data(seen, "rows").findings if f.code == "repeats"]
    assert repeats.evidence.startswith("2 of 8 rows")


def test_tests_are_a_gold():
    rows = [{"prompt": f"write {n}", "tests": ["assert f() == 1"]} for n in range(3)]
    assert codes(rows) == set()
    assert codes([*rows, {"prompt": "write 4", "tests": None}]) == {("warning", "missing_golds")}


def test_no_golds_at_all_is_skipped():
    found = check_data(seen_in_rows([{"prompt": "a"}, {"prompt": "b"}], "answer", []), "rows")
    assert {one.check for one in found.skipped} == {
        "missing_golds",
        "conflicts",
        "known_defects",
        "benchmark_questions",
    }


@pytest.mark.parametrize(("missing", "level"), [(5, "warning"), (6, "error")])
def test_missing_golds_are_an_error_from_half_of_the_rows(missing, level):
    seen = Seen(10, 10, (), tuple(map(str, range(missing))), (), None, None)
    assert CHECKS["missing_golds"](seen).level == level


def test_a_question_that_only_overlaps_is_a_note():
    seen = Seen(10, 10, (), (), (), (("r1", "why"),), (Overlap("a/test", 0, 0, 3, 9),))
    assert CHECKS["benchmark_questions"](seen).level == "note"
    none = dataclasses.replace(seen, overlaps=(Overlap("a/test", 0, 0, 0, 9),))
    assert CHECKS["benchmark_questions"](none) is None
    assert "r1: why" in CHECKS["known_defects"](seen).evidence


def test_a_row_without_a_gold_is_no_conflict():
    rows = [{"prompt": "1 + 1?", "answer": gold} for gold in ("2", "", None)]
    assert codes(rows) == {("error", "missing_golds"), ("note", "repeats")}
    assert ("warning", "conflicts") in codes([*rows, {"prompt": "1 + 1?", "answer": "3"}])
