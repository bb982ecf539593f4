"""`riskpo doctor rewards`: findings with numbers, exit status by --fail-on, errors that say what to do."""

import json

import pytest

from riskpo.cli.main import main

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
