"""`riskpo report` from end to end, and its errors before anything is read."""

import json

import pytest

from riskpo.cli.main import main
from riskpo.reports.page import laws
from tests.reports.page.made_runs import made_run


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(laws, "POPULATIONS", 16)


def test_one_run(tmp_path, capsys):
    folder = made_run(tmp_path / "run")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    figures = tmp_path / "figures"
    assert main(["report", str(folder), "--figures", str(figures), "--format", "svg", "--model-card"]) == 0
    said = capsys.readouterr().out
    assert f"{folder / 'report.html'}: 14 figures, 0." in said
    assert "All 160 logged completions." in said
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (figures / "report.md").is_file()
    assert len(list(figures.glob("*.svg"))) == 14
    assert (folder / "model" / "README.md").is_file()


def test_several_runs_in_a_file_of_their_own(tmp_path, capsys, monkeypatch):
    runs = [str(made_run(tmp_path / name)) for name in "ab"]
    monkeypatch.chdir(tmp_path)
    assert main(["report", *runs, "--max-completions", "10", "--seed", "3"]) == 0
    assert "report.html: 14 figures" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Shown 10 of 320 logged completions" in page
    assert not (tmp_path / "a" / "report.html").exists()


def test_what_is_left_out_is_said(tmp_path, capsys):
    folder = made_run(tmp_path / "run", steps=3)
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "left out: Tracked quantiles over the scores: no completions were logged" in said
    assert "left out: Weight by difficulty as it evolves: no completions were logged" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--outputs", "x"], "unknown option '--outputs'. Did you mean '--output'?"),
        (["--format", "svg"], "--format svg is of --figures DIR, which is not given."),
        (["--output", "gone/page.html"], "the folder gone does not exist."),
        (["--output", "."], "--output . is a folder"),
        (["--max-size", "0"], "--max-size must be above 0 megabytes, got 0."),
        (["--max-completions", "-3"], "--max-completions must be at least 0"),
        (["--model-card"], "holds no model to write a card for"),
        (["--output", "/proc/x.html"], "--output /proc/x.html: /proc cannot be written"),
        (["--figures", "/proc/zz"], "--figures /proc/zz: /proc cannot be written"),
        (["--figures", "a-file"], "--figures a-file is a file: name a folder."),
    ],
)
def test_errors_come_first(tmp_path, capsys, monkeypatch, flags, message):
    made_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    assert main(["report", "run", *flags]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_broken_line_is_named(tmp_path, capsys):
    folder = made_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_text('{"step": 1}\nbroken\n')
    assert main(["report", str(folder)]) == 2
    assert capsys.readouterr().err.startswith(f"riskpo: error: {folder / 'metrics.jsonl'}, line 2: not JSON")


def test_a_run_that_has_logged_nothing(tmp_path, capsys):
    import shutil

    folder = made_run(tmp_path / "run")
    (folder / "metrics.jsonl").write_text("")
    shutil.rmtree(folder / "completions")
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "No completions were logged." in said
    assert "left out: Reward: no step was logged yet\n" in said
    assert "left out: Clip ratios: no step was logged yet\n" in said
    assert "left out: Entropy against reward: no step was logged yet\n" in said
    assert "metrics.jsonl is empty: nothing was logged yet" in (folder / "report.html").read_text(encoding="utf-8")


def test_no_secret_is_on_the_page(tmp_path):

    folder = made_run(tmp_path / "run", arguments={"hub_token": "sesame", "model_init_kwargs": {"api_key": "sesame"}})
    environment = json.loads((folder / "environment.json").read_text())
    environment["command"] = "riskpo train --hub_token sesame --wandb_api_key=sesame"
    (folder / "environment.json").write_text(json.dumps(environment))
    other = made_run(tmp_path / "other", arguments={"model_init_kwargs": {"api_key": "sesame", "x": 1}})
    assert main(["report", str(folder), str(other), "--output", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "model_init_kwargs" in page
    assert "sesame" not in page


def test_the_end_is_that_of_the_doctor(tmp_path):
    """Rewards of the last five of 20 rows, .65 to .8."""
    from riskpo.diagnosis.log import mean, read_run
    from riskpo.reports.page.record import read_record
    from riskpo.reports.page.views import view

    folder = made_run(tmp_path / "run")
    assert dict(view(read_record(folder)).facts)["reward at the end"] == "0.740"
    assert mean(read_run(folder).tail("reward")) == pytest.approx(0.74)
    text = (folder / "metrics.jsonl").read_text().splitlines()
    text[-1] = json.dumps({**json.loads(text[-1]), "reward": None})
    (folder / "metrics.jsonl").write_text("\n".join(text) + "\n")
    ends = dict(view(read_record(folder)).facts)
    assert ends["reward at the end"].endswith(" (1 of 5 rows left out: not finite)")
    assert "left out" not in ends["entropy at the end"]


def test_what_the_doctor_finds_is_on_the_page(tmp_path):
    """A run whose gradient was no number once, with advantages drawn at random."""

    from markupsafe import escape

    from riskpo.diagnosis.log import read_run
    from riskpo.diagnosis.run import check_run

    folder = made_run(tmp_path / "run")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows[-1]["grad_norm"] = None
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["report", str(folder), "--figures", str(tmp_path / "figures")]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = check_run(read_run(folder), "run")
    assert [one.code for one in found.findings] == ["not_finite", "sign_flips"]
    for finding in found.findings:
        assert f"<b>{finding.level}, {finding.code}</b>: {escape(finding.text)}" in page
    assert f"Nothing found by {', '.join(found.quiet)}." in page
    assert "Skipped dead_window: needs risk/mean_slope" in page
    assert "error, not\\_finite: Not a finite number" in (tmp_path / "figures" / "report.md").read_text(
        encoding="utf-8"
    )
