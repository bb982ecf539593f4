"""Everything that can be known to fail is said before anything is built, and a dry run leaves no file behind."""

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from riskpo.errors import ConfigError, DataError, ResumeError, RewardError, RunExistsError
from riskpo.rewards.match import exact_match
from riskpo.runs.arguments import plan_new, plan_resumed
from riskpo.runs.callbacks import Begun
from riskpo.runs.data import keep_data
from riskpo.runs.rewards import load_reward
from riskpo.runs.session import check, execute, kept_settings
from riskpo.tasks import chain

OWN = ["--model_name_or_path", "some/model", "--num_generations", "4", "--per_device_train_batch_size", "20"]
OWN += ["--use_cpu", "--bf16", "false"]


REWARDS = """
LIMIT = 3
def score(completions, **_): return [0.5] * len(completions)
def word(completions, **_): return "good"
def short(completions, **_): return [0.5]
def chatty(completions, **_): return [float(c[0]["content"] == "0") for c in completions]
def texts(completions, **_): return [float(c.strip() == "0") for c in completions]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder, which `load_reward` searches, with a module of rewards and files of rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)
    Path("my_rewards.py").write_text(REWARDS)
    Path("gsm8k.jsonl").write_text("".join(f'{{"prompt": "{n}+1=", "answer": "#### {n + 1}"}}\n' for n in range(5)))
    Path("some.jsonl").write_text("".join(f'{{"prompt": "{n}+1=", "answer": "{n}{"ab"[n:]}"}}\n' for n in range(5)))
    chat = '{{"prompt": [{{"role": "user", "content": "{}+1="}}]}}\n'
    Path("chat.jsonl").write_text("".join(chat.format(n) for n in range(5)))
    Path("folder").mkdir()
    Path("rows.jsonl").write_text("".join(f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}\n' for n in range(5)))
    Path("answerless.jsonl").write_text("".join(f'{{"prompt": "{n}+1="}}\n' for n in range(5)))
    Path("promptless.jsonl").write_text('{"question": "1+1="}\n' * 5)
    Path("repeated.jsonl").write_text('{"prompt": "1+1=", "answer": "2"}\n' * 5)
    Path("images.jsonl").write_text(
        "".join(f'{{"prompt": "{n}+1=", "answer": "{n + 1}", "image": "{n}"}}\n' for n in range(5))
    )
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


def test_prompts_for_dynamic_sampling():
    """What one step can use up, 20 x (1 + 10), or what the steps go through where that is more: 20 for two updates."""
    flags = ["--dynamic_sampling", "true", "--eval_prompts", "0", "--max_steps"]
    counts = [len(check(plan_new("quickstart", None, [*flags, steps])).train) for steps in ("4", "40")]
    assert counts == [220, 400]


def test_own_data():
    inputs = check(own("--dataset", "rows.jsonl", "--reward", "exact"))
    assert inputs.train.to_list()[0] == {"prompt": "0+1=", "answer": "1"}
    assert inputs.held_out == []
    assert inputs.reward.train is inputs.reward.judge is exact_match
    repeated = ["--dataset", "repeated.jsonl", "--allow_duplicate_prompts"]
    assert len(check(own(*repeated, "--reward", "exact")).train) == 5


def test_a_hub_id_is_left_alone():
    """Nothing is downloaded to check it."""
    assert check(own("--dataset", "some/data", "--reward", "exact")).train is None


def test_own_rewards():
    """From the working folder; other columns than `answer` are the function's own business."""
    inputs = check(own("--dataset", "answerless.jsonl", "--reward", "my_rewards:score"))
    assert inputs.reward.train(completions=["a", "b"]) == [0.5, 0.5]
    assert load_reward("exact") is exact_match
    assert check(plan_new("quickstart", None, ["--reward", "numeric"])).reward.train.__name__ == "numeric_match"


def test_conversations():
    """The trial's completions are conversations where the prompts are."""
    assert len(check(own("--dataset", "chat.jsonl", "--reward", "my_rewards:chatty")).train) == 5
    with pytest.raises(RewardError, match="AttributeError"):
        check(own("--dataset", "chat.jsonl", "--reward", "my_rewards:texts"))
    unchecked = check(own("--dataset", "chat.jsonl", "--reward", "my_rewards:texts", "--check_rewards", "false"))
    assert (unchecked.checked, unchecked.unchecked[0]) == (("training set",), "the reward")


