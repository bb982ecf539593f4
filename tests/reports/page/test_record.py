"""A run's folder as it is read: whole, half, or broken, with the file and line named."""

import json

import pytest

from riskpo.errors import DataError
from riskpo.reports.page.record import named_apart, read_record
from tests.reports.page.made_runs import made_run


def test_a_finished_run(tmp_path):
    record = read_record(made_run(tmp_path / "run"))
    assert (record.name, record.last_step, record.planned_steps) == ("run", 20, 20)
    assert record.own.config.pairing == "exact"
    assert list(record.evaluations) == ["after", "before"]
    assert [path.name for path in record.completion_files] == [
        f"completions_{n:05d}.parquet" for n in (4, 8, 12, 16, 20)
    ]
    assert record.notes == []


def test_a_run_that_goes_on(tmp_path):
    folder = made_run(tmp_path / "run", steps=7)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "rew')
    record = read_record(folder)
    assert record.last_step == 7
    assert record.notes == [
        "the last line of metrics.jsonl (line 8) is not whole, and was left out",
        "not finished: step 7 of 20 is the last one logged",
    ]


def test_a_file_that_is_being_written(tmp_path):
    """Of a run that goes on it is left out; in a finished one it is an error, when it is read."""
    for steps, left in ((8, 1), (20, 5)):
        folder = made_run(tmp_path / f"run{steps}", steps=steps)
        last = folder / "completions" / f"completions_{steps:05d}.parquet"
        last.write_bytes(last.read_bytes()[:-50])
        record = read_record(folder)
        assert len(record.completion_files) == left
        assert (f"{last.name} is not whole, and was left out: it was being written" in record.notes) == (steps == 8)


@pytest.mark.parametrize("arguments", [{"max_steps": -1}, {"max_steps": 8}])
def test_a_run_that_died_while_it_wrote_its_last_file(tmp_path, arguments):
    """Planned by epochs, or after the last step, before the evaluation."""
    folder = made_run(tmp_path / "run", steps=8, arguments=arguments)
    (folder / "eval" / "after.json").unlink(missing_ok=True)
    last = folder / "completions" / "completions_00008.parquet"
    last.write_bytes(last.read_bytes()[:300])
    record = read_record(folder)
    assert [path.name for path in record.completion_files] == ["completions_00004.parquet"]
    assert record.notes == [f"{last.name} is not whole, and was left out: it was being written"]


def test_numbers_that_are_none_are_noted(tmp_path):
    folder = made_run(tmp_path / "run")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows[8:]:
        row |= {"reward": None, "grad_norm": float("inf")}
    del rows[0]["reward"]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_record(folder).notes == [
        "reward not finite in 12 of 19 rows, first at step 9: lines and tables leave these out",
        "grad_norm not finite in 12 of 20 rows, first at step 9: lines and tables leave these out",
    ]


def test_an_empty_file_of_metrics_is_noted(tmp_path):
    folder = made_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_text("")
    assert read_record(folder).notes == ["metrics.jsonl is empty: nothing was logged yet"]


def test_a_run_that_has_just_begun(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("task: chain\n")
    record = read_record(folder)
    assert (record.last_step, record.own, record.metrics) == (0, None, [])
    assert [note.split(":")[0] for note in record.notes] == [
        "arguments.json is missing",
        "environment.json is missing",
        "metrics.jsonl is missing",
        "no completions were logged (completions_every)",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.jsonl", '{"step": 1}\nnot json\n{"step": 3}\n', "metrics.jsonl, line 2: not JSON"),
        ("metrics.jsonl", '{"step": 1}\n\n{"reward": 3}\n', "metrics.jsonl, line 3: expected an object with a whole"),
        ("metrics.jsonl", "[1]\n", "metrics.jsonl, line 1: expected an object"),
        ("config.yaml", "a: [", "config.yaml could not be read"),
        ("config.yaml", "- a\n", "config.yaml holds a list"),
        ("arguments.json", "{", "arguments.json could not be read"),
        ("arguments.json", '{"risk_low": 2}', "arguments.json does not hold the options of an estimator"),
        ("environment.json", "[]", "environment.json holds a list"),
        ("eval/after.json", "{}", "after.json: expected `samples`"),
        ("eval/after.json", '{"samples": 4, "correct": [5]}', "after.json: expected `samples`"),
        ("eval/before.json", "{", "before.json could not be read"),
    ],
)
def test_broken_files_are_named(tmp_path, name, text, message):
    folder = made_run(tmp_path / "run")
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read_record(folder)


def test_bytes_that_are_no_text(tmp_path):
    folder = made_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl could not be read"):
        read_record(folder)


def test_folders_of_something_else(tmp_path):
    with pytest.raises(DataError, match="does not exist: give the folder of a run"):
        read_record(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        read_record(tmp_path / "file")
    (tmp_path / "verl").mkdir()
    (tmp_path / "verl" / "1.jsonl").write_text(json.dumps({"input": "a", "output": "b", "score": 1}))
    with pytest.raises(DataError, match=r"no config\.yaml\. It holds rollouts: riskpo audit"):
        read_record(tmp_path / "verl")


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [made_run(tmp_path / part / "run") for part in "abc"]
    assert [record.name for record in named_apart(list(map(read_record, folders)))] == ["run", "run (2)", "run (3)"]
