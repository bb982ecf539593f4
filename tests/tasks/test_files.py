"""Users' own files: every format loads, and everything broken is a DataError that says where."""

import gzip
import json
from pathlib import Path

import pytest
from datasets import Dataset

from riskpo.errors import DataError
from riskpo.tasks.files import is_local, load_rows

ROWS = [{"prompt": "2+3=", "answer": "5"}, {"prompt": "4*4=", "answer": "16"}]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """The loader keeps copies in the user's cache: not in that of whoever runs the tests."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", JSONL),
        ("rows.jsonl.gz", gzip.compress(JSONL, mtime=0)),
        ("rows.jsonl", b"\n" + JSONL.replace(b"\n", b"\r\n\n")[:-1]),
        ("rows.json", JSONL),
        ("rows.json", json.dumps(ROWS, indent=2).encode()),
    ],
)
def test_text_formats(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert load_rows(str(tmp_path / name)).to_list() == ROWS


def test_parquet(tmp_path):
    Dataset.from_list(ROWS).to_parquet(tmp_path / "rows.parquet")
    assert load_rows(str(tmp_path / "rows.parquet")).to_list() == ROWS


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(JSONL)
    assert len(load_rows(str(path))) == 2
    path.write_bytes(JSONL + b'{"prompt": "1+1=", "answer": "2"}\n')
    assert len(load_rows(str(path))) == 3


def test_answers_stay_as_they_were_written(tmp_path):
    """The JSON loader of `datasets` makes dates of such answers, and no completion would ever equal one."""
    rows = [{"prompt": "when?", "answer": "2020-01-01"}, {"prompt": "of what?", "answer": "007", "level": 3}]
    (tmp_path / "rows.jsonl").write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert load_rows(str(tmp_path / "rows.jsonl")).to_list() == [{**rows[0], "level": None}, rows[1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", JSONL + b"\n{oops\n", r"a\.jsonl, line 4: not JSON \(Expecting property name"),
        ("a.jsonl.gz", gzip.compress(JSONL + b"[1]\n", mtime=0), r"a\.jsonl\.gz, line 3: expected an object, got list"),
        ("a.jsonl", b"5\n", r"line 1: expected an object, got int"),
        ("a.jsonl", b"", r"a\.jsonl is empty"),
        ("a.jsonl", b"\n\n", r"a\.jsonl holds no rows"),
        (
            "a.jsonl",
            JSONL + b'\n{"prompt": [{"role": "user", "content": "1+1="}]}\n',
            r"a\.jsonl, line 4: the prompt is a conversation, that of line 1 a text: all must be of one kind",
        ),
        ("a.jsonl", JSONL + b'{"prompt": 5}\n', r"line 3: the prompt is neither a text nor a conversation: int\."),
        ("a.jsonl", JSONL + b'{"prompt": null}\n', r"line 3: the prompt is neither a text nor a conversation: null\."),
        (
            "a.jsonl",
            b'{"answer": "1"}\n{"answer": 2}\n',
            r"a\.jsonl, row 2: `answer` is a number, that of row 1 a text",
        ),
        ("a.jsonl", b'{"prompt": "\xe9"}\n', r"a\.jsonl could not be read as json: 'utf-8' codec can't decode"),
        ("a.jsonl.gz", b"plain text", r"a\.jsonl\.gz could not be read as json: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(JSONL * 99, mtime=0)[:40], r"could not be read as json: Compressed file ended"),
        ("a.parquet", b"PAR1????", r"a\.parquet could not be read as parquet"),
        (
            "a.csv",
            b"prompt,answer\n",
            r"cannot tell the format of .*a\.csv: name it \*\.jsonl, \*\.json or \*\.parquet",
        ),
        ("a", b"x", r"cannot tell the format"),
    ],
)
def test_broken_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_rows(str(tmp_path / name))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.jsonl does not exist"):
        load_rows(str(tmp_path / "nothing.jsonl"))


def test_is_local(tmp_path):
    """A hub id has no suffix of a data file and is no path that exists."""
    assert is_local("nowhere/rows.jsonl.gz")
    assert is_local("rows.parquet")
    assert is_local(str(tmp_path))
    assert not is_local("openai/gsm8k")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no folder shared/data beside the repository")
def test_real_data():
    rows = load_rows(str(SHARED / "gsm8k_test.jsonl"))
    assert len(rows) == 1319
