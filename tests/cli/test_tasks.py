"""`riskpo tasks`: the table, a row, a survey, files; and errors that say what to do."""

import argparse
import json

import pytest
from datasets import Dataset

from riskpo.cli.main import main
from riskpo.tasks.registry import DATA_TASKS, TASKS

QUESTIONS = [
    f"How many legs have {number} spiders and {number} cats together, if every one of them is whole?"
    for number in range(4)
]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder: four training problems with a repeat and a conflict, one of which a benchmark asks as well."""
    monkeypatch.delenv("RISKPO_DATA_DIR", raising=False)
    rows = [{"id": f"t{n}", "question": q, "answer": str(12 * n)} for n, q in enumerate(QUESTIONS)]
    rows += [{**rows[0], "id": "t4"}, {**rows[1], "id": "t5", "answer": "1"}]
    write(tmp_path / "math_train.jsonl", rows)
    write(tmp_path / "aime24.jsonl", [{"id": "b", "question": QUESTIONS[2] + " ", "answer": "24"}])
    return tmp_path


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tasks(*flags):
    return main(["tasks", *map(str, flags)])


def test_the_table(capsys):
    assert tasks() == 0
    said = capsys.readouterr().out
    for task in (*DATA_TASKS.values(), *TASKS.values()):
        (line,) = [line for line in said.splitlines() if line.split()[:1] == [task.name]]
        assert task.modality in line
        assert task.scorer in line
    assert "test 1319" in said
    assert "No hub id was run against the hub." in said


def test_show(data, capsys):
    assert tasks("show", "math", "--data-dir", data, "--row", 2, "--template", "dapo") == 0
    said = capsys.readouterr().out
    assert "template dapo (conversation); BytedTsinghua-SIA/DAPO-Math-17k (arXiv 2503.14476); read by math:dapo" in said
    assert "row 2 of 6, file math_train.jsonl" in said
    assert "prompt_id: math/t1" in said
    assert "Solve the following math problem step by step." in said


def test_show_downloads_nothing(data, monkeypatch, capsys):
    def fails(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fails)
    assert tasks("show", "gsm8k") == 0
    assert "no row shown: give --data-dir" in capsys.readouterr().out
    assert tasks("show", "chain") == 0
    assert "answer: " in capsys.readouterr().out


def test_check(data, capsys, tmp_path):
    assert tasks("check", "math", "--data-dir", data, "--json", tmp_path / "found.json") == 0
    said = capsys.readouterr().out
    assert "note: not compared with, no file: gsm8k/test, math/test, math500/test, aime25/test" in said
    assert "different questions: 4 by exact text, 4 with blanks ignored (2 repeats)" in said
    assert "questions with conflicting golds: 1 (t1, t5)" in said
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert (found["task"], found["split"], found["rows"], found["conflicts"]) == ("math", "train", 6, [["t1", "t5"]])
    # one of the benchmark's questions is in the set; three more rows are nearly it
    assert found["overlaps"] == [{"benchmark": "aime24/test", "same": 1, "asked": 1, "near": 0, "touching": 0}]


def test_check_all(data, capsys):
    assert tasks("check", "all", "--data-dir", data) == 0
    said = capsys.readouterr().out
    assert "math/train: 6 rows" in said
    assert "aime24/test: 1 rows" in said


def test_export(data, capsys, tmp_path):
    out = tmp_path / "math.parquet"
    assert tasks("export", "math", "--data-dir", data, "--format", "verl", "--output", out, "--decontaminate") == 0
    said = capsys.readouterr().out
    assert (
        "left out 4 of 6 rows: 2 of questions with conflicting golds, 1 that repeat another, 1 also in aime24/test"
        in said
    )
    assert "2 rows written to" in said
    assert [row["extra_info"]["prompt_id"] for row in Dataset.from_parquet(str(out))] == ["math/t0", "math/t3"]
    beside = json.loads((tmp_path / "math.parquet.source.json").read_text())
    assert beside["compared_with"] == ["aime24/test"]
    assert "minerva/test" in beside["not_compared_with"]
    assert tasks("export", "math", "--data-dir", data, "--format", "verl", "--output", out) == 2
    assert (
        tasks("export", "math", "--data-dir", data, "--format", "verl", "--output", out, "--overwrite", "--clean") == 0
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["show"], "riskpo tasks show needs the NAME of a task"),
        (["list", "math"], "riskpo tasks list takes no name"),
        (["show", "maths"], "unknown task 'maths'. Did you mean 'math'"),
        (["check", "chain"], "task chain makes its rows"),
        (["check", "all", "--split", "test"], "check all takes neither --data-file nor --split nor --revision"),
        (["check", "minerva", "--data-dir", "."], "no split of task minerva has its file in ."),
        (["export", "math"], "export needs --format (verl, trl, jsonl) and --output FILE."),
        (["show", "math", "--data-dir", "nowhere"], "--data-dir nowhere is not a folder"),
        (["show", "math", "--data-dir", ".", "--row", "7"], "--row must be in 1..6, got 7"),
        (["show", "math", "--templat", "x"], "unknown option '--templat'. Did you mean '--template'"),
        (["show", "aime25", "--data-dir", "."], "split test of task aime25 needs a file aime25.*"),
    ],
)
def test_errors(flags, message, data, monkeypatch, capsys):
    monkeypatch.chdir(data)
    assert tasks(*flags) == 2
    assert message in capsys.readouterr().err


def test_the_questions_of_an_evaluation(data):
    """A data set in a folder: its names, its scorer, its images open; and built-in tasks as before."""
    from PIL import Image

    from riskpo.cli import eval as verb

    Image.new("RGB", (30, 20), "red").save(data / "red.png")
    picture = {"id": "p", "question": "Find x.", "answer": "3", "image": "red.png"}
    write(data / "geometry3k_test.jsonl", [picture])
    flags = {"dataset": None, "split": None, "limit": 0, "limit_seed": 0, "data_dir": str(data), "template": None}
    flags |= {"data_file": None, "dataset_revision": None, "system_prompt": None}
    maths, drawn = verb._sets(argparse.Namespace(tasks="aime24,geometry3k", **flags))
    assert (maths.name, maths.judge.name, maths.questions[0].name) == ("aime24", "math:boxed", "aime24/b")
    assert maths.describe()["source"]["file"] == "aime24.jsonl"
    assert drawn.questions[0].images[0].size == (30, 20)
    (made,) = verb._sets(argparse.Namespace(tasks="chain", **{**flags, "limit": 5}))
    assert len(made.questions) == 5