def test_some_gold_answers_are_no_numbers():
    (note,) = check(own("--dataset", "some.jsonl", "--reward", "numeric")).notes
    assert note.startswith("2 of 5 gold answers cannot be used by reward numeric (the first: row 1, '0ab')")
    assert check(own("--dataset", "rows.jsonl", "--reward", "numeric")).notes == ()


# --- what is refused ---


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ([], ConfigError, "give either --task .* or --dataset"),
        (["--dataset", "rows.jsonl", "--task", "chain"], ConfigError, "give either --task .* or --dataset"),
        (["--dataset", "rows.jsonl"], ConfigError, r"own data needs a --reward: exact, numeric, "),
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
        (
            ["--model_name_or_path", "folder", "--task", "chain"],
            ConfigError,
            "folder is not the folder of a Transformer",
        ),
        (
            ["--task", "chain", "--temperature", "0"],
            ConfigError,
            r"--temperature must be a finite number > 0, got 0\.0",
        ),
        (["--task", "chain", "--threads", "-2"], ConfigError, "--threads must be at least 0, got -2"),
        (["--task", "chain", "--completions_every", "-3"], ConfigError, "--completions_every must be at least 0"),
        (["--task", "chain", "--learning_rate", "nan"], ConfigError, "--learning_rate must be a finite number >= 0"),
        (["--task", "chain", "--learning_rate", "-1"], ConfigError, "--learning_rate must be .* got -1"),
        (["--task", "chain", "--learning_rate", "inf"], ConfigError, "--learning_rate must be .* got inf"),
        (["--task", "chain", "--epsilon", "nan"], ConfigError, "--epsilon must be a number, got nan"),
        (["--task", "chain", "--top_p", "0"], ConfigError, r"--top_p must be in \(0, 1\], got 0"),
        (
            ["--task", "chain", "--eval_prompts", "2", "--eval_at", "1", "3"],
            ConfigError,
            "--eval_at 3 is beyond the last step: --max_steps is 2",
        ),
        (
            ["--dataset", "gsm8k.jsonl", "--reward", "numeric"],
            DataError,
            r"in row 1, is '#### 1'; expected is a single",
        ),
        (["--dataset", "rows.jsonl", "--reward", "my_rewards:word"], RewardError, "'word' returned a str, not a list"),
        (["--dataset", "rows.jsonl", "--reward", "my_rewards:short"], RewardError, "1 rewards for 2 completions"),
        (["--output_dir", ".", "--task", "chain"], RunExistsError, "two runs never share a folder"),
        (
            ["--dataset", "rows.jsonl", "--reward", "exact", "--dynamic_sampling", "true"],
            ConfigError,
            "has 5 different prompts, but a step of 5 .* could use up 55",
        ),
        (
            ["--dataset", "images.jsonl", "--reward", "exact", "--composition", "sorted"],
            ConfigError,
            "add a column `prompt_id`",
        ),
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
    (folder / "run" / "checkpoint-4" / "trainer_state.json").write_text("{}")
    kept = kept_settings(plan, check(plan))
    (folder / "run" / "config.yaml").write_text("".join(f"{k}: {v}\n" for k, v in kept.items()))
    resumed = plan_resumed(folder / "run", ["--max_steps", "8"])
    assert len(check(resumed).train) == len(check(plan).train)


def test_other_data_than_at_the_start(folder):
    plan = own("--dataset", "rows.jsonl", "--reward", "exact")
    (folder / "run" / "checkpoint-2").mkdir(parents=True)
    (folder / "run" / "checkpoint-2" / "trainer_state.json").write_text("{}")
    (folder / "run" / "config.yaml").write_text("".join(f"{k}: {v}\n" for k, v in plan.settings.items()))
    keep_data(folder / "run", check(plan).train)
    check(plan_resumed(folder / "run", []))
    with Path("rows.jsonl").open("a") as file:
        file.write('{"prompt": "9+9=", "answer": "18"}\n')
    with pytest.raises(ResumeError, match="it had 5 rows at the start and has 6 now"):
        check(plan_resumed(folder / "run", []))


