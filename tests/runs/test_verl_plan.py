"""`riskpo train --engine verl`: recipes and flags without TRL, data and command written down, a run of a stand-in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import yaml
from rich.console import Console

from riskpo.errors import ConfigError, DataError, MissingExtraError, ResumeError, RewardError, RunExistsError
from riskpo.runs import verl_session
from riskpo.runs.recipes import engine_of, read_recipe
from riskpo.runs.verl_metrics import FOLDER, collect, next_part
from riskpo.runs.verl_plan import plan_verl, resume_verl
from riskpo.runs.verl_session import check_verl, command_of, execute_verl, in_words

SETTINGS: dict[str, Any] = {
    "model_name_or_path": "org/model",
    "reward": ["numeric"],
    "processes": 2,
    "max_prompt_tokens": 64,
    "num_generations": 4,
    "per_device_train_batch_size": 10,
    "lr_scheduler_type": "constant",
    "use_vllm": True,
    "vllm_importance_sampling_correction": False,
    "max_steps": 4,
    "save_steps": 2,
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    rows = [{"prompt": [{"role": "user", "content": f"{n}+1="}], "answer": n + 1, "extra": [n]} for n in range(12)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {**SETTINGS, "dataset": str(path), "runs_dir": str(tmp_path / "runs")}


def test_flags_win_and_what_follows_two_dashes_goes_to_verl(settings: dict[str, Any]) -> None:
    flags = ["--learning_rate", "2e-6", "--risk_low", "1e-1", "--preset=exact", "--reward", "math", "tag_format"]
    flags += ["--reward_weights", "1", "0.5", "--reward_range", "0", "1.5", "--reward_step", "0.5"]
    flags += ["--gradient_checkpointing", "false", "--", "trainer.x=1", "+a.b=2"]
    plan = plan_verl("mine", {**settings, "verl": ["first=1"]}, flags)
    assert plan.training.learning_rate == 2e-6
    assert plan.training.risk_config.risk_low == 0.1
    assert plan.training.risk_config.pairing == "exact"
    assert plan.training.reward_weights == [1.0, 0.5]
    assert plan.training.gradient_checkpointing is False
    assert plan.run.reward == ["math", "tag_format"]
    assert plan.run.verl == ["first=1", "trainer.x=1", "+a.b=2"]
    assert (plan.sizes.prompts, plan.sizes.mini_batch, plan.sizes.steps, plan.sizes.save_every) == (5, 5, 4, 2)
    assert plan.replaced() == []
    other = plan_verl("mine", settings, ["--", "data.train_batch_size=7", "+a.b=2", "data.shuffle=true"])
    assert other.replaced() == ["data.train_batch_size=7 replaces 5"]
    assert plan.overrides(Path("runs/mine"), plan.run.reward)[-3:] == ["first=1", "trainer.x=1", "+a.b=2"]


@pytest.mark.parametrize(
    ("changed", "flags", "error", "message"),
    [
        ({}, ["--learning_rat", "1"], ConfigError, "Did you mean 'learning_rate'"),
        ({}, ["--warmup_ratio", "0.1"], ConfigError, "Only options that verl has a counterpart of"),
        ({}, ["--num_generations", "four"], ConfigError, "num_generations takes a value of type int, got 'four'"),
        ({}, ["--num_generations", "4", "5"], ConfigError, "num_generations takes a value of type int"),
        ({}, ["--eval_at", "3"], ConfigError, "eval_at is of no use under verl"),
        ({}, ["--", "trainer"], ConfigError, "are key=value, got"),
        ({}, ["stray"], ConfigError, "unexpected arguments"),
        ({"processes": 0}, [], ConfigError, "say how many GPUs"),
        ({"processes": 2}, ["--nodes", "4"], ConfigError, "must be a multiple of nodes=4"),
        ({"max_prompt_tokens": 0}, [], ConfigError, "the length of the longest prompt"),
        ({"reward": ["soft_overlong"]}, [], ConfigError, "reward_manager.name=dapo"),
        ({"model_name_or_path": None}, [], ConfigError, "no model"),
        ({"schedule": "{oops"}, [], ConfigError, "`schedule` is not JSON"),
        ({}, ["--temperature", "-1"], ConfigError, "--temperature must be a finite number > 0"),
        ({}, ["--learning_rate", "-1"], ConfigError, "--learning_rate must be"),
        ({}, ["--save_steps", "-4"], ConfigError, "save_steps must be at least 1"),
        ({}, ["--seed", "-1"], ConfigError, "seed must be at least 0"),
        ({}, ["--epsilon", "-2"], ConfigError, "epsilon must be in"),
        ({}, ["--delta", "0.5", "--importance_sampling_level", "token"], ConfigError, "delta must be above 1"),
        ({}, ["--steps_per_generation", "0"], ConfigError, "steps_per_generation must be at least 1"),
        ({}, ["--vllm_tensor_parallel_size", "3"], ConfigError, "must divide the 2 GPUs of a machine"),
        ({}, ["--vllm_max_model_length", "100"], ConfigError, "completions would be cut short"),
        ({}, ["--eval_prompts", "3"], ConfigError, "own data has no held-out split"),
        ({}, ["--reward_weights", "1", "2"], ConfigError, "one for each of the rewards"),
        ({}, ["--launch", "ddp"], ConfigError, "--launch is of no use under verl"),
        ({}, ["--verl", "a.b=1"], ConfigError, "go behind `--`"),
        ({}, ["--task_template"], ConfigError, "task_template takes a single value, got none"),
    ],
)
def test_what_is_refused(
    settings: dict[str, Any], changed: dict[str, Any], flags: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_verl("mine", {**settings, **changed}, flags)


def test_data_and_reward_are_looked_at_first(settings: dict[str, Any], tmp_path: Path) -> None:
    inputs = check_verl(plan_verl("mine", settings, []))
    assert inputs.reward == ("numeric",)
    assert inputs.train is not None
    assert inputs.train[3]["reward_model"] == {"style": "rule", "ground_truth": "4"}
    prompt = '[{"role": "user", "content": "3+1="}]'
    assert inputs.train[3]["extra_info"] == {"split": "train", "index": 3, "extra": [3], "prompt_json": prompt}
    with pytest.raises(DataError, match="has 12 prompts, but one step takes 20"):
        check_verl(plan_verl("mine", {**settings, "per_device_train_batch_size": 40}, []))
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f'{{"prompt": "{n}+1=", "answer": {n + 1}}}\n' for n in range(12)))
    with pytest.raises(DataError, match="the prompt is a text, and verl's prompts are conversations"):
        check_verl(plan_verl("mine", {**settings, "dataset": str(texts)}, []))
    lacking = tmp_path / "lacking.jsonl"
    lacking.write_text('{"prompt": [{"role": "user", "content": "1+1="}], "gold": 2}\n')
    with pytest.raises(DataError, match=r"lacks the column\(s\) \['answer'\]"):
        check_verl(plan_verl("mine", {**settings, "dataset": str(lacking)}, []))
    lacking.write_text('{"question": "1+1=", "answer": 2}\n')
    with pytest.raises(DataError, match=r"lacks the column\(s\) \['prompt'\]"):
        check_verl(plan_verl("mine", {**settings, "dataset": str(lacking)}, []))
    with pytest.raises(ConfigError, match="own data needs a --reward"):
        check_verl(plan_verl("mine", {key: value for key, value in settings.items() if key != "reward"}, []))


def test_the_command_is_one_that_a_shell_takes(settings: dict[str, Any]) -> None:
    plan = plan_verl("mine", {**settings, "output_dir": "/some where/it's"}, [])
    command = command_of(plan, check_verl(plan), Path("/some where/it's"))
    assert command[1:3] == ["-m", "verl.trainer.main_ppo"]
    import shlex

    assert shlex.split(in_words(command).replace("\\\n", " "))[1:] == command[1:]


def test_a_reward_of_ones_own_gets_the_prompt_and_its_failure_is_told(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
def longer(prompts, completions, **_):
    return [float(len(c[-1]["content"]) > len(p[0]["content"])) for p, c in zip(prompts, completions)]

def broken(prompts, completions, **_):
    return [1.0 / 0.0]
"""
    (tmp_path / "my_plan_rewards.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    check_verl(plan_verl("mine", {**settings, "reward": ["my_plan_rewards:longer"]}, []))
    with pytest.raises(RewardError, match="ZeroDivisionError"):
        check_verl(plan_verl("mine", {**settings, "reward": ["my_plan_rewards:broken"]}, []))


def test_an_empty_text_is_a_text(settings: dict[str, Any]) -> None:
    assert plan_verl("mine", settings, ["--task_system_prompt="]).run.task_system_prompt == ""


def test_secrets_are_not_written_down(settings: dict[str, Any]) -> None:
    word = "+ray_kwargs.ray_init.runtime_env.env_vars.WANDB_API_KEY=abc"
    plan = plan_verl("mine", settings, ["--", word, "a.b=1"])
    assert plan.run.verl == [word, "a.b=1"]
    assert verl_session._public(plan.settings)["verl"] == ["a.b=1"]


def test_a_recipe_with_a_schedule_is_resumed_as_it_was_begun(settings: dict[str, Any], tmp_path: Path) -> None:
    plan = plan_verl("mine", {**settings, "preset": "two-level"}, ["--max_steps", "8", "--save_steps", "4"])
    folder = tmp_path / "begun"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("4")
    (folder / "config.yaml").write_text(yaml.safe_dump(verl_session._public(plan.settings)))
    again = resume_verl(folder, [])
    assert (again.training.max_steps, again.sizes, again.training.risk_config) == (
        8,
        plan.sizes,
        plan.training.risk_config,
    )
    with pytest.raises(ResumeError, match="max_steps cannot change when this run is resumed"):
        resume_verl(folder, ["--max_steps", "16"])


def test_without_verl_nothing_is_written(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskpo.extras.is_installed", lambda module: False)
    plan = plan_verl("mine", settings, [])
    with pytest.raises(MissingExtraError, match=r"riskpo\[verl\]"):
        execute_verl(plan, check_verl(plan), Console(quiet=True))
    assert not Path(settings["runs_dir"]).exists()


def test_without_vllm_what_to_install_is_said(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riskpo.extras.is_installed", lambda module: module == "verl")
    monkeypatch.setattr("riskpo.runs.verl_session.is_installed", lambda module: module == "verl")
    monkeypatch.setattr("riskpo.runs.verl_session.check_environment", lambda: None)
    plan = plan_verl("mine", settings, [])
    with pytest.raises(ConfigError, match=r'pip install "verl\[vllm,fsdp\]"'):
        execute_verl(plan, check_verl(plan), Console(quiet=True))
    assert not Path(settings["runs_dir"]).exists()


def test_a_task_that_makes_its_rows_needs_an_end(settings: dict[str, Any]) -> None:
    made = {**settings, "dataset": None, "task": "chain", "max_steps": -1}
    with pytest.raises(ConfigError, match="to know how many prompts to draw"):
        check_verl(plan_verl("made", made, []))


STAND_IN = """
import json, os, sys
from pathlib import Path
words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = Path(words["trainer.default_local_dir"])
latest = folder / "latest_checkpointed_iteration.txt"
done = int(latest.read_text()) if latest.exists() else 0
stop = int(words.get("+stop", words["trainer.total_training_steps"]))
assert words["+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH"] == os.environ["VERL_FILE_LOGGER_PATH"]
with open(os.environ["VERL_FILE_LOGGER_PATH"], "w") as log:
    for step in range(done + 1, stop + 1):
        data = {"critic/score/mean": step / 10, "actor/entropy": 1.0, "risk/q_low": float(step), "odd": None}
        log.write(json.dumps({"step": step, "data": data}) + "\\n")
        if step % int(words["trainer.save_freq"]) == 0:
            folder.mkdir(parents=True, exist_ok=True)
            latest.write_text(str(step))
sys.exit(0 if stop == int(words["trainer.total_training_steps"]) else 3)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `verl.trainer.main_ppo` that reads the same command line and writes what verl writes."""
    package = tmp_path / "stand-in" / "verl" / "trainer"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "main_ppo.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'stand-in'}:{':'.join(filter(None, sys.path))}")
    monkeypatch.setattr("riskpo.extras.is_installed", lambda module: True)
    monkeypatch.setattr("riskpo.runs.verl_session.is_installed", lambda module: True)
    monkeypatch.setattr("riskpo.runs.verl_session.check_environment", lambda: None)  # TRL may be beside this one
    monkeypatch.setattr("riskpo.runs.verl_session.compose", lambda overrides: None)


@pytest.mark.usefixtures("stand_in")
def test_a_run_that_stops_and_goes_on(settings: dict[str, Any], tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    plan = plan_verl("mine", settings, ["--", "+stop=3"])
    assert execute_verl(plan, check_verl(plan), console) == 3
    folder = tmp_path / "runs" / "mine"
    assert yaml.safe_load((folder / "config.yaml").read_text())["engine"] == "verl"
    assert pyarrow.parquet.read_table(folder / "train.parquet").num_rows == 12
    assert [row["step"] for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())] == [1, 2, 3]
    assert f"resume: riskpo train --resume {folder}" in console.export_text()
    assert engine_of(None, None, folder, []) == "verl"

    with pytest.raises(ResumeError, match="learning_rate cannot change"):
        resume_verl(folder, ["--learning_rate", "1"])
    Path(settings["dataset"]).unlink()  # the run has its data in its folder
    resumed = resume_verl(folder, ["--max_steps", "6", "--", "+stop=6"])
    assert execute_verl(resumed, check_verl(resumed), Console(quiet=True)) == 0
    assert yaml.safe_load((folder / "config.yaml").read_text())["max_steps"] == 6
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[3] == {"step": 4, "reward": 0.4, "entropy": 1.0, "risk/q_low": 4.0}
    assert "trainer.total_training_steps=6" in (folder / "verl.sh").read_text()

    again = plan_verl("mine", {**settings, "output_dir": str(folder)}, [])
    with pytest.raises(RunExistsError, match="two runs never share a folder"):
        check_verl(again)


def test_a_folder_without_a_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("engine: verl\n")
    with pytest.raises(ResumeError, match="no complete checkpoint"):
        resume_verl(tmp_path, [])
    with pytest.raises(ResumeError, match="is not the folder of a run"):
        engine_of(None, None, tmp_path / "nowhere", [])
    with pytest.raises(ResumeError, match="--engine cannot change"):
        engine_of(None, None, tmp_path, ["--engine", "trl"])
    with pytest.raises(ConfigError, match="unknown engine 'ray'"):
        engine_of("quickstart", None, None, ["--engine", "ray"])
    assert engine_of("quickstart", None, None, []) == "trl"


def test_of_a_step_that_was_done_twice_the_later_one_counts(tmp_path: Path) -> None:
    first, second = next_part(tmp_path), tmp_path / FOLDER / "2.jsonl"
    first.write_text("".join(json.dumps({"step": s, "data": {"actor/loss": 1.0, "old": 1}}) + "\n" for s in (1, 2, 3)))
    assert next_part(tmp_path) == second
    second.write_text("".join(json.dumps({"step": s, "data": {"actor/loss": 2.0}}) + "\n" for s in (2,)))
    assert collect(tmp_path) == 2
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 1.0, "old": 1}, {"step": 2, "loss": 2.0}]


