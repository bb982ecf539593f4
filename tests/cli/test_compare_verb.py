"""`riskpo compare` as its users meet it: what is refused, what is only planned, and one real grid that is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from riskpo.cli import main as cli

SHORT = [
    "--max_steps",
    "6",
    "--save_steps",
    "2",
    "--logging_steps",
    "2",
    "--task_prompts",
    "60",
    "--completions_every",
    "0",
]
SHORT += ["--eval_prompts", "6", "--eval_samples", "8", "--eval_ks", "1", "8"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["quickstart"], "name what is compared: --estimators exact,grpo"),
        (["--estimators", "exact,grpo"], "exact: give either a recipe"),
        (["quickstart", "--estimators", "exact"], "--estimators takes at least two"),
        (["quickstart", "--estimators", "exact,grop"], "unknown preset or estimator 'grop'. Did you mean 'grpo'?"),
        (["quickstart", "--estimators", "exact,grpo", "--max_stepz", "3"], "exact: unknown option 'max_stepz'"),
        (["quickstart", "--estimators", "exact,grpo", "--jobs", "0"], "--jobs must be at least 1"),
        (["quickstart", "--estimators", "exact,grpo", "--job-list", "a", "--dry-run"], "--job-list runs nothing"),
        (["quickstart", "--estimators", "exact,grpo", "--learning_rates", "1e-4"], "needs no trial"),
    ],
)
def test_errors(tmp_path, capsys, argv, message):
    """Before anything is written."""
    assert cli.main(["compare", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_dry_run(tmp_path, capsys):
    argv = [
        "compare",
        "quickstart",
        "--estimators",
        "exact,b10:preset=exact;bundle_size=10",
        "--seeds",
        "2",
        "--dry-run",
    ]
    assert cli.main(argv) == 0
    said = capsys.readouterr().out
    assert "b10: RiskPO, mvar(0.2, 0.8), B=10" in said
    assert "learning rates of b10: 0.0002, 0.0006, 0.0018" in said
    assert "new    compare/quickstart/b10/seed-1" in said
    assert "6 trials and 4 runs, 10 of them to do, 1 at once" in said
    assert not list(tmp_path.iterdir())


def test_job_list_of_a_recipe_for_gpus(tmp_path, capsys):
    """On a machine without one: as many processes as the recipe asks for, and every line a shell's."""
    argv = [
        "compare",
        "paper-hard",
        "--estimators",
        "paper,grpo",
        "--seeds",
        "2",
        "--no-tune",
        "--job-list",
        "jobs.txt",
    ]
    assert cli.main([*argv, "--eval_split", "aime24", "--eval_prompts", "10"]) == 0
    lines = (tmp_path / "jobs.txt").read_text().splitlines()
    assert len(lines) == 4
    assert all(subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0 for line in lines)
    assert "-m torch.distributed.run --standalone --nproc_per_node 8 -m riskpo.cli train -- paper-hard" in lines[0]
    assert lines[0].startswith(f"cd {tmp_path} && ")
    assert "--preset paper --seed 0 --task_seed 1 >> " in lines[0]
    assert "--estimator grpo --seed 1 --task_seed 2 >> " in lines[3]
    assert "4 runs. The command without --job-list reads what is there." in capsys.readouterr().out
    assert cli.main([*argv[:-2], "--eval_split", "aime24", "--eval_prompts", "10"]) == 1
    said = capsys.readouterr().out
    assert "reading what is there" in said
    assert "missing: 4 of 4 runs\nnew    compare/paper-hard/paper/seed-0\n" in said
    assert not list(tmp_path.rglob("comparison.json"))


@pytest.mark.slow
def test_a_real_grid(tmp_path, chain_model, capsys):
    """Two estimators, two seeds, killed in its first run; what is left of it stops by itself, and the rest follows."""
    argv = ["compare", "quickstart", "--estimators", "exact,grpo", "--seeds", "2", "--no-tune", "--jobs", "2"]
    argv += [*SHORT, "--model_name_or_path", chain_model]
    first = tmp_path / "compare" / "quickstart" / "exact" / "seed-0"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "riskpo.cli", *argv], stdout=log, stderr=log, env=environment)
    while not (first / "metrics.jsonl").is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    assert cli.main(argv) == 0
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    summary = json.loads((tmp_path / "compare" / "quickstart" / "comparison.json").read_text())
    assert {label: entry["done"] for label, entry in summary["entries"].items()} == {"exact": [0, 1], "grpo": [0, 1]}
    for label, entry in summary["entries"].items():
        assert entry["curves"]["reward"]["steps"] == [2, 4, 6]
        for seed in ("0", "1"):
            after = json.loads((first.parents[1] / label / f"seed-{seed}" / "eval" / "after.json").read_text())
            assert entry["scores"]["pass@1"]["by_seed"][seed] == pytest.approx(sum(after["correct"]) / 48)
    assert len(summary["sentences"]) == 1
    assert summary["sentences"][0] in said.out
    assert "nothing was tuned (--no-tune): learning rate 0.0006" in said.out
    assert (tmp_path / "compare" / "quickstart" / "comparison.png").stat().st_size > 10_000
