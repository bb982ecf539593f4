"""Logs of runs: windows, scatter, files that are none."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.diagnosis.log import as_log, read_run, scatter, window
from riskpo.errors import DataError


def test_several_updates_of_a_generation():
    """Rewards stand in every other row; every gradient counts, and steps belong to their values."""
    rows = [{"step": n, "loss": 0.1, "grad_norm": 1.0, **({"reward": n / 10} if n % 2 else {})} for n in range(6)]
    log = as_log([*rows, {"step": 5, "eval_loss": 0.3}])
    assert log.series("reward") == [0.1, 0.3, 0.5]
    assert log.steps_of("reward") == [1.0, 3.0, 5.0]
    assert log.rows == 3
    assert len(log.series("grad_norm")) == 6


def test_windows():
    assert [window(rows) for rows in (10, 49, 59, 60, 200)] == [5, 5, 5, 6, 20]
    log = as_log([{"step": n, "reward": float(n)} for n in range(60)])
    assert log.head("reward") == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert log.tail("reward") == [54.0, 55.0, 56.0, 57.0, 58.0, 59.0]


def test_rows_without_a_reward_are_left_out_and_what_is_no_number_is_none():
    log = as_log([{"step": 1, "reward": 0.5, "x": None, "y": True, "z": "a"}, {"eval_loss": 1.0, "step": 1}])
    assert set(log.columns) == {"step", "reward", "x"}
    assert log.rows == 1
    assert math.isnan(log.columns["x"][0])
    assert not log.has("x")


@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=50), st.floats(-3.0, 3.0))
def test_scatter_does_not_see_a_level(values, shift):
    assert scatter([value + shift for value in values]) == pytest.approx(scatter(values), abs=1e-9)


def test_scatter_of_known_values():
    """A jump between a and b at every step: (b - a) / sqrt 2; a slope s: s / sqrt 2, however long it goes on."""
    assert scatter([0.0, 1.0] * 10) == pytest.approx(2**-0.5)
    assert scatter([0.01 * n for n in range(100)]) == pytest.approx(0.01 * 2**-0.5)
    assert scatter([1.0]) == math.inf


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "holds no metrics.jsonl"),
        ("{\n", "line 1: not JSON"),
        ('{"step": 1, "reward": "0.3"}\n', "holds no row with a number `reward`"),
        ("[1]\n", "line 1: expected an object, got list"),
        ('{"step": 1}\n', "holds no row with a number `reward`"),
        ("", "holds no row with a number `reward`"),
    ],
)
def test_files_that_are_no_log(tmp_path, lines, said):
    if lines is not None:
        (tmp_path / "metrics.jsonl").write_text(lines)
    with pytest.raises(DataError, match=said):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"reward_range": [0', "arguments.json could not be read"),
        ("[1]", "arguments.json holds a list, expected an object"),
        ('{"reward_range": [1, 1]}', r"reward_range must be two finite numbers, the smaller first, got \[1, 1\]"),
        ('{"reward_range": [null, null]}', "reward_range must be two finite numbers"),
        ('{"reward_range": [0, Infinity]}', "reward_range must be two finite numbers"),
        ('{"reward_range": 0}', "reward_range must be two finite numbers"),
        ('{"max_grad_norm": "x"}', "max_grad_norm must be a number, got 'x'"),
        ('{"reward_weights": 3}', "reward_weights must be a list of numbers, got 3"),
    ],
)
def test_arguments_that_are_none(tmp_path, arguments, said):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n')
    (tmp_path / "arguments.json").write_text(arguments)
    with pytest.raises(DataError, match=said):
        read_run(tmp_path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl could not be read"):
        read_run(tmp_path)


def test_windows_are_of_rows_not_of_finite_values():
    values = [None if n in (1, 2) else float(n) for n in range(30)]
    rows = [{"step": n, "reward": values[n] if n < 27 else None} for n in range(30)]
    log = as_log(rows)
    assert log.rows == 30
    assert log.head("reward") == [0.0, 3.0, 4.0]
    assert log.tail("reward") == [25.0, 26.0]
    assert log.tail_left_out("reward") == 3
    assert as_log([{"step": n, "reward": None} for n in range(4)]).rows == 4


def test_a_line_that_is_being_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "reward": 0.5}\n{"step": 2, "rew')
    assert read_run(path).columns == {"step": [1.0], "reward": [0.5]}


def test_what_completions_say(tmp_path):
    """Prompt a: right down (its advantage is below the prompt's mean), wrong up; prompt b: as it should be."""
    from datasets import Dataset

    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "reward": 0.5}) + "\n")
    (tmp_path / "arguments.json").write_text(json.dumps({"reward_range": [0.0, 1.0], "reward_weights": None}))
    (tmp_path / "completions").mkdir()
    table = {
        "step": [1] * 4,
        "prompt": ["a", "a", "b", "b"],
        "completion": ["1", "2", "3", "4"],
        "correct": [1.0, 0.0, 1.0, 0.0],
        "advantage": [-0.2, -0.1, 0.3, -0.3],
    }
    Dataset.from_dict(table).to_parquet(str(tmp_path / "completions" / "completions_00001.parquet"))
    assert read_run(tmp_path).moved == {"right": 2.0, "wrong": 2.0, "right_down": 1.0, "wrong_up": 1.0}
    assert read_run(tmp_path / "metrics.jsonl").rows == 1
    half = tmp_path / "completions" / "completions_00002.parquet"  # of a run that was killed while it wrote
    half.write_bytes((tmp_path / "completions" / "completions_00001.parquet").read_bytes()[:300])
    assert read_run(tmp_path).moved == {"right": 2.0, "wrong": 2.0, "right_down": 1.0, "wrong_up": 1.0}
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "after.json").write_text("{}")  # a file of a finished run is broken otherwise: one check less
    broken = read_run(tmp_path)
    assert (broken.rows, broken.moved) == (1, {})
    assert "completions_00002.parquet could not be read" in broken.unread
    half.unlink()
    (tmp_path / "arguments.json").write_text(json.dumps({"reward_weights": [2.0]}))
    assert read_run(tmp_path).moved == {}
