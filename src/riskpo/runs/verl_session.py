"""What happens in a run under verl: check, write the data and the command down, run it, collect its numbers."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from riskpo.atomic import write_bytes, write_json, write_text
from riskpo.engines.verl.compose import compose
from riskpo.engines.verl.environment import check_environment
from riskpo.engines.verl.reward import check_rewards, compute_score
from riskpo.errors import ConfigError, RewardError, RiskPOError
from riskpo.extras import is_installed, require
from riskpo.models.registry import resolve_model
from riskpo.rewards.trial import CONTRACT, trial_completions
from riskpo.runs.data import check_gold
from riskpo.runs.environment import describe_environment, is_secret, record_resume
from riskpo.runs.folder import check_free, reserve
from riskpo.runs.task_data import RECORD, data_of
from riskpo.runs.verl_metrics import collect, next_part
from riskpo.runs.verl_plan import VerlPlan
from riskpo.tasks.checks import check_train_set
from riskpo.tasks.export import as_verl_rows, parquet_of

COMMAND = "verl.sh"
_COLLECT_EVERY = 30.0  # seconds between readings of verl's log


@dataclass(frozen=True)
class VerlInputs:
    """What a run trains on, checked.

    Args:
        train: verl's rows; None: on the hub, loaded later.
        held_out: verl's rows.
        reward: the names of its parts.
        record: where the rows came from.
        notes: lines to say.
    """

    train: list[dict[str, Any]] | None
    held_out: list[dict[str, Any]]
    reward: tuple[str, ...]
    record: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def check_verl(plan: VerlPlan, *, hub: bool = False) -> VerlInputs:
    """Loads and checks everything that can be had without touching the disk, and the network only if `hub`.

    A resumed run has its data in its folder already.

    Raises:
        ConfigError, DataError, RewardError, RunExistsError: what is wrong, and what to do.
    """
    if plan.checkpoint is not None:
        return VerlInputs(None, [], tuple(plan.run.reward))
    if plan.explicit_dir is not None:
        check_free(plan.explicit_dir)
    resolve_model(str(plan.training.model_name_or_path), build=False)
    asked = dataclasses.replace(plan, training=dataclasses.replace(plan.training))  # weights are taken out of it
    data = data_of(asked, lambda: _prompts_used(plan), hub=hub)
    names = data.reward.names
    if not names:
        raise ConfigError(f"task {plan.run.task} brings a reward of its own, which verl cannot be told: set --reward.")
    check_rewards(names)
    if data.train is None:
        return VerlInputs(None, [], names, notes=data.notes)
    how = f"{plan.sizes.prompts * plan.training.num_generations} responses / {plan.training.num_generations} per prompt"
    allowed = plan.training.allow_duplicate_prompts
    check_train_set(data.train, plan.sizes.prompts, how, allowed, data.reward.columns)
    note = check_gold(data.train, names[0], data.reward.judge)
    train = as_verl_rows(list(data.train), str(plan.run.task or plan.run.dataset), "train")
    held_out = as_verl_rows(data.held_out, plan.run.eval_split, "test") if data.held_out else []
    _try_reward(train, names, plan.training.reward_weights)
    notes = [*data.notes, *([] if note is None else [note]), *plan.replaced()]
    return VerlInputs(train, held_out, names, data.record, tuple(notes))


def _prompts_used(plan: VerlPlan) -> int:
    if plan.sizes.steps is None:
        raise ConfigError("a built-in task needs --max_steps or --task_prompts to know how many prompts to draw.")
    return plan.sizes.prompts * plan.sizes.steps


def _try_reward(rows: list[dict[str, Any]], names: tuple[str, ...], weights: list[float] | None) -> None:
    """Scores one made-up completion of each of the first rows, as verl will."""
    first = rows[:2]
    for row, completion in zip(first, trial_completions(first), strict=True):
        text = completion if isinstance(completion, str) else completion[-1]["content"]
        truth = row["reward_model"]["ground_truth"]
        try:
            compute_score(row["data_source"], text, truth, row["extra_info"], reward=names, weights=weights)
        except RiskPOError:
            raise
        except Exception as error:  # a user's function: under verl it would lose the response and go on
            raise RewardError(
                f"the reward {list(names)} failed on {text!r}: {type(error).__name__}: {error}. {CONTRACT}"
            ) from error


def command_of(plan: VerlPlan, inputs: VerlInputs, folder: Path) -> list[str]:
    """verl's command line for a run in this folder."""
    return [
        sys.executable,
        "-m",
        "verl.trainer.main_ppo",
        "--config-path",
        "pkg://riskpo.engines.verl.conf",
        "--config-name",
        "riskpo",
        f"hydra.run.dir={folder.resolve() / 'hydra'}",
        *plan.overrides(folder, inputs.reward),
    ]


