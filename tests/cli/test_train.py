"""`riskpo train` from end to end, as its users run it: a whole run, own data, Ctrl-C, a kill, and going on after each.

Runs in processes of their own on a hardly warmed-up model; the reward function of these tests pulls the plug itself,
so that it is pulled at the same place every time.
"""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from riskpo.extras import is_installed
from riskpo.tasks import chain

pytestmark = pytest.mark.slow

TIMING = {"time", "step_time"}

# Three generations of ten prompts an epoch, two steps each: sixteen steps go through the data two and a half times.
OWN = ["--num_generations", "4", "--per_device_train_batch_size", "20", "--steps_per_generation", "2"]
OWN += ["--max_completion_length", "4", "--max_steps", "16", "--save_steps", "4", "--logging_steps", "1"]
OWN += ["--learning_rate", "1e-3", "--use_cpu", "--bf16", "false", "--dtype", "float32", "--threads", "1"]
OWN += ["--gradient_checkpointing", "false", "--dataset", "rows.jsonl", "--reward", "plug:reward", "--runs_dir", "runs"]

# Odd or even as the answer: about half. It is called on trial twice (before anything is loaded, and by the
# trainer), and then once a generation.
PLUG = """
import os, signal
calls = 0
def reward(completions, answer, **_):
    global calls
    calls += 1
    if calls - 2 == int(os.environ.get("PLUG_AT", -9)):
        os.kill(os.getpid(), getattr(signal, os.environ["PLUG"]))
    return [float((text[:1] in "02468") == (right[:1] in "02468")) for text, right in zip(completions, answer)]
"""


