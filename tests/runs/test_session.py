"""Everything that can be known to fail is said before anything is built, and a dry run leaves no file behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from riskpo.errors import ConfigError, DataError, RunExistsError
from riskpo.rewards.match import exact_match
from riskpo.runs.arguments import plan_new, plan_resumed
from riskpo.runs.session import check, kept_settings, load_reward
from riskpo.tasks import chain

OWN = ["--model_name_or_path", "some/model", "--num_generations", "4", "--per_device_train_batch_size", "20"]
OWN += ["--use_cpu", "--bf16", "false"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder, which `load_reward` searches, with a module of rewards and files of rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)
    Path("my_rewards.py").write_text("LIMIT = 3\ndef score(completions, **_): return [0.5] * len(completions)\n")
    Path("rows.jsonl").write_text("".join(f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}\n' for n in range(5)))
    Path("answerless.jsonl").write_text("".join(f'{{"prompt": "{n}+1="}}\n' for n in range(5)))
    Path("promptless.jsonl").write_text('{"question": "1+1="}\n' * 5)
    Path("repeated.jsonl").write_text('{"prompt": "1+1=", "answer": "2"}\n' * 5)
    Path("mine.yaml").write_text("max_steps: 2\n")
    return tmp_path


def own(*flags):
    return plan_new(None, "mine.yaml", [*OWN, *flags])


# --- what is accepted ---


def test_the_quickstart_s_inputs():
    """As many distinct prompts as its steps go through, and the first ones do not depend on how many."""
    inputs = check(plan_new("quickstart", None, ["--max_steps", "6", "--eval_prompts", "4"]))
    assert (len(inputs.train), len(inputs.held_out)) == (60, 4)
    assert inputs.train["prompt"][:] == check(plan_new("quickstart", None, ["--max_steps", "8"])).train["prompt"][:60]
    assert inputs.held_out == chain.rows("test", 4, 0)
    assert len(check(plan_new("quickstart", None, ["--task_prompts", "40"])).train) == 40


def test_own_data():
    inputs = check(own("--dataset", "rows.jsonl", "--reward", "exact"))
    assert inputs.train.to_list()[0] == {"prompt": "0+1=", "answer": "1"}
    assert inputs.held_out == []
    assert inputs.reward is exact_match
    repeated = ["--dataset", "repeated.jsonl", "--allow_duplicate_prompts"]
    assert len(check(own(*repeated, "--reward", "exact")).train) == 5


def test_a_hub_id_is_left_alone():
    """Nothing is downloaded to check it."""
    assert check(own("--dataset", "some/data", "--reward", "exact")).train is None


def test_own_rewards():
    """From the working folder; other columns than `answer` are the function's own business."""
    inputs = check(own("--dataset", "answerless.jsonl", "--reward", "my_rewards:score"))
    assert inputs.reward(completions=["a", "b"]) == [0.5, 0.5]
    assert load_reward("exact") is exact_match
    assert check(plan_new("quickstart", None, ["--reward", "numeric"])).reward.__name__ == "numeric_match"


# --- what is refused ---


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ([], ConfigError, "give either --task .* or --dataset"),
        (["--dataset", "rows.jsonl", "--task", "chain"], ConfigError, "give either --task .* or --dataset"),
        (["--dataset", "rows.jsonl"], ConfigError, r"own data needs a --reward: exact, numeric, or package\.module:f"),
        (["--task", "chian"], ConfigError, "unknown task 'chian'. Did you mean 'chain'"),
        (["--dataset", "nowhere.jsonl", "--reward", "exact"], DataError, r"nowhere\.jsonl does not exist"),
        (["--dataset", "answerless.jsonl", "--reward", "exact"], DataError, r"lacks the column\(s\) \['answer'\]"),
        (["--dataset", "promptless.jsonl", "--reward", "exact"], DataError, r"lacks the column\(s\) \['prompt'"),
        (["--dataset", "repeated.jsonl", "--reward", "exact"], DataError, "4 prompts repeat an earlier one"),
        (["--task", "chain", "--task_prompts", "4"], DataError, "has 4 prompts, but one step takes 5"),
        (["--task", "chain", "--max_steps", "0"], ConfigError, "needs --max_steps or --task_prompts"),
        (["--task", "multiplication", "--task_prompts", "46"], DataError, "has 43 problems, 46 wanted"),
        (["--task", "chain", "--eval_prompts", "2", "--eval_ks", "65"], ConfigError, r"--eval_ks \[65\] must lie betw"),
        (["--task", "chain", "--eval_prompts", "2", "--eval_ks", "0"], ConfigError, r"--eval_ks \[0\] must lie betw"),
        (["--task", "chain", "--eval_prompts", "-1"], ConfigError, "--eval_prompts must be >= 0"),
        (["--task", "chain", "--eval_prompts", "2", "--eval_samples", "0"], ConfigError, "--eval_samples .*>= 1"),
        (["--dataset", "rows.jsonl", "--reward", "exact", "--eval_prompts", "2"], ConfigError, "no held-out split"),
        (["--model_name_or_path", "builtin:chain", "--task", "chain"], ConfigError, "unknown built-in model 'chain'"),
        (["--model_name_or_path", "./nowhere", "--task", "chain"], ConfigError, "not the folder of a Transformers"),
        (["--output_dir", ".", "--task", "chain"], RunExistsError, "two runs never share a folder"),
    ],
)
def test_refused(flags, error, message):
    with pytest.raises(error, match=message):
        check(own(*flags))


def test_no_model():
    with pytest.raises(ConfigError, match="no model: set --model_name_or_path"):
        check(plan_new(None, "mine.yaml", [*OWN[2:], "--task", "chain"]))


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("exct", r"unknown reward 'exct'\. Did you mean 'exact'\?.*Or your own function: package\.module:function"),
        ("my_rewards:scores", "the reward 'my_rewards:scores' cannot be loaded: .*has no attribute 'scores'"),
        ("no_such_module:score", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("my_rewards:LIMIT", "the reward 'my_rewards:LIMIT' is a int, not a function"),
    ],
)
def test_refused_rewards(reward, message):
    with pytest.raises(ConfigError, match=message):
        load_reward(reward)


# --- resuming ---


def test_more_steps_keep_the_data(folder):
    """A run that goes on for longer keeps its prompts: the order of an epoch depends on how many there are."""
    plan = plan_new("quickstart", None, ["--max_steps", "4"])
    (folder / "run" / "checkpoint-4").mkdir(parents=True)
    (folder / "run" / "checkpoint-4" / "trainer_state.json").touch()
    kept = kept_settings(plan, check(plan))
    (folder / "run" / "config.yaml").write_text("".join(f"{k}: {v}\n" for k, v in kept.items()))
    resumed = plan_resumed(folder / "run", ["--max_steps", "8"])
    assert len(check(resumed).train) == len(check(plan).train)


# --- dry run ---


def everything_under(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(
    "arguments",
    [["quickstart"], ["--config", "mine.yaml", *OWN, "--dataset", "rows.jsonl", "--reward", "my_rewards:score"]],
)
def test_a_dry_run_touches_nothing(folder, arguments):
    """Neither the working folder, nor the home, nor any cache."""
    places = {"HOME": "home", "RISKPO_CACHE": "cache", "XDG_CACHE_HOME": "xdg", "HF_HOME": "hf"}
    places = {name: str(folder / place) for name, place in places.items()}
    environment = {**os.environ, **places, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    before = everything_under(folder)
    command = [sys.executable, "-m", "riskpo.cli", "train", *arguments, "--dry-run"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "everything checked; nothing was written." in done.stdout
    assert everything_under(folder) == before