# --- runs that come to nothing, without a model ---


class Trainer:
    """Stands in for the trainer: calls what it is given in place of training and of saving."""

    def __init__(self, train=lambda: None, save=lambda: None):
        self.state = SimpleNamespace(global_step=2)
        self.accelerator = SimpleNamespace(state=SimpleNamespace())  # of one process: nothing lies in shards
        self.train = lambda **_: train()
        self.save_model = lambda _: save()


def execute_with(monkeypatch, plan, make):
    """Executes a plan whose trainer is `make(callbacks)`. Returns the exit status and what was printed."""
    monkeypatch.setattr("riskpo.runs.session._trainer", lambda *arguments: make(arguments[-1]))
    console = Console(file=io.StringIO(), width=40)
    return execute(plan, check(plan), console), console.file.getvalue()


def interrupted(*_):
    raise KeyboardInterrupt


def fails(*_):
    raise ConfigError("could not be loaded")


def test_a_run_that_fails_at_once_leaves_nothing(folder, monkeypatch):
    """So that the same command can be given again; a folder that was there before stays, empty."""
    flags = ["--dataset", "rows.jsonl", "--reward", "exact"]
    Path("empty").mkdir()
    for more in ([], ["--output_dir", "new"], ["--output_dir", "empty"]):
        with pytest.raises(ConfigError, match="could not be loaded"):
            execute_with(monkeypatch, own(*flags, *more), fails)
    with pytest.raises(RuntimeError, match="in the first step"):
        execute_with(monkeypatch, own(*flags, "--output_dir", "new"), lambda _: Trainer(train=first_step))
    assert list(Path("runs").iterdir()) == list(Path("empty").iterdir()) == []
    assert not Path("new").exists()


def first_step():
    assert Path("new/config.yaml").is_file()
    raise RuntimeError("in the first step")


def test_a_run_that_fails_later_stays(folder, monkeypatch):
    def make(callbacks):
        def train():
            (begun,) = (callback for callback in callbacks if isinstance(callback, Begun))
            begun.on_step_end(None, None, None)
            raise RuntimeError("in the second step")

        return Trainer(train)

    with pytest.raises(RuntimeError, match="in the second step"):
        execute_with(monkeypatch, own("--dataset", "rows.jsonl", "--reward", "exact"), make)
    assert (folder / "runs" / "mine" / "config.yaml").is_file()


def test_ctrl_c_while_the_end_is_evaluated(folder, monkeypatch):
    """The way to go on is said, in one line."""

    def train():
        (folder / "run" / "checkpoint-2").mkdir()
        (folder / "run" / "checkpoint-2" / "trainer_state.json").write_text("{}")

    plan = own("--dataset", "rows.jsonl", "--reward", "exact", "--output_dir", str(folder / "run"))
    status, said = execute_with(monkeypatch, plan, lambda _: Trainer(train, save=interrupted))
    assert status == 130
    expected = "Stopped after training, before its end was evaluated. Resume with: riskpo train --resume"
    assert said.splitlines()[-1] == f"{expected} {folder / 'run'}"


def test_what_else_a_run_says_first(folder, monkeypatch):
    plan = own("--dataset", "some.jsonl", "--reward", "numeric")
    status, said = execute_with(monkeypatch, plan, lambda _: Trainer(train=interrupted))
    assert status == 130
    assert "\nnote: 2 of 5 gold answers cannot be used" in said
    assert "No checkpoint was saved yet" in said


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
    assert done.stdout.endswith(
        "Checked: options, training set, the reward on its first rows. Not checked: whether the model loads and fits. "
        "Nothing was written.\n"
    )
    assert everything_under(folder) == before


def test_a_finished_run_does_not_fail_for_want_of_a_page(tmp_path, monkeypatch, capsys):
    from rich.console import Console

    from riskpo.reports.page import finish
    from riskpo.runs import session

    def broken(folder):
        raise TypeError("no such thing")

    monkeypatch.setattr(finish, "write_report", broken)
    session._say_report(tmp_path / "a run", Console())
    again = f"riskpo report '{tmp_path / 'a run'}'"
    assert capsys.readouterr().out == f"no report was written: TypeError: no such thing\nagain: {again}\n"
