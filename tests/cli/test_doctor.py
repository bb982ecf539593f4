"""`riskpo doctor`: findings with numbers, exit status by --fail-on, errors that say what to do."""

import json
from pathlib import Path

import pytest

from riskpo.cli.main import main

RECORDED = Path(__file__).resolve().parent.parent.parent / "experiments" / "results" / "doctor"
SUMS = [{"prompt": f"{n} + {n}? End with Answer: N", "answer": str(2 * n)} for n in range(10, 40)]


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"

    def write(rows):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def doctor(*flags):
    return main(["doctor", "rewards", *map(str, flags)])


def kinds(path):
    return {(finding["level"], finding["code"]) for finding in json.loads(path.read_text())["findings"]}


def test_the_numeric_reward_has_the_holes_it_is_known_for(data, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert doctor("--data", data(SUMS), "--reward", "numeric", "--sample", 4, "--json", report) == 0
    said = capsys.readouterr().out
    assert "30 of 30 score 1" in said
    found = json.loads(report.read_text())
    slipped = {attack["name"] for attack in found["attacks"] if attack["full"]}
    assert {"negation", "reasoning", "unclosed", "plus or minus"} <= slipped
    assert not slipped & {"shotgun", "list", "retraction", "near miss", "interval", "empty"}
    assert kinds(report) == {("error", "attack")}


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 0), ("note", 1), ("never", 0)])
def test_fail_on(data, level, status):
    rows = [{**row, "prompt": row["prompt"].split(" End")[0]} for row in [*SUMS, SUMS[0]]]
    assert doctor("--data", data(rows), "--reward", "exact", "--sample", 2, "--fail-on", level) == status


def test_gold_answers_that_never_score(data, tmp_path, capsys):
    report = tmp_path / "report.json"
    rows = [
        *SUMS[:5],
        {"prompt": "a?", "answer": "five"},
        {"prompt": "a?", "answer": "6"},
        {"prompt": "b?", "answer": "7"},
    ]
    assert (
        doctor("--data", data(rows), "--reward", "numeric", "--sample", 2, "--json", report, "--fail-on", "warning")
        == 1
    )
    assert ("warning", "gold") in kinds(report)
    assert ("warning", "conflict") in kinds(report)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 8 gold answers do not score 1 as an answer (row 6)" in said
    assert "(rows 6, 7)" in said


def test_a_form_that_the_reward_does_not_read(data, tmp_path):
    report = tmp_path / "report.json"
    assert doctor("--data", data(SUMS), "--reward", "exact", "--sample", 2, "--json", report) == 0
    assert ("error", "form") in kinds(report)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--reward", "numerc"], "unknown reward 'numerc'. Did you mean 'numeric'?"),
        (["--reward", "exact", "--answer", "gold"], "needs the columns ['gold']"),
        (["--reward", "exact", "--sample", "0"], "--sample must be at least 1, got 0"),
        (["--reward", "exact", "--json", "/nowhere/x.json"], "the folder /nowhere does not exist"),
        (["--reward", "exact", "--fail-at", "error"], "Did you mean '--fail-on'?"),
    ],
)
def test_errors(data, capsys, flags, said):
    assert doctor("--data", data(SUMS), *flags) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_file_without_prompts(data, capsys):
    assert doctor("--data", data([{"text": "a", "answer": "1"}]), "--reward", "exact") == 2
    assert "neither the column prompt nor question; it has text, answer" in capsys.readouterr().err


# --- the other kinds ---


def look(*flags):
    return main(["doctor", *map(str, flags)])


@pytest.fixture
def recorded(tmp_path):
    """The folder of a recorded run: what the engine logged, as it logs it."""

    def make(kind, seed=1):
        values = json.loads((RECORDED / f"{kind}_seed{seed}.json").read_text())
        folder = tmp_path / "runs" / kind
        folder.mkdir(parents=True)
        names = list(values["metrics"])
        rows = [dict(zip(names, row, strict=True)) for row in zip(*values["metrics"].values(), strict=True)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "arguments.json").write_text(json.dumps(values["settings"]))
        return folder

    return make


@pytest.mark.parametrize(
    ("kind", "level", "status"),
    [
        ("healthy-exact", "note", 0),
        ("diverged", "error", 1),
        ("diverged", "never", 0),
        ("verifier-fails-on-3-in-10", "error", 0),
        ("verifier-fails-on-3-in-10", "warning", 1),
    ],
)
def test_a_recorded_run(recorded, kind, level, status):
    assert look("run", recorded(kind), "--fail-on", level) == status