def riskpo(folder, *arguments, **environment):
    """Runs the command line in a folder, whose home and caches are its own."""
    own = {"HOME": folder, "XDG_CACHE_HOME": folder / "xdg", "HF_HOME": folder / "hf", "RISKPO_CACHE": folder / "cache"}
    own = {name: str(path) for name, path in own.items()}
    environment = {**os.environ, **own, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "80", **environment}
    command = [sys.executable, "-m", "riskpo.cli", "train", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


def metrics(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def without_timing(rows):
    return [{key: value for key, value in row.items() if key not in TIMING} for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with thirty single operations, their reward, and the options of a run on them."""
    folder = tmp_path_factory.mktemp("work")
    rows = chain.rows("train", 30, 0, [1])
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "plug.py").write_text(PLUG)
    (folder / "mine.yaml").write_text("seed: 4\nlr_scheduler_type: constant\npreset: exact\n")
    return folder


@pytest.fixture(scope="module")
def whole(folder, chain_model):
    """The folder of an uninterrupted run on own data."""
    done = riskpo(folder, "--config", "mine.yaml", "--model_name_or_path", chain_model, *OWN, "--output_dir", "whole")
    assert done.returncode == 0, done.stderr
    return folder / "whole"


@pytest.fixture(scope="module")
def quick(tmp_path_factory, chain_model):
    """Six steps of the quickstart: its folder, and what the command printed."""
    folder = tmp_path_factory.mktemp("quick")
    flags = ["--max_steps", "6", "--save_steps", "4", "--logging_steps", "1", "--task_prompts", "60"]
    flags += ["--eval_prompts", "4", "--eval_samples", "8", "--eval_ks", "1", "8", "--save_strategy", "steps"]
    done = riskpo(folder, "quickstart", "--model_name_or_path", chain_model, *flags)
    return SimpleNamespace(run_dir=folder / "runs" / "quickstart", done=done)


# --- a whole run ---


def test_quickstart(quick):
    """Every file of a run's folder, the table, the picture; and nothing on stderr."""
    run_dir, done = quick.run_dir, quick.done
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in run_dir.iterdir()} >= {
        "arguments.json",
        "checkpoint-4",
        "checkpoint-6",
        "completions",
        "config.yaml",
        "data.json",
        "environment.json",
        "eval",
        "figure.png",
        "metrics.jsonl",
        "model",
        "report.html",
        "summary.json",
    }
    assert not (run_dir / "README.md").exists()
    assert "report: runs/quickstart/report.html" in done.stdout
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg ") >= 12, "a run of six steps has every figure but those that need more"
    assert "# Model card for" in (run_dir / "model" / "README.md").read_text()
    assert (run_dir / "model" / "model.safetensors").is_file()
    assert "save_strategy: steps" in (run_dir / "config.yaml").read_text()
    assert [row["step"] for row in metrics(run_dir)] == [1, 2, 3, 4, 5, 6]
    assert {"reward", "entropy", "risk/q_low", "risk/q_high", "risk/mvar", "loss"} <= set(metrics(run_dir)[0])

    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["steps"] == 6
    evaluation = summary["evaluation"]
    assert (evaluation["questions"], evaluation["samples"]) == (4, 8)
    after = json.loads((run_dir / "eval" / "after.json").read_text())
    assert evaluation["pass@1"]["after"]["mean"] == pytest.approx(sum(after["correct"]) / 32)
    assert summary["wall_seconds"] > 0

    assert "pass@8" in done.stdout
    assert "step 6/6  entropy" in done.stdout
    assert max(map(len, done.stdout.splitlines()[-9:-3])) <= 80


def test_tensorboard_gets_every_number(folder, chain_model):
    """`report_to` of TRL: what metrics.jsonl holds is in the tracker's files too, under the same names."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flags = [*OWN, "--max_steps", "4", "--report_to", "tensorboard", "--output_dir", "live"]
    flags += ["--max_prompt_tokens", "40"]
    done = riskpo(folder, "--config", "mine.yaml", "--model_name_or_path", chain_model, *flags)
    assert done.returncode == 0, done.stderr
    assert "note: left out 0 of 30 prompts with more than 40 tokens" in done.stdout
    (file,) = (folder / "live").rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    rows = metrics(folder / "live")
    names = [name for name in rows[0] if name.startswith("risk/")]
    assert {"risk/q_low", "risk/mvar", "risk/frac_zero_advantage"} <= set(names)
    for name in ["entropy", "grad_norm", *names]:
        shown = {event.step: event.value for event in events.Scalars(f"train/{name}")}
        assert shown == {row["step"]: pytest.approx(row[name], rel=1e-6) for row in rows if name in row}, name


@pytest.mark.skipif(not is_installed("trackio"), reason="needs pip install trackio")
def test_trackio_gets_every_number(folder, chain_model):
    """The same in Trackio's local database, without a network.

    TRL reports how long a reward takes, also in the trial before training, when Trackio takes nothing yet.
    """
    import sqlite3

    flags = [*OWN, "--max_steps", "4", "--report_to", "trackio", "--project", "tried", "--output_dir", "tracked"]
    local = {"TRACKIO_DIR": str(folder / "trackio")}
    done = riskpo(folder, "--config", "mine.yaml", "--model_name_or_path", chain_model, *flags, **local)
    assert done.returncode == 0, done.stderr
    database = sqlite3.connect(folder / "trackio" / "tried.db")
    found = [json.loads(logged) for (logged,) in database.execute("SELECT metrics FROM metrics ORDER BY id")]
    shown = {int(row["train/global_step"]): row for row in found if "train/entropy" in row}
    rows = metrics(folder / "tracked")
    assert list(shown) == [row["step"] for row in rows] == [1, 2, 3, 4]
    names = [name for name in rows[0] if name.startswith("risk/")]
    assert {"risk/q_low", "risk/mvar", "risk/frac_zero_advantage"} <= set(names)
    for row in rows:
        for name in ["entropy", "grad_norm", *names]:
            assert (f"train/{name}" in shown[row["step"]]) == (name in row), name
            assert name not in row or shown[row["step"]][f"train/{name}"] == pytest.approx(row[name], rel=1e-6), name


def test_the_doctor_reads_what_a_run_logs(whole, quick):
    """Every check finds what it needs in a real run's folder; of eight generations and fewer nothing is said."""
    from riskpo.diagnosis.finding import Skipped
    from riskpo.diagnosis.log import read_run
    from riskpo.diagnosis.run import CHECKS, check_run

    log = read_run(whole)
    assert not [code for code, check in CHECKS.items() if isinstance(check(log), Skipped)]
    assert (log.rows, len(log.series("grad_norm"))) == (8, 16)  # two updates a generation, whose reward is logged once
    assert check_run(log, "whole").checked == ("not_finite",)
    assert log.moved["right"] + log.moved["wrong"] == 40 * len(list((whole / "completions").iterdir()))
    assert log.moved["right_down"] == log.moved["wrong_up"] == 0  # exact pairing, baseline loo
    assert check_run(read_run(quick.run_dir), "quick").checked == ("not_finite",)


def test_the_files_of_a_run_open(whole):
    """The picture is an image, the completions are a table, the model loads."""
    import pandas
    from matplotlib.image import imread
    from transformers import AutoModelForCausalLM

    height, width, _ = imread(whole / "figure.png").shape
    assert width > 2 * height > 600
    table = pandas.read_parquet(whole / "completions" / "completions_00001.parquet")
    assert len(table) == 40
    assert {"step", "prompt", "completion", "reward", "advantage"} <= set(table.columns)
    assert AutoModelForCausalLM.from_pretrained(whole / "model").config.vocab_size == 18


def test_own_data_learns_something(whole):
    """The runs below are compared to this one, which only says something if its rewards are neither 0 nor 1."""
    rewards = [row["reward"] for row in metrics(whole) if "reward" in row]
    assert len(rewards) == 8
    assert 0.0 < sum(rewards) / 8 < 1.0
    assert len({row["grad_norm"] for row in metrics(whole)}) > 8


def test_built_in_reward(folder, chain_model):
    """`numeric` on the same rows: `7.` is 7."""
    flags = [*OWN, "--reward", "numeric", "--max_steps", "2", "--output_dir", "numeric", "--completions_every", "0"]
    done = riskpo(folder, "--config", "mine.yaml", "--model_name_or_path", chain_model, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    (row, _) = metrics(folder / "numeric")
    assert row["reward"] == row["rewards/numeric_match/mean"] > 0
    assert not (folder / "numeric" / "completions").exists()


# --- stopped and resumed ---


def test_ctrl_c(folder, whole, chain_model):
    """In the fifth generation: its two steps are finished and saved, and the rest is as if nothing had happened."""
    arguments = ["--config", "mine.yaml", "--model_name_or_path", chain_model, *OWN, "--output_dir", "stopped"]
    done = riskpo(folder, *arguments, PLUG="SIGINT", PLUG_AT="5")
    assert (done.returncode, done.stderr) == (130, "")
    assert "Stopping after this generation, to save a checkpoint" in done.stdout
    assert "Stopped and saved at step 10. Resume with: riskpo train --resume stopped" in done.stdout
    assert (folder / "stopped" / "checkpoint-10" / "trainer_state.json").is_file()
    assert not (folder / "stopped" / "model").exists()

    done = riskpo(folder, "--resume", "stopped")
    assert (done.returncode, done.stderr) == (0, "")
    assert without_timing(metrics(folder / "stopped")) == without_timing(metrics(whole))
    weights = [(run_dir / "model" / "model.safetensors").read_bytes() for run_dir in (folder / "stopped", whole)]
    assert weights[0] == weights[1]


def test_kill(folder, whole, chain_model):
    """In the eighth generation, with steps 13 and 14 written after the checkpoint of step 12, where an epoch ends."""
    arguments = ["--config", "mine.yaml", "--model_name_or_path", chain_model, *OWN, "--output_dir", "killed"]
    assert riskpo(folder, *arguments, PLUG="SIGKILL", PLUG_AT="8").returncode == -9
    assert [row["step"] for row in metrics(folder / "killed")] == list(range(1, 15))
    with (folder / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "rew')

    done = riskpo(folder, "--resume", "killed")
    assert (done.returncode, done.stderr) == (0, "")
    assert without_timing(metrics(folder / "killed")) == without_timing(metrics(whole))


def test_going_on_for_longer(quick):
    """A finished run with more steps: its beginning stays what it was, its end is measured anew."""
    for name in ("before", "after"):
        path = quick.run_dir / "eval" / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "entropy": 9.5}))
    done = riskpo(quick.run_dir.parents[1], "--resume", "runs/quickstart", "--max_steps", "8")
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["step"] for row in metrics(quick.run_dir)] == [1, 2, 3, 4, 5, 6, 7, 8]
    summary = json.loads((quick.run_dir / "summary.json").read_text())
    assert summary["steps"] == 8
    assert summary["evaluation"]["entropy"]["before"] == 9.5
    assert summary["evaluation"]["entropy"]["after"] < 3.0
