"""Files of a run: what is passed over with a note, and what is an error with file and line."""

import json

import pytest

from riskpo.errors import DataError
from riskpo.runs.files import read_metrics, read_object

ROWS = [{"step": 1, "reward": 0.1}, {"step": 2, "loss": None}]


def test_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert (read_metrics(path).rows, read_metrics(path).notes) == (ROWS, [])


@pytest.mark.parametrize(
    ("text", "rows", "notes"),
    [
        ('{"step": 1}\n\n  \n{"step": 2}\n', 2, []),
        ('{"step": 1}\n{"ste', 1, ["the last line of metrics.jsonl (line 2) is not whole, and was left out"]),
        ('{"step": 1}', 0, ["the last line of metrics.jsonl (line 1) is not whole, and was left out"]),
        ("", 0, ["metrics.jsonl is empty: nothing was logged yet"]),
        ("\n\n", 0, ["metrics.jsonl is empty: nothing was logged yet"]),
        (None, 0, ["metrics.jsonl is missing: nothing was logged yet"]),
    ],
)
def test_what_is_passed_over(tmp_path, text, rows, notes):
    path = tmp_path / "metrics.jsonl"
    if text is not None:
        path.write_text(text)
    found = read_metrics(path)
    assert (len(found.rows), found.notes) == (rows, notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"step": 1}\n\nno\n', "metrics.jsonl, line 3: not JSON"),
        (b"[1]\n", "metrics.jsonl, line 1: expected an object, got list"),
        (b'{"step": 1.5}\n', "metrics.jsonl, line 1: expected an object with a whole number `step`"),
        (b"[" * 100_000 + b"\n", "metrics.jsonl, line 1: not JSON"),
        (b"\xff\n", "metrics.jsonl could not be read"),
    ],
)
def test_what_is_none(tmp_path, content, said):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_metrics(path)


def test_steps_that_need_not_be(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"reward": 1}\n')
    assert read_metrics(path, steps=False).rows == [{"reward": 1}]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"])
def test_objects(tmp_path, content):
    path = tmp_path / "arguments.json"
    path.write_bytes(b'{"a": 1}')
    assert read_object(path) == {"a": 1}
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"arguments\.json"):
        read_object(path)
