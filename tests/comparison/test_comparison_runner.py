"""The grid against a fake `riskpo train`: killed, stopped, failing, in any order, and always the same table."""

import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from rich.console import Console

from riskpo.comparison.cell import BUSY, can_resume, cell_command, next_step
from riskpo.comparison.grid import joined, keep_plan
from riskpo.comparison.runner import Runner
from riskpo.comparison.session import choices_of, describe, run_comparison, write_job_list
from riskpo.errors import ResumeError, RunExistsError
from riskpo.reports.comparison import print_comparison_of_estimators
from tests.comparison.driver import FAKE, compare_into, design


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in ("comparison.json", "comparison.md")}


def start(folder, log, seconds="0"):
    """A comparison in a process of its own, whose first run has started; forked, as importing the engine takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_SECONDS", seconds)
        process = multiprocessing.get_context("fork").Process(target=compare_into, args=(design(folder), log))
        process.start()
    while process.is_alive() and not (log.is_file() and "1/" in log.read_text()):
        time.sleep(0.05)
    return process


def planned(wanted):
    """A comparison that has begun, without any cell."""
    keep_plan(wanted.folder, joined(wanted.folder, wanted.record()))
    return wanted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted comparison, one run at a time."""
    folder = tmp_path_factory.mktemp("whole")
    lines = []
    done = run_comparison(design(folder), 1, lines.append, FAKE)
    assert done.failed == {}
    return folder, done.summary, lines


def test_what_it_says_and_in_which_order(whole):
    _, summary, lines = whole
    assert lines[0] == "6 trials, 0 of them done already"
    assert [line.split()[1:3] for line in lines if line.endswith("starts")] == [
        *([label, f"rate-{rate}"] for rate in ("0.0002", "0.0006", "0.0018") for label in ("exact", "grpo")),
        *([label, f"seed-{seed}"] for seed in (0, 1) for label in ("exact", "grpo")),
    ]
    assert {label: entry["done"] for label, entry in summary["entries"].items()} == {"exact": [0, 1], "grpo": [0, 1]}
    assert summary["tuning"]["options"] == ["--eval_split", "tune"]
    for entry in summary["tuning"]["entries"].values():
        assert len(entry["trials"]) == 3
        assert entry["trials"][entry["chosen"]] == max(entry["trials"].values())


def test_the_final_cells_run_at_the_chosen_rates(whole):
    folder, summary, _ = whole
    for label, choice in summary["tuning"]["entries"].items():
        options = json.loads((folder / label / "seed-1" / "config.yaml").read_text())
        assert (options["learning_rate"], options["seed"], options["task_seed"]) == (choice["chosen"], "1", "2")
        assert "eval_split" not in options
        trial = json.loads((folder / label / "rate-0.0002" / "config.yaml").read_text())
        assert (trial["learning_rate"], trial["seed"], trial["eval_split"]) == ("0.0002", "1000", "tune")


def test_the_report_says_what_the_numbers_say(whole):
    folder, summary, _ = whole
    assert json.loads((folder / "comparison.json").read_text()) == summary
    said = (folder / "comparison.md").read_text()
    (contrast,) = summary["contrasts"]["pass@4"]
    assert f"| grpo | pass@4 | 2 seeds | {contrast['difference']:+.3f} | [{contrast['low']:+.3f}, " in said
    score = summary["entries"]["exact"]["scores"]["pass@1"]
    assert score["mean"] == pytest.approx(sum(score["by_seed"].values()) / 2)
    assert f"| 2 | {score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}] |" in said
    assert f"- {summary['sentences'][0]}\n" in said
    console = Console(file=io.StringIO(), width=80)
    print_comparison_of_estimators(summary, console)
    printed = console.file.getvalue()
    assert f"[{score['low']:.3f}, {score['high']:.3f}]" in printed
    assert summary["sentences"][0] in printed
    assert "…" not in printed


def test_nothing_is_run_twice(whole):
    folder, summary, _ = whole
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}
    again = run_comparison(design(folder), 1, lambda line: None, ["false"])
    assert (again.summary, again.failed) == (summary, {})
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}