def test_a_run_in_json_and_in_words(recorded, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert look("run", recorded("diverged"), "--json", report) == 0
    written, said = json.loads(report.read_text()), capsys.readouterr().out
    assert set(written) == {"schema", "riskpo", "what", "subject", "checked", "findings", "skipped", "facts"}
    assert (written["schema"], written["what"], written["subject"]) == (1, "run", "diverged")
    for finding in written["findings"]:
        assert set(finding) == {"level", "code", "evidence", "change", "documented", "about"}
        assert f"- {finding['level']}, {finding['code']}: {finding['evidence']}" in said
        assert f"({finding['documented']})" in said
    first = written["findings"][0]
    assert (first["level"], first["code"]) == ("error", "divergence")
    assert "it was 0.0012" in first["change"]
    assert {
        "check": "sign_flips",
        "missing": "completions/*.parquet with rewards of weight 1 and advantages",
    } in written["skipped"]
    assert "SKIPPED sign_flips: needs completions/*.parquet" in said


def test_config_says_what_train_will_say(capsys):
    assert look("config", "quickstart", "--fail-on", "note") == 0
    assert "findings: none." in capsys.readouterr().out
    unwise = ["quickstart", "--preset", "paper", "--learning_rate", "1e-3", "--bundle_size", "1"]
    assert look("config", *unwise, "--fail-on", "warning") == 1
    said = capsys.readouterr().out
    assert "warning, learning_rate" in said
    assert "warning, flat_window" in said
    assert main(["train", *unwise, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert planned.count("(docs/doctor.md#") == 2
    assert "note: Baseline anchor makes every advantage at most 0" in planned


def test_what_cannot_run_is_an_error(capsys):
    assert look("config", "quickstart", "--bundle_size", "100") == 2
    assert "cannot fill a bundle of 100" in capsys.readouterr().err
    assert look("config", "quickstart", "--bundle_sice", "4") == 2
    assert "Did you mean 'bundle_size'?" in capsys.readouterr().err


def test_env(tmp_path, capsys):
    report = tmp_path / "env.json"
    look("env", "--runs-dir", tmp_path / "runs", "--json", report)
    written = json.loads(report.read_text())
    assert {"python", "packages", "accelerators", "disk", "sandbox", "hub", "cores", "/dev/shm"} == set(
        written["facts"]
    )
    assert "torch" in written["facts"]["packages"]
    assert "env: this machine" in capsys.readouterr().out


def test_data_of_a_file(data, tmp_path, capsys):
    report = tmp_path / "data.json"
    assert look("data", data(SUMS), "--fail-on", "note") == 0
    rows = [*SUMS, {"prompt": SUMS[0]["prompt"], "answer": "0"}, {"prompt": "9 + 9?", "answer": ""}]
    assert look("data", data(rows), "--json", report, "--fail-on", "warning") == 1
    assert kinds(report) == {("warning", "conflicts"), ("warning", "missing_golds"), ("note", "repeats")}
    capsys.readouterr()
    assert look("data", data([{"prompt": row["prompt"]} for row in SUMS])) == 0
    assert (
        "SKIPPED missing_golds, conflicts: needs a column of gold answers (--answer), or tests"
        in capsys.readouterr().out
    )


def test_data_of_a_task(tmp_path, capsys):
    """GSM8K from a file in its own shape, compared with itself as a benchmark in the folder."""
    rows = [{"question": f"How many are {n} and {n}, I ask?", "answer": f"Add.\n#### {2 * n}"} for n in range(6)]
    for split, part in (("train", [*rows, rows[0]]), ("test", rows[:1])):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / f"gsm8k_{split}.jsonl").write_text(lines)
    report = tmp_path / "report.json"
    file = ["--data-file", tmp_path / "gsm8k_train.jsonl", "--split", "train"]
    assert look("data", "gsm8k", *file, "--json", report) == 0
    assert kinds(report) == {("note", "repeats")}
    written = json.loads(report.read_text())
    assert written["subject"] == "gsm8k/train"
    assert [one["check"] for one in written["skipped"]] == ["benchmark_questions"]
    assert (
        look("data", "gsm8k", "--split", "train", "--data-dir", tmp_path, "--json", report, "--fail-on", "warning") == 1
    )
    assert kinds(report) == {("note", "repeats"), ("warning", "benchmark_questions")}
    (finding,) = [one for one in json.loads(report.read_text())["findings"] if one["level"] == "warning"]
    assert "gsm8k/test 1 equal and 0 nearly" in finding["evidence"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["run", "nowhere"], "nowhere holds no metrics.jsonl"),
        (["run", "nowhere", "--jsn", "x"], "Did you mean '--json'?"),
        (["data", "gsm9k"], "unknown task 'gsm9k'. Did you mean 'gsm8k'?"),
        (["data", "gsm8k"], "Nothing is downloaded here"),
        (["data", "no.jsonl", "other.jsonl"], "one file or task at a time: got no.jsonl and other.jsonl"),
        (["run", "a", "b", "c"], "one run at a time: got a and b and c"),
        (["data", "gsm8k", "--answer", "x"], "--answer is a file's"),
        (["data", "."], ". is a folder: give a file in it"),
        (["data", "no.jsonl", "--split", "train"], "--split and --data-file are a task's"),
        (["config", "quickstrt"], "Did you mean 'quickstart'?"),
        (["env", "--json", "."], "--json . is a folder: name a file in it."),
        (["env", "--json", "/proc/x.json"], "--json /proc/x.json: /proc cannot be written"),
        (["env", "--json", "/nowhere/x.json"], "the folder /nowhere does not exist"),
    ],
)
def test_errors_of_the_other_kinds(tmp_path, monkeypatch, capsys, flags, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RISKPO_DATA_DIR", raising=False)
    assert look(*flags) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_golds_that_are_not_there_or_of_two_kinds(data, capsys):
    assert look("data", data(SUMS), "--answer", "gold") == 2
    assert "--answer gold" in (said := capsys.readouterr().err)
    assert "has no such column; it has prompt, answer." in said
    rows = [{"prompt": "1?", "answer": None}, {"prompt": "2?", "answer": "2"}, {"prompt": "3?", "answer": 3}]
    assert look("data", data(rows)) == 2
    assert "row 3: `answer` is a number, that of row 2 a text: all must be of one kind." in capsys.readouterr().err
    assert look("data", data([{"prompt": "1?", "answer": 1}, {"prompt": "2?", "answer": 2.5}])) == 0


def test_the_folder_one_is_in_has_a_name(recorded, monkeypatch, capsys):
    monkeypatch.chdir(recorded("healthy-exact"))
    assert look("run", ".") == 0
    assert capsys.readouterr().out.startswith("run: healthy-exact\n")


@pytest.mark.parametrize(("level", "status"), [("note", 0), ("skipped", 1)])
def test_a_run_that_cannot_be_checked(tmp_path, level, status):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n')
    assert look("run", tmp_path, "--fail-on", level) == status
