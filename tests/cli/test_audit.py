"""`riskpo audit` end to end: the demo, files, JSON, figure, and inputs that it must refuse."""

import argparse
import json
import subprocess
import sys

import pytest
from datasets import Dataset

from riskpo import RiskPOConfig
from riskpo.atomic import write_json
from riskpo.cli import main as cli
from riskpo.cli.audit import _estimators, add_parser
from riskpo.risk.named import default_names
from riskpo.rollouts.own import OwnRun, own_run
from riskpo.rollouts.simulated import simulated_steps

QUICK = ["--populations", "3", "--draws", "3"]


def audit(capsys, *argv):
    """Exit status, output and errors."""
    status = cli.main(["audit", *map(str, argv)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def rows(tmp_path):
    """The simulated log as plain rows, without log-probabilities."""
    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for step in simulated_steps(0, steps=2, prompts=10, responses=4):
            for name, rewards in zip(step.prompt_ids, step.rewards_PG.tolist(), strict=True):
                file.writelines(json.dumps({"prompt_id": name, "reward": r, "step": step.step}) + "\n" for r in rewards)
    return path


def test_help_is_light_and_has_examples():
    code = (
        "import sys\nfrom riskpo.cli.main import main\ntry: main(['audit', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'matplotlib', 'pyarrow', 'trl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "riskpo audit --demo" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo as the help shows it, with all outputs."""
    folder = tmp_path_factory.mktemp("demo")
    outputs = ["--json", str(folder / "a.json"), "--figure", str(folder / "a.png")]
    command = [sys.executable, "-m", "riskpo.cli", "audit", "--demo", *outputs, *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done, json.loads((folder / "a.json").read_text()), folder / "a.png"


def test_demo_prints_tables_of_80_columns(demo):
    done, _, _ = demo
    printed = done.stdout.splitlines()
    assert max(map(len, printed)) <= 80
    assert "…" not in done.stdout, "a table hides digits"
    assert done.stderr == ""
    for name in default_names():
        assert any(line.split()[:1] == [name] for line in printed), name
    assert "findings:" in printed


def test_demo_figure(demo):
    assert demo[2].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_json_schema(demo):
    """Every estimator is measured or skipped, none is dropped; every number is a number or null."""
    _, written, _ = demo
    assert set(written) == {
        "schema", "riskpo", "log", "settings", "bins", "redrawn_prompts_by_bin", "uniform", "estimators", "skipped",
        "entropy_skipped", "findings", "thresholds",
    }  # fmt: skip
    assert written["schema"] == 2
    assert {*written["estimators"], *written["skipped"]} == set(default_names())
    assert (written["log"]["rows"], written["log"]["steps"]) == (1920, 6)
    assert written["bins"] == [0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0]
    assert sum(written["redrawn_prompts_by_bin"]) == 3 * 40
    assert written["entropy_skipped"] is None
    for estimator in written["estimators"].values():
        assert len(estimator["weight_b"]) == 7
        assert set(estimator["snr"]) == {"value", "error"}
        assert set(estimator["snr_ratios"]) == {"paper", "dr_grpo"}
        assert set(estimator["flips"]) == {"right_down", "wrong_up", "right_negative", "wrong_positive"}
        assert set(estimator["entropy"]) >= {"cov_logp_advantage", "corr_logp_mean_advantage", "difference"}
    for finding in written["findings"]:
        assert set(finding) == {"level", "code", "evidence", "change", "documented", "about"}
        assert set(finding["about"]) <= set(written["estimators"])
    assert all(set(threshold) == {"value", "why"} for threshold in written["thresholds"].values())
    assert written["estimators"]["dr_grpo"]["snr_ratios"]["dr_grpo"]["value"] == 1.0


def test_a_file(capsys, rows, tmp_path):
    """Only what was asked for, and what it is compared with; the missing column is named."""
    status, out, _ = audit(capsys, rows, "--estimators", "exact, sorted", "--json", tmp_path / "a.json", *QUICK)
    assert status == 0
    written = json.loads((tmp_path / "a.json").read_text())
    assert list(written["estimators"]) == ["exact", "sorted", "paper", "dr_grpo"]
    assert written["entropy_skipped"] == "the log has no column `logprob`"
    assert "entropy: skipped, the log has no column logprob" in " ".join(out.split())
    assert written["log"]["format"] == "plain"


def test_the_seed_decides(capsys, rows):
    arguments = (rows, "--estimators", "paper", *QUICK)
    first, again = (audit(capsys, *arguments, "--seed", 5)[1] for _ in range(2))
    assert first == again != audit(capsys, *arguments, "--seed", 6)[1]


def test_skipped_estimators_say_why(capsys, tmp_path):
    path = tmp_path / "graded.jsonl"
    path.write_text("".join(json.dumps({"prompt": str(n % 3), "reward": n / 10}) + "\n" for n in range(9)))
    status, out, _ = audit(capsys, path, "--estimators", "two-level,prompt-mvar", *QUICK)
    said = " ".join(out.split())
    assert status == 0
    assert "two-level: step 0: at least 4 responses per prompt are needed" in said
    assert "prompt-mvar: step 0: reward 0.3 is not on the declared grid" in said
    assert "paper: step 0: 3 prompts in a step cannot fill a bundle of 5" in said
    status, out, _ = audit(capsys, path, "--estimators", "prompt-mvar", "--reward_step", "0.1", *QUICK)
    assert "not on the declared grid" not in " ".join(out.split())


def test_a_hostile_file(capsys, tmp_path):
    """Markup and control characters in names and prompts neither colour the table nor reach the terminal raw."""
    path = tmp_path / "a.jsonl"
    nasty = "[red]\x1b[31m[/red][/]"
    rows = [{"prompt": nasty + str(n % 2), "reward": n % 3 == 0, "step": 1} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, out, _ = audit(capsys, path, "--estimators", "dr_grpo", *QUICK)
    assert status == 0
    assert "\x1b[31m" not in out
    path.write_text(json.dumps({"prompt": "a", "reward": nasty}) + "\n")
    status, out, err = audit(capsys, path)
    assert (status, out) == (2, "")
    assert "\x1b" not in err
    assert "line 1: `reward` must be a number" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give either files of rollouts or --demo"),
        (["a.jsonl", "--demo"], "give either files of rollouts or --demo"),
        (["nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["--demo", "--estimators", "sortd"], "Did you mean 'sorted'?"),
        (["--demo", "--estimators", "exact,,"], "names separated by single commas, got 'exact,,'"),
        (["--demo", "--estimators", ""], "names separated by single commas, got ''"),
        (["--demo", "--estimators", "this run"], "'this run' is the estimator of a run: give its folder"),
        (["--demo", "--estimater", "sorted"], "unknown option '--estimater'. Did you mean '--estimators'?"),
        (["--demo", "--json", "/nowhere/a.json"], "--json /nowhere/a.json: that is a folder, or lies in none"),
        (["--demo", "--figure", "a.gif"], "name it *.png, *.pdf or *.svg"),
        (["--demo", "--reward_range", "1", "0"], "two finite numbers, the smaller first, got 1 0"),
        (["--demo", "--reward_range", "0", "nan"], "two finite numbers"),
        (["--demo", "--populations", "1"], "--populations and --draws start at 2"),
        (["--demo", "--seed", "-1"], "--seed must be at least 0"),
        (["a.jsonl", "--reward", "a=b"], "--reward takes NAME or NAME=WEIGHT, got 'a=b'"),
    ],
)
def test_errors(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = audit(capsys, *argv)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_rewards_outside_the_range_name_the_flag(capsys, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"prompt": str(n % 5), "reward": (-1) ** n}) + "\n" for n in range(15)))
    status, _, err = audit(capsys, path)
    assert status == 2
    assert "the rewards lie between -1 and 1, outside (0, 1)" in err
    assert "--reward_range -1 1" in err
    status, out, _ = audit(capsys, path, "--reward_range", "-1", "1", "--estimators", "exact", *QUICK)
    assert status == 0
    assert "rewards from -1 to 1, declared -1 to 1" in out


@pytest.mark.parametrize(
    ("rewards", "found", "proposed"),
    [
        ([2.0, 2.0], "are all 2", ["0", "2"]),
        ([-1.0, -1.0], "are all -1", ["-1", "1"]),
        ([0.0, 1.2345678], "lie between 0 and 1.23457", ["0", "1.2345678"]),
        ([0.0, 1.2345642], "lie between 0 and 1.23456", ["0", "1.2345642"]),  # 1.23456 would be too little
    ],
)
def test_the_proposed_range_is_accepted(capsys, tmp_path, rewards, found, proposed):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"prompt": str(n), "reward": r}) + "\n" for n in range(5) for r in rewards))
    status, _, err = audit(capsys, path)
    assert status == 2
    assert f"the rewards {found}, outside" in err
    assert err.split("--reward_range ")[-1].strip(".\n").split() == proposed
    assert audit(capsys, path, "--reward_range", *proposed, "--estimators", "dr_grpo", *QUICK)[0] == 0