@pytest.mark.parametrize(("number", "seed"), [(signal.SIGKILL, 0), (signal.SIGINT, 1)])
def test_killed_three_times_it_ends_with_the_same_table(whole, tmp_path, number, seed):
    """At random moments, two runs at once; no run outlives its comparison, and none is left half done."""
    rng, folder = random.Random(seed), tmp_path / "grid"
    for attempt in range(3):
        process = start(folder, tmp_path / f"log{attempt}", "0.1")
        time.sleep(rng.uniform(0.2, 2.0))
        os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    process = start(folder, tmp_path / "log")
    process.join(60)
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert "goes on" in "".join(log.read_text() for log in tmp_path.glob("log*"))
    assert files_of(folder) == files_of(whole[0])
    assert not list(folder.rglob(".*.json.*"))


def test_the_order_of_the_cells_does_not_matter(whole, tmp_path):
    wanted = planned(design(tmp_path))
    runner = Runner(FAKE, 3, 1, lambda line: None)
    assert runner.run(wanted.trials()[::-1]).failed == {}
    chosen = {label: choice.chosen for label, choice in choices_of(wanted).items()}
    cells = wanted.finals(chosen)
    random.Random(0).shuffle(cells)
    assert runner.run(cells).failed == {}
    done = run_comparison(wanted, 1, lambda line: None, ["false"])
    assert done.summary == whole[1]


def test_a_failed_cell_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "grpo/seed-1")
    lines = []
    done = run_comparison(design(tmp_path, seeds=3, tune=False), 2, lines.append, FAKE)
    assert list(done.failed) == ["grpo seed-1"]
    assert done.failed["grpo seed-1"].endswith("no luck\n    the last line")
    assert any("grpo seed-1 FAILED (status 1)" in line and "the last line" in line for line in lines)
    assert done.summary["entries"]["grpo"]["done"] == [0, 2]
    assert done.summary["contrasts"]["pass@1"][0]["units"] == 2  # the seeds that both have
    assert "5 of 6 runs are finished: this table is of these." in done.summary["notes"]
    monkeypatch.delenv("FAKE_FAIL")
    assert run_comparison(design(tmp_path, seeds=3, tune=False), 2, lines.append, FAKE).failed == {}


def test_a_failed_trial_keeps_its_entry_from_being_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "grpo/rate-0.0018")
    done = run_comparison(design(tmp_path), 2, lambda line: None, FAKE)
    assert list(done.failed) == ["grpo rate-0.0018"]
    assert not (tmp_path / "grpo" / "seed-0").exists()
    assert done.summary["entries"]["exact"]["done"] == [0, 1]
    assert "grpo and exact cannot be compared yet: no seed is finished for both." in done.summary["sentences"]
    assert "grpo: no learning rate is chosen yet, trials missing: 0.0018." in done.summary["notes"]
    said = (tmp_path / "comparison.md").read_text()
    assert "| grpo | - | 0 | - | - | - |" in said
    assert "| grpo | pass@1 | - | - | - | - | not compared |" in said
    assert "| grpo | 0.0018 | - |  |" in said


def test_runs_of_another_rate_than_the_trials_choose(whole, tmp_path):
    """Trials that were done again may choose another rate; the table does not say it of runs that had the first."""
    shutil.copytree(whole[0], tmp_path / "grid")
    path = tmp_path / "grid" / "exact" / "seed-1" / "arguments.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "learning_rate": 0.123}))
    with pytest.raises(ResumeError, match=r"exact: the trials choose learning rate .* now.* \(seed 1: 0\.123\)"):
        run_comparison(design(tmp_path / "grid"), 2, lambda line: None, FAKE)


def test_a_cell_with_a_page_may_be_started_anew(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "grid")
    cell = tmp_path / "grid" / "exact" / "seed-0"
    (cell / "report.html").write_text("page")
    (cell / "summary.json").unlink()
    for checkpoint in cell.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    done = run_comparison(design(tmp_path / "grid"), 2, lambda line: None, FAKE)
    assert (done.failed, done.summary["entries"]["exact"]["done"]) == ({}, [0, 1])


def test_curves_say_which_rows_they_leave_out(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "grid")
    path = tmp_path / "grid" / "grpo" / "seed-1" / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[2]["reward"], rows[4]["reward"], rows[5]["entropy"] = None, float("nan"), float("inf")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_comparison(design(tmp_path / "grid"), 1, lambda line: None, ["false"])
    assert done.summary["entries"]["grpo"]["curves"]["reward"]["steps"] == [1, 2, 4, 6, 7, 8]
    said = "the curves leave out logged values that were not finite (grpo seed 1: reward 2; grpo seed 1: entropy 1)."
    assert said in done.summary["notes"]
    assert not any("not finite" in note for note in whole[1]["notes"])


