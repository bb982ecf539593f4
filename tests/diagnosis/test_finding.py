"""Findings: order, exit status, one shape for all."""

import itertools
import re
from pathlib import Path

import pytest

from riskpo.diagnosis.finding import LEVELS, Finding, Skipped, diagnosis, fails, worst_first

ROOT = Path(__file__).resolve().parent.parent.parent


def finding(level, evidence="It is so."):
    return Finding(level, f"code_{level}", evidence, "Change it.", "docs/doctor.md")


def test_worst_first():
    for order in itertools.permutations(LEVELS):
        assert tuple(one.level for one in worst_first(map(finding, order))) == LEVELS


@pytest.mark.parametrize(("worst", "failing"), [("error", 3), ("warning", 2), ("note", 1)])
def test_fails(worst, failing):
    """A finding fails at its own level and at milder ones."""
    statuses = [fails([finding(worst)], level) for level in LEVELS]
    assert statuses == [False] * (3 - failing) + [True] * failing
    assert not fails([finding(worst)], "never")
    assert not any(fails([], level) for level in LEVELS)


def test_text_is_one_paragraph():
    assert finding("note").text == "It is so. Change it."
    assert finding("note", "So it is (a, b)").text == "So it is (a, b): Change it."


def test_diagnosis():
    outcomes = [("a", None), ("b", finding("note")), ("c", Skipped("c", "a field")), ("d", finding("error"))]
    found = diagnosis("run", "x", outcomes)
    assert found.checked == ("a", "b", "d")
    assert [one.level for one in found.findings] == ["error", "note"]
    assert found.as_json()["skipped"] == ({"check": "c", "missing": "a field"},)


def test_every_finding_is_documented():
    """Each page and heading that the code names is there."""
    named = set()
    for path in (ROOT / "src/riskpo").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= {(page, heading) for page, heading in re.findall(r'"(docs/\w+\.md)#([\w-]+)"', text)}
        if match := re.search(r'^PAGE = "(docs/\w+\.md)"$', text, re.MULTILINE):
            named |= {(match[1], heading) for heading in re.findall(r"\{PAGE\}#([\w-]+)", text)}
    assert len(named) > 25
    for page, heading in named:
        lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
        headings = {
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines if line[:1] == "#"
        }
        assert heading in headings, (page, heading)


def test_skipped_is_the_least_that_fails():
    assert fails([], "skipped", [Skipped("c", "a field")])
    assert fails([finding("note")], "skipped")
    assert not fails([], "skipped")
    assert not fails([], "note", [Skipped("c", "a field")])
