"""docs/security.md says what the code does: every limit with its default, every call it names, every sandbox."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from riskpo.rewards.sandbox import EXECUTION_STATUSES, NAMES, Limits
from riskpo.rewards.sandboxes import bubblewrap, jail, seccomp, supervise

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("limit", dataclasses.fields(Limits), ids=lambda limit: limit.name)
def test_limits(limit):
    row = re.search(rf"^\| `{limit.name}` \| (\S+) \|", PAGE, re.MULTILINE)
    assert row, limit.name
    assert row[1] == repr(limit.default)


def test_no_other_limits():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == {limit.name for limit in dataclasses.fields(Limits)}
    assert rows & set(EXECUTION_STATUSES) == set()


def test_refused_calls():
    row = next(line for line in PAGE.splitlines() if "exploits like" in line)
    named = [name for name in re.findall(r"`(\w+)`", row) if name != "io_uring"]
    calls = seccomp.denied("x86_64")
    assert set(named) <= set(calls)
    assert "io_uring_setup" in calls
    more = int(re.search(r"about (\d+) more", row)[1])
    assert abs(len(calls) - len(named) - more) <= 10


def test_names_and_numbers():
    for name in NAMES:
        assert f"`{name}`" in PAGE
    assert f"user {jail.UID}" in PAGE
    assert f"takes at most {supervise.START_SECONDS:g} s, and is tried four times in all" in PAGE
    assert len(bubblewrap.PAUSES) + 1 == 4