def test_means_over_different_seeds_are_said(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_FAIL", "grpo/seed-1")
    done = run_comparison(design(tmp_path), 2, lambda line: None, FAKE)
    notes = " ".join(done.summary["notes"])
    assert "the means are over different seeds (exact 0, 1; grpo 0)" in notes
    assert "share one finished seed so far, the comparison is over questions alone" in notes


def test_entries_and_seeds_may_be_added_and_options_may_not_change(whole, tmp_path):
    quiet = {"say": lambda line: None, "train": FAKE}
    run_comparison(design(tmp_path, seeds=1, tune=False), 2, **quiet)
    report = tmp_path / "comparison.json"
    more = run_comparison(design(tmp_path, "exact,grpo,maxrl", seeds=2, tune=False), 2, **quiet).summary
    assert [entry["done"] for entry in more["entries"].values()] == [[0, 1]] * 3
    assert json.loads(report.read_text()) == more
    report.unlink()
    fewer = run_comparison(design(tmp_path, "exact,maxrl", seeds=2, tune=False), 2, **quiet).summary
    assert fewer["entries"]["maxrl"] == more["entries"]["maxrl"]
    with pytest.raises(ResumeError, match=r"exact: temperature: was None, is 0.7\. Repeat the command"):
        run_comparison(design(tmp_path, flags=("--temperature", "0.7"), tune=False), 1, **quiet)
    with pytest.raises(ResumeError, match=r"learning rates: was \[\], is \['0.0002', '0.0006', '0.0018'\]"):
        run_comparison(design(tmp_path), 1, **quiet)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="is no comparison"):
        run_comparison(design(tmp_path / "other"), 1, **quiet)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seeds": 1}, r"comparison.json has seeds up to 1, and --seeds 1 ends with 0: .* \(--seeds 2\), or move"),
        ({"baseline": "grpo"}, r"has the baseline exact, and not grpo: .*\(--baseline exact\)"),
        ({"estimators": "exact,maxrl"}, r"has grpo as well: .*\(name them in --estimators\)"),
    ],
)
def test_a_report_of_more_is_not_overwritten(whole, tmp_path, asked, message):
    """Neither run nor written, and the dry run says so; once the report is moved away, what is asked is made."""
    grid = tmp_path / "grid"
    shutil.copytree(whole[0], grid)
    before, wanted = files_of(grid), design(grid, **asked)
    for attempt in (lambda: run_comparison(wanted, 2, lambda line: None, ["false"]), lambda: describe(wanted, 1)):
        with pytest.raises(ResumeError, match=message):
            attempt()
    assert files_of(grid) == before
    (grid / "comparison.json").rename(tmp_path / "kept.json")
    done = run_comparison(wanted, 2, lambda line: None, FAKE)
    assert json.loads((grid / "comparison.json").read_text()) == done.summary
    assert (done.summary["baseline"], done.summary["seeds"]) == (wanted.asked.baseline, wanted.asked.seeds)


def test_the_report_is_written_under_the_lock(tmp_path, monkeypatch):
    """Another comparison of the folder finds it taken while the report is written."""
    from riskpo.evaluation.folder import locked
    from riskpo.reports import comparison

    def writing(summary, folder):
        with pytest.raises(RunExistsError, match="another process"), locked(folder):
            pass
        written.append(folder)

    written = []
    monkeypatch.setattr(comparison, "write_comparison", writing)
    run_comparison(design(tmp_path, seeds=1, tune=False), 2, lambda line: None, FAKE)
    assert written == [tmp_path]


def test_rates_may_be_added_until_a_run_has_begun_and_trials_keep_their_options(tmp_path):
    quiet = {"say": lambda line: None, "train": FAKE}
    first = planned(design(tmp_path, rates=("0.001", "0.002")))
    Runner(FAKE, 2, 1, lambda line: None).run(first.trials())
    with pytest.raises(ResumeError, match="trials' options: was"):
        joined(tmp_path, design(tmp_path, rates=("0.001", "0.002"), tune_steps=4).record())
    more = design(tmp_path, rates=("0.001", "0.002", "0.004"))
    assert run_comparison(more, 2, **quiet).failed == {}
    with pytest.raises(ResumeError, match="learning rates: was"):
        run_comparison(first, 1, **quiet)