@pytest.mark.parametrize("name", ["paper-hard", "paper-easy", "paper-code", "paper-geometry3k"])
def test_the_recipes_of_the_paper_have_a_command_for_verl(name: str) -> None:
    # Images count as tokens of a prompt, and TRL's recipe leaves none out for its length.
    plan = plan_verl(*read_recipe(name, None), ["--max_prompt_tokens", "2048"] if "geometry" in name else [])
    words = dict(one.split("=", 1) for one in plan.overrides(Path("runs") / name, ["math"]))
    assert words["algorithm.riskpo.preset"] == "paper"
    assert words["actor_rollout_ref.actor.policy_loss.loss_mode"] == "gspo"
    sizes = {"paper-hard": ("512", "128", "8"), "paper-easy": ("1024", "512", "4")}
    if name in sizes:
        keys = ("data.train_batch_size", "actor_rollout_ref.actor.ppo_mini_batch_size", "trainer.n_gpus_per_node")
        assert tuple(words[key] for key in keys) == sizes[name]


def test_the_options_are_listed_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    from riskpo.cli.main import main

    assert main(["train", "--engine", "verl", "--list-options"]) == 0
    said = capsys.readouterr().out
    assert all(f"--{name} " in said for name in ("task", "learning_rate", "nodes"))
    assert "risk_low" in said