def in_words(command: list[str]) -> str:
    """The command as a shell takes it, an override a line."""
    head, overrides = command[:7], command[7:]
    return " \\\n    ".join([shlex.join(["python", *head[1:]]), *map(shlex.quote, overrides)])


def execute_verl(plan: VerlPlan, inputs: VerlInputs, console: Console) -> int:
    """Writes a checked run down and runs it. Returns verl's exit status, or 130 after Ctrl-C.

    Raises:
        MissingExtraError: before anything is written, where verl is not installed.
    """
    _check_here(plan)
    if inputs.train is None and plan.checkpoint is None:
        inputs = check_verl(plan, hub=True)
    folder = plan.explicit_dir
    if plan.checkpoint is None:
        compose(plan.overrides(Path(plan.run.runs_dir) / plan.name, inputs.reward))
        folder = reserve(plan.explicit_dir, Path(plan.run.runs_dir), plan.name)
        _write_beginning(plan, inputs, folder)
    assert folder is not None
    if plan.checkpoint is not None:
        compose(plan.overrides(folder, inputs.reward))
        write_text(folder / "config.yaml", yaml.safe_dump(_public(plan.settings), sort_keys=False))
        changed = record_resume(folder / "environment.json", describe_environment())
        inputs = inputs if changed is None else dataclasses.replace(inputs, notes=(*inputs.notes, changed))
    command, metrics = command_of(plan, inputs, folder), next_part(folder)
    command.append(f"+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH={metrics.resolve()}")
    shown = in_words([word for word in command if not is_secret(word.split("=")[0])])
    write_text(folder / COMMAND, shown + "\n")
    console.print(f"[bold]{plan.name}[/bold]: writing to {folder}", highlight=False, soft_wrap=True)
    for note in inputs.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(shown, highlight=False, markup=False, soft_wrap=True)
    status = _run(command, {**os.environ, "VERL_FILE_LOGGER_PATH": str(metrics.resolve())}, folder)
    steps = collect(folder)
    _say_end(folder, status, steps, console)
    return status


def _check_here(plan: VerlPlan) -> None:
    """What this machine must have: verl without TRL beside it, and vLLM unless another server is asked for."""
    require("verl", "verl", "verl")
    check_environment()
    other = any(word.lstrip("+").startswith("actor_rollout_ref.rollout.name=") for word in plan.run.verl)
    if not other and not is_installed("vllm"):
        raise ConfigError('vLLM is not installed here: pip install "verl[vllm,fsdp]" into the environment of verl.')


def _run(command: list[str], environment: dict[str, str], folder: Path) -> int:
    """The command's exit status. Meanwhile its numbers are collected; Ctrl-C reaches it too, and it is waited for."""
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait(timeout=_COLLECT_EVERY)
        except subprocess.TimeoutExpired:
            collect(folder)
        except KeyboardInterrupt:
            process.wait()
            return 130


def _public(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without what must not be written down."""
    kept = {key: value for key, value in settings.items() if not is_secret(key)}
    if "verl" in kept:
        kept["verl"] = [word for word in kept["verl"] if not is_secret(word.split("=")[0])]
    return kept


def _write_beginning(plan: VerlPlan, inputs: VerlInputs, folder: Path) -> None:
    kept = {**_public(plan.settings), "reward": list(inputs.reward)}  # a resume does not ask the task again
    if plan.run.task is not None and inputs.train is not None:
        kept["task_prompts"] = len(inputs.train)
    write_text(folder / "config.yaml", yaml.safe_dump(kept, sort_keys=False))
    write_json(folder / "arguments.json", _public({**vars(plan.training), **vars(plan.run)}))
    write_json(folder / "environment.json", describe_environment())
    if inputs.record is not None:
        write_json(folder / RECORD, inputs.record)
    write_bytes(folder / "train.parquet", parquet_of(inputs.train or []))
    if inputs.held_out:
        write_bytes(folder / "held_out.parquet", parquet_of(inputs.held_out))


def _say_end(folder: Path, status: int, steps: int, console: Console) -> None:
    latest = folder / "checkpoints" / "latest_checkpointed_iteration.txt"
    said = [f"verl ended with status {status} after {steps} logged steps."]
    if latest.is_file():
        actor = folder / "checkpoints" / f"global_step_{latest.read_text().strip()}" / "actor"
        said.append(f"resume: riskpo train --resume {folder}")
        target = folder / "model"
        said.append(
            "the model for Transformers: "
            f"python -m verl.model_merger merge --backend fsdp --local_dir {actor} --target_dir {target}"
        )
    if steps:
        said.append(f"report: riskpo report {folder}")
    console.print("\n".join(said), highlight=False, markup=False, soft_wrap=True)
