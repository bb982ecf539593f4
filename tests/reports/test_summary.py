"""The table at the end of a run: numbers by hand, and eighty columns."""

import io
import json
import math
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from riskpo.evaluation.intervals import question_interval
from riskpo.reports.summary import compare, describe_method, summarise, table_of
from riskpo.runs.arguments import plan_new

BEFORE = {"correct": [0, 1, 2, 4], "samples": 4, "entropy": 1.25}
AFTER = {"correct": [1, 2, 3, 4], "samples": 4, "entropy": 0.5}


def printed(thing):
    console = Console(file=io.StringIO(), width=80)
    console.print(thing)
    return console.file.getvalue()


def test_compare_by_hand():
    values = compare(BEFORE, AFTER, [1, 2, 4])
    assert (values["questions"], values["samples"]) == (4, 4)
    assert values["entropy"] == {"before": 1.25, "after": 0.5}
    assert values["pass@1"]["before"]["mean"] == pytest.approx((0 + 1 / 4 + 2 / 4 + 1) / 4)
    assert values["pass@1"]["after"]["mean"] == pytest.approx((1 / 4 + 2 / 4 + 3 / 4 + 1) / 4)
    # Both draws wrong: 3 of 6 with one right, 1 of 6 with two, none with three.
    assert values["pass@2"]["before"]["mean"] == pytest.approx((0 + 1 / 2 + 5 / 6 + 1) / 4)
    assert values["pass@2"]["change"]["mean"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 6 + 0) / 4)
    assert values["pass@4"]["change"]["mean"] == pytest.approx(1 / 4)
    # The changes 1, 0, 0, 0 have the variance 3/16; the error is sqrt((4 * 3/16 + 1/2) / 3 / 4), t of 3 is 3.1824.
    change = 3.182446 * math.sqrt((4 * 3 / 16 + 1 / 2) / 12)
    assert values["pass@4"]["change"] == pytest.approx({"mean": 0.25, "low": 0.25 - change, "high": 1.0}, abs=1e-5)
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize("swap", [False, True])
def test_the_table_fits_eighty_columns(swap):
    """Every row on one line, also where all is lost or won and the numbers are at their longest."""
    none, all_right = ({"correct": [right] * 4, "samples": 4, "entropy": 12.5} for right in (0, 4))
    values = compare(all_right, none, [1, 4]) if swap else compare(none, all_right, [1, 4])
    lines = printed(table_of({**values, "pass@32": values["pass@4"]})).splitlines()
    rows = [line.split(maxsplit=1)[0] for line in lines if "[" in line or "12.500" in line]
    assert rows == ["pass@1", "pass@4", "pass@32", "entropy"]


def test_the_table_by_hand():
    lines = [line.split() for line in printed(table_of(compare(BEFORE, AFTER, [4]))).splitlines()]
    (row,) = [line for line in lines if line[:1] == ["pass@4"]]
    assert (row[1], row[4], row[7:]) == (".750", "1.000", ["+.250", "[-.777,", "1.000]"])
    assert [float(row[place].strip("[,]")) for place in (2, 3)] == pytest.approx(
        [round(bound, 3) for bound in (question_interval([0, 1, 1, 1]).low, question_interval([0, 1, 1, 1]).high)]
    )
    assert ["entropy", "1.250", ".500", "-.750"] in lines
    assert ["4", "held-out", "prompts", "x", "4", "samples;", "95", "%"] in [line[:8] for line in lines]


def test_one_question_has_no_interval():
    one = {"correct": [2], "samples": 4, "entropy": 1.0}
    values = compare(one, one, [1])
    assert values["pass@1"]["change"] == {"mean": 0.0, "low": None, "high": None}
    assert ["pass@1", ".500", ".500", "+.000"] in [line.split() for line in printed(table_of(values)).splitlines()]


def test_the_method_in_a_line():
    plan = plan_new("quickstart", None, ["--preset", "paper", "--seed", "7", "--learning_rate", "1e-5"])
    said = describe_method(plan)
    assert said.startswith("RiskPO, mvar(0.2, 0.8), B=5, random composition, random pairing, baseline anchor")
    assert said.endswith("lr 1e-05, seed 7")


@pytest.mark.parametrize("before", [BEFORE, None])
def test_summarise(tmp_path, before):
    """A run that was stopped before its first evaluation has no comparison, but a summary."""
    started = datetime.now(timezone.utc) - timedelta(minutes=2)
    (tmp_path / "environment.json").write_text(json.dumps({"started": started.isoformat()}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "reward": 0.5}\n{"step": 4, "reward": 0.5}\n')
    console = Console(file=io.StringIO(), width=80)
    plan = plan_new("quickstart", None, ["--eval_ks", "1", "4"])
    summarise(tmp_path, plan, 5, before, AFTER, console)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["method"] == describe_method(plan)
    assert summary["steps"] == 5, "the steps that were made, not the last that was logged"
    assert 120 <= summary["wall_seconds"] < 150
    assert summary.get("evaluation") == (compare(BEFORE, AFTER, [1, 4]) if before else None)
    assert (tmp_path / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert str(tmp_path) in console.file.getvalue()
    assert ("pass@4" in console.file.getvalue()) == bool(before)