# --- a run's folder ---


@pytest.fixture
def run_folder(tmp_path):
    """A run with the arguments as `riskpo train` writes them, and rewards of 0 or 2."""
    args = RiskPOConfig(
        str(tmp_path), preset="sorted", bundle_size=2, reward_range=[0, 2], scale_rewards="batch",
        schedule={"tail_weight": {0: 0.0, 1: 0.5}}, per_device_train_batch_size=40, num_generations=4, use_cpu=True,
        bf16=False,
    )  # fmt: skip
    folder = tmp_path / "run"
    (folder / "completions").mkdir(parents=True)
    (folder / "config.yaml").write_text("preset: sorted\n")
    write_json(folder / "arguments.json", args.to_dict())
    for step in simulated_steps(0, steps=2, prompts=10, responses=4):
        texts = [f"{name}/{place}" for name in step.prompt_ids for place in range(4)]
        table = {
            "step": [step.step] * 40,
            "prompt": [text.split("/")[0] for text in texts],
            "completion": texts,
            "reward": (2.0 * step.rewards_PG).flatten().tolist(),
            "advantage": [0.0] * 40,
            "logprob": step.logps_PG.flatten().tolist(),
        }
        Dataset.from_dict(table).to_parquet(str(folder / "completions" / f"completions_{step.step:05d}.parquet"))
    return folder, args.risk_config