def test_one_comparison_at_a_time(tmp_path):
    process = start(tmp_path / "grid", tmp_path / "log", "1")
    try:
        with pytest.raises(RunExistsError, match="another process is working on the comparison in"):
            run_comparison(design(tmp_path / "grid"), 1, lambda line: None, FAKE)
    finally:
        process.kill()
        process.join()


def test_one_process_a_cell(tmp_path, monkeypatch):
    """A second one waits for the first and then finds nothing to do, or gives up."""
    folder = tmp_path / "exact" / "seed-0"
    environment = {**os.environ, "FAKE_SECONDS": "0.2"}
    command = cell_command(folder, FAKE, ["quickstart", "--max_steps", "4"])
    first = subprocess.Popen(command, env=environment)
    while not (folder / "metrics.jsonl").is_file():
        time.sleep(0.05)
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said == f"{folder} is done.\n"
    assert first.wait() == 0
    other = folder.with_name("seed-1")
    tied = cell_command(other, FAKE, ["quickstart"], parent=1)  # not its parent: that one is gone
    assert subprocess.run(tied, check=False).returncode == BUSY
    assert not other.exists()


def test_can_resume(tmp_path):
    """A complete checkpoint between two generations."""
    assert not can_resume(tmp_path)
    for name in ("config.yaml", "checkpoint-3/trainer_state.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert can_resume(tmp_path)  # for all that is known
    arguments = {"steps_per_generation": 2, "num_iterations": 2, "gradient_accumulation_steps": 2}
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    assert not can_resume(tmp_path)
    (tmp_path / "checkpoint-2").mkdir()
    assert not can_resume(tmp_path)
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text("{}")
    assert can_resume(tmp_path)
    (tmp_path / "config.yaml").unlink()
    assert not can_resume(tmp_path)


def test_next_step(tmp_path):
    """What goes on, what starts anew, and what is left alone."""
    run = tmp_path / "run"
    assert next_step(run, lambda folder: True) == "new"
    (run / "checkpoint-2").mkdir(parents=True)
    (run / "eval").mkdir()
    for name in ("config.yaml", ".metrics.jsonl.123"):
        (run / name).write_text("{}")
    assert next_step(run, lambda folder: True) == "resume"
    assert run.exists()
    assert next_step(run, lambda folder: False) == "new"
    assert not run.exists()
    run.mkdir()
    (run / "config.yaml").write_text("{}")
    (run / "thesis.txt").write_text("mine")
    with pytest.raises(RunExistsError, match=r"cannot be started anew: it holds thesis.txt\. Move it away"):
        next_step(run, lambda folder: False)
    assert (run / "config.yaml").exists()
    (run / "thesis.txt").unlink()
    link = tmp_path / "link"
    link.symlink_to(run)
    with pytest.raises(RunExistsError, match="no folder of its own"):
        next_step(link, lambda folder: False)


# --- without running ---


def run_lines(path):
    for line in path.read_text().splitlines():
        subprocess.run(["bash", "-c", line], check=True)


def test_job_list(whole, tmp_path, monkeypatch):
    """Trials first, then the runs; every line may be run again; reading them gives the same table."""
    monkeypatch.setattr("riskpo.comparison.design.Design.train_command", lambda self, python: FAKE)
    jobs, said = tmp_path / "jobs.txt", []
    wanted = design(tmp_path / "grid")
    assert write_job_list(wanted, jobs, said.append) == 6
    assert not list((tmp_path / "grid").rglob("config.yaml"))
    assert all("rate-" in line for line in jobs.read_text().splitlines())
    run_lines(jobs)
    assert write_job_list(wanted, jobs, said.append) == 4
    run_lines(jobs)
    run_lines(jobs)
    assert "is done." in (tmp_path / "grid" / "exact" / "seed-0.log").read_text()
    done = run_comparison(wanted, None, said.append, ["false"])
    assert done.summary == whole[1]
    assert said[0].endswith("6 trials. When they are done, this command again writes the runs.")
    assert "a job list was written for this comparison" in said[-1]
    assert write_job_list(wanted, jobs, said.append) == 0


def test_after_a_job_list_nothing_runs_here_unless_asked(tmp_path):
    """What is missing is said, cell by cell; running the rest here ends the reading."""
    wanted = design(tmp_path / "grid", tune=False)
    write_job_list(wanted, tmp_path / "jobs.txt", lambda line: None)
    done = run_comparison(wanted, None, lambda line: None, ["false"])
    assert done.summary is None
    assert not (wanted.folder / "comparison.json").exists()
    cells = [f"{label}/seed-{seed}" for seed in (0, 1) for label in ("exact", "grpo")]
    assert done.missing[:5] == ("missing: 4 of 4 runs", *(f"new    {wanted.folder}/{cell}" for cell in cells))
    Runner(FAKE, 2, 1, lambda line: None).run(wanted.finals({"exact": "", "grpo": ""})[:2])
    (wanted.folder / "exact" / "seed-1").mkdir()
    (wanted.folder / "exact" / "seed-1" / "config.yaml").write_text("{}")
    done = run_comparison(wanted, None, lambda line: None, ["false"])
    assert done.missing[:3] == (
        "missing: 2 of 4 runs",
        f"begun  {wanted.folder}/exact/seed-1",
        f"new    {wanted.folder}/grpo/seed-1",
    )
    assert done.summary["entries"]["exact"] == {**done.summary["entries"]["exact"], "done": [0], "missing": [1]}
    assert "| exact | 0.0006 | 1 | " in (wanted.folder / "comparison.md").read_text()
    done = run_comparison(wanted, 2, lambda line: None, FAKE)
    assert (done.missing, done.summary["entries"]["exact"]["missing"]) == ((), [])
    more = design(tmp_path / "grid", seeds=3, tune=False)
    assert run_comparison(more, None, lambda line: None, FAKE).summary["entries"]["exact"]["done"] == [0, 1, 2]


def test_a_long_list_of_what_is_missing_is_cut(tmp_path):
    wanted = design(tmp_path / "grid", seeds=12)
    write_job_list(wanted, tmp_path / "jobs.txt", lambda line: None)
    missing = run_comparison(wanted, None, lambda line: None, ["false"]).missing
    assert missing[0] == "missing: 6 of 6 trials and 24 of 24 runs"
    assert missing[-2] == "... and 10 more: --dry-run lists all"
    assert len(missing) == 23


def test_runs_at_once_have_gpus_of_their_own(tmp_path):
    """Four GPUs, two runs at once: 0,1 and 2,3, and each of them is used."""
    said, wanted = [], design(tmp_path / "grid", seeds=3, tune=False, flags=("--use_cpu", "false"))
    run_comparison(wanted, 2, said.append, FAKE, gpus=["0", "1", "2", "3"])
    assert {json.loads(path.read_text())["gpus"] for path in tmp_path.rglob("data.json")} == {"0", "1"}
    assert "GPUs of the 2 runs at once: 0 | 1; left idle: 2,3" in said
    assert "GPUs of the 2 runs at once: 0 | 1; left idle: 2,3" in describe(wanted, 2, ["0", "1", "2", "3"])


def test_a_share_is_used_again(tmp_path, monkeypatch):
    """Eight runs, three at once: those that come later get the share of one that has ended."""
    monkeypatch.setenv("FAKE_SECONDS", "0.02")
    cells = design(tmp_path / "grid", seeds=4, tune=False).finals({"exact": "", "grpo": ""})
    runner = Runner(FAKE, 3, 1, lambda line: None, ["a", "b", "c"])
    assert runner.run(cells).failed == {}
    seen = [json.loads((cell.folder / "data.json").read_text())["gpus"] for cell in cells]
    assert seen[:3] == ["a", "b", "c"]
    assert set(seen) == {"a", "b", "c"}


@pytest.mark.parametrize(("cpu", "gpus"), [("false", []), ("true", ["0", "1"])])
def test_on_cpus_the_variable_stays(tmp_path, monkeypatch, cpu, gpus):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    wanted = design(tmp_path / "grid", seeds=1, tune=False, flags=("--use_cpu", cpu))
    run_comparison(wanted, 2, lambda line: None, FAKE, gpus=gpus)
    assert {json.loads(path.read_text())["gpus"] for path in tmp_path.rglob("data.json")} == {None}


def test_the_plan_says_how_long(whole, tmp_path):
    folder, _, _ = whole
    lines = describe(design(folder, seeds=4), 2)
    assert "6 trials and 8 runs, 4 of them to do, 2 at once" in lines
    assert lines[-1] == "about 2 minutes, judged by the finished cells"  # the fake says a minute each
    assert f"done   {folder}/exact/seed-1" in lines
    assert f"new    {folder}/exact/seed-2" in lines
    assert describe(design(tmp_path / "new"), 1)[-1] == "how long it takes is not known before a cell is finished"
    assert not (tmp_path / "new").exists()
