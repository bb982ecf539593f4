"""Rows of the table of completions, and which of them a page shows."""

import math

import pytest
import torch

from riskpo.errors import DataError
from riskpo.reports.page.record import read_record
from riskpo.reports.page.rows import MOST_TEXT, Rows, groups_of, read_rows, sample_rows, text_of
from riskpo.rollouts.files import read_table
from tests.reports.page.made_runs import completion_rows, made_run, write_completions


def rows_with(**columns):
    """Rows of as many as the columns given have; the others hold nothing."""
    count = len(next(iter(columns.values())))
    empty = {
        "run": [0] * count,
        "step": [1] * count,
        **{name: [math.nan] * count for name in ("reward", "advantage", "logprob")},
        **{name: [""] * count for name in ("prompt", "answer", "completion", "found", "reason", "bundle")},
        "verdict": ["wrong"] * count,
    }
    return Rows(**(empty | columns))


def rows_of(folder, run=0):
    record = read_record(folder)
    return read_rows(record, run, list(map(read_table, record.completion_files)))


def test_rows_of_a_run(tmp_path):
    rows = rows_of(made_run(tmp_path / "run"), 3)
    expected = completion_rows(4)
    assert len(rows) == 5 * 32
    assert rows.run == [3] * len(rows)
    assert rows.step[:33] == [4] * 32 + [8]
    for name, column in (("completion", "completion"), ("verdict", "verdict"), ("found", "verdict_answer")):
        assert getattr(rows, name)[:32] == [row[column] for row in expected]
    assert rows.reward[:32] == [row["reward_of_test"] for row in expected]
    assert rows.answer[0] == "7"


def test_verdicts_where_the_reward_gives_none(tmp_path):
    folder = made_run(tmp_path / "run", steps=4)
    plain = [{k: v for k, v in row.items() if "verdict" not in k} for row in completion_rows(4)[:4]]
    for row, reward in zip(plain, (0.0, 1.0, 0.5, None), strict=True):
        row["reward_of_test"] = reward
    write_completions(folder, 4, plain)
    rows = rows_of(folder)
    assert rows.verdict == ["wrong", "correct", "partial", "not judged"]
    assert math.isnan(rows.reward[3])


def test_weighted_rewards(tmp_path):
    folder = made_run(tmp_path / "run", steps=4, arguments={"reward_weights": [1.0, 0.5], "reward_range": [0.0, 1.5]})
    given = [{"form": 1.0, **row} for row in completion_rows(4)]
    ordered = [{"reward_of_test": row.pop("reward_of_test"), **row} for row in given]
    write_completions(folder, 4, ordered)
    rows = rows_of(folder)
    assert rows.reward == [row["reward_of_test"] + 0.5 for row in ordered]
    write_completions(folder, 4, completion_rows(4))
    with pytest.raises(DataError, match=r"1 columns of numbers .* the run weighed 2 rewards"):
        rows_of(folder)


def test_another_trainers_files(tmp_path):
    folder = made_run(tmp_path / "run", steps=4)
    (folder / "completions" / "1.jsonl").write_text('{"input": "a", "output": "b", "score": 1}\n')
    with pytest.raises(DataError, match=r"1\.jsonl is no file of completions of a run"):
        rows_of(folder)


def test_a_broken_file_and_a_broken_value(tmp_path):
    folder = made_run(tmp_path / "run")
    write_completions(folder, 4, [{**row, "advantage": "high"} for row in completion_rows(4)])
    with pytest.raises(DataError, match=r"completions_00004\.parquet, row 1: `advantage` must be a number"):
        rows_of(folder)
    (folder / "completions" / "completions_00004.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match=r"completions_00004\.parquet could not be read as parquet"):
        rows_of(folder)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("a", "a"),
        ([{"role": "assistant", "content": "yes"}], "yes"),
        ([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], "[system]\ns\n\n[user]\nu"),
        ([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}], "[image] what?"),
        ({"a": 1}, '{"a": 1}'),
        ([1], "[1]"),
    ],
)
def test_texts(value, text):
    assert text_of(value) == text


def test_a_long_text_keeps_both_ends():
    text = text_of("a" * 500_000 + "b" * 500_000)
    assert len(text) < MOST_TEXT + 100
    assert text.startswith("aaa")
    assert text.endswith("bbb")
    assert "980000 of 1000000 characters left out" in text


def test_groups_by_hand():
    rows = rows_with(
        step=[1, 1, 1, 1, 2, 2], prompt=["a", "a", "b", "c", "a", "b"], bundle=["1", "1", "0.3", "", "", ""]
    )
    groups = groups_of(rows, 0)
    assert list(groups) == [1], "step 2 says nothing"
    assert torch.equal(groups[1], torch.tensor([1, 0, -1]))
    assert groups_of(rows, 1) == {}


def test_a_sample_takes_failures_and_extremes_first():
    verdicts = ["wrong"] * 1000
    verdicts[500] = verdicts[501] = "timeout"
    advantages = [0.1 * (-1) ** place for place in range(1000)]
    advantages[77], advantages[88] = 5.0, -5.0
    completions = ["four"] * 1000
    completions[99], completions[111] = "much longer", "x"
    logprobs = [-1.0] * 1000
    logprobs[123] = -50.0
    rows = rows_with(verdict=verdicts, advantage=advantages, completion=completions, logprob=logprobs)
    sample = sample_rows(rows, 50, seed=0)
    assert {500, 501, 77, 88, 99, 111, 123} <= set(sample.places)
    assert (sample.failures, sample.extremes, sample.drawn, sample.of) == (2, 5, 43, 1000)
    assert sample.places == sorted(set(sample.places))
    assert sample_rows(rows, 50, seed=0) == sample
    assert sample_rows(rows, 50, seed=1).places != sample.places


def test_failures_leave_room_for_others():
    rows = rows_with(verdict=["timeout"] * 900 + ["correct"] * 100)
    sample = sample_rows(rows, 100, seed=0)
    assert len(sample.places) == 100
    assert sample.failures == 50


@pytest.mark.parametrize("most", [0, 1, 2, 9, 10, 11])
def test_a_sample_has_as_many_as_it_may(most):
    rows = rows_with(verdict=["correct", "timeout"] * 5)
    sample = sample_rows(rows, most, seed=0)
    assert len(sample.places) == len(set(sample.places)) == min(most, 10)