def test_a_runs_own_estimator(capsys, run_folder, tmp_path):
    """Exactly its options, and its range; first, unless others are named."""
    folder, config = run_folder
    assert own_run(folder) == OwnRun(config, None)
    status, out, _ = audit(capsys, folder, "--estimators", "exact,this run", "--json", tmp_path / "a.json", *QUICK)
    assert status == 0
    written = json.loads((tmp_path / "a.json").read_text())
    assert list(written["estimators"]) == ["this run", "exact", "paper", "dr_grpo"]
    assert written["settings"]["reward_range"] == [0.0, 2.0]
    assert written["entropy_skipped"] is None
    assert "declared 0 to 2" in out
    assert audit(capsys, folder, "--estimators", "dr_grpo", "--json", tmp_path / "b.json", *QUICK)[0] == 0
    assert "this run" not in json.loads((tmp_path / "b.json").read_text())["estimators"]


def test_a_runs_estimator_is_audited_on_its_own_rewards_only(capsys, run_folder):
    folder, _ = run_folder
    status, _, err = audit(capsys, folder, "--reward_range", "0", "3")
    assert status == 2
    assert "--reward_range 0 3: the run declared 0 2. Leave the flag out" in err
    arguments = json.loads((folder / "arguments.json").read_text())
    write_json(folder / "arguments.json", arguments | {"reward_weights": [2.0]})
    status, _, err = audit(capsys, folder)
    assert status == 2
    assert "the run weighed its rewards by 2: give each column and weight as --reward NAME=WEIGHT" in err
    write_json(folder / "arguments.json", arguments | {"bundle_size": "many"})
    status, _, err = audit(capsys, folder)
    assert status == 2
    assert "arguments.json does not hold the options of an estimator: `bundle_size` must be" in err


def test_all_estimators_include_the_runs_own(run_folder):
    folder, config = run_folder
    configs, ends = _estimators(_options(folder))
    assert list(configs) == ["this run", *default_names()]
    assert (configs["this run"], ends) == (config, (0.0, 2.0))
    assert all(other.reward_range == ends for other in configs.values())


def _options(folder):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(), "audit")
    return parser.parse_args(["audit", str(folder)])
