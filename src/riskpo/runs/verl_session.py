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
from riskpo.engines.verl.reward import check_rewards, compute_score
from riskpo.errors import ConfigError, DataError
from riskpo.extras import require
from riskpo.models.registry import resolve_model
from riskpo.rewards.trial import trial_completions
from riskpo.runs.environment import describe_environment, is_secret, record_resume
from riskpo.runs.folder import check_free, reserve
from riskpo.runs.rewards import run_reward
from riskpo.runs.task_data import RECORD, TaskInputs, asking_of, task_inputs
from riskpo.runs.verl_metrics import collect, next_part
from riskpo.runs.verl_plan import VerlPlan
from riskpo.tasks.asked import check_asking
from riskpo.tasks.export import as_verl_rows, parquet_of
from riskpo.tasks.files import is_local, load_rows

COMMAND = "verl.sh"


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

    Raises:
        ConfigError, DataError, RewardError, RunExistsError: what is wrong, and what to do.
    """
    if plan.explicit_dir is not None and plan.checkpoint is None:
        check_free(plan.explicit_dir)
    resolve_model(str(plan.training.model_name_or_path), build=False)
    data = _data(plan, hub)
    names = data.reward.names
    if not names:
        raise ConfigError(f"task {plan.run.task} brings a reward of its own, which verl cannot be told: set --reward.")
    check_rewards(names)
    if data.train is None:
        return VerlInputs(None, [], names, notes=data.notes)
    source = str(plan.run.task or plan.run.dataset)
    train = as_verl_rows(list(data.train), source, "train")
    if len(train) < plan.sizes.prompts:
        raise DataError(
            f"{len(train)} prompts cannot fill a step of {plan.sizes.prompts}: use more data or a smaller step."
        )
    held_out = as_verl_rows(data.held_out, plan.run.eval_split, "test") if data.held_out else []
    _try_reward(train, names, plan.training.reward_weights)
    return VerlInputs(train, held_out, names, data.record, data.notes)


def _data(plan: VerlPlan, hub: bool) -> TaskInputs:
    run = plan.run
    if (run.task is None) == (run.dataset is None):
        raise ConfigError(
            "give either --task (riskpo tasks lists them) or --dataset (a JSONL or parquet file, or a hub id)."
        )
    asked = dataclasses.replace(plan, training=dataclasses.replace(plan.training))  # weights are taken out of it
    if run.task is not None:
        return task_inputs(asked, run.task_prompts or plan.sizes.prompts * (plan.sizes.steps or 1), hub=hub)
    check_asking(None, asking_of(run))
    if not run.reward:
        raise ConfigError("own data needs a --reward: math, numeric, code, ..., or package.module:function.")
    reward = run_reward(run.reward, asked.training)
    if not hub and not is_local(str(run.dataset)):
        return TaskInputs(None, [], reward)
    rows = load_rows(str(run.dataset), run.dataset_split, run.dataset_config, run.dataset_revision)
    return TaskInputs(rows, [], reward)


def _try_reward(rows: list[dict[str, Any]], names: tuple[str, ...], weights: list[float] | None) -> None:
    """Scores one made-up completion of each of the first rows, as verl will."""
    first = rows[:2]
    for row, completion in zip(first, trial_completions(first), strict=True):
        text = completion if isinstance(completion, str) else completion[-1]["content"]
        truth = row["reward_model"]["ground_truth"]
        compute_score(row["data_source"], text, truth, row["extra_info"], reward=names, weights=weights)


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
    require("verl", "verl", "verl")
    if inputs.train is None:
        inputs = check_verl(plan, hub=True)
    folder = plan.explicit_dir
    if plan.checkpoint is None:
        folder = reserve(plan.explicit_dir, Path(plan.run.runs_dir), plan.name)
        _write_beginning(plan, inputs, folder)
    assert folder is not None
    if plan.checkpoint is not None:
        changed = record_resume(folder / "environment.json", describe_environment())
        inputs = inputs if changed is None else dataclasses.replace(inputs, notes=(*inputs.notes, changed))
    command, metrics = command_of(plan, inputs, folder), next_part(folder)
    command.append(f"+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH={metrics.resolve()}")
    write_text(folder / COMMAND, in_words(command) + "\n")
    console.print(f"[bold]{plan.name}[/bold]: writing to {folder}", highlight=False, soft_wrap=True)
    for note in inputs.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(in_words(command), highlight=False, markup=False, soft_wrap=True)
    status = _run(command, {**os.environ, "VERL_FILE_LOGGER_PATH": str(metrics.resolve())})
    steps = collect(folder)
    _say_end(folder, status, steps, console)
    return status


def _run(command: list[str], environment: dict[str, str]) -> int:
    """The command's exit status; Ctrl-C reaches it as well, and it is waited for."""
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        return 130


def _write_beginning(plan: VerlPlan, inputs: VerlInputs, folder: Path) -> None:
    kept = {key: value for key, value in plan.settings.items() if not is_secret(key)}
    if plan.run.task is not None and inputs.train is not None:
        kept["task_prompts"] = len(inputs.train)
    write_text(folder / "config.yaml", yaml.safe_dump(kept, sort_keys=False))
    write_json(folder / "arguments.json", {**vars(plan.training), **vars(plan.run)})
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
