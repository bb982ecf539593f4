"""What a run trains on and is evaluated on when it names a task: rows, held-out rows, the task's scorer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from riskpo.atomic import read_json
from riskpo.errors import ConfigError, DataError
from riskpo.rewards.registry import REWARDS
from riskpo.runs.rewards import RewardOptions, RunReward, run_reward
from riskpo.runs.run_arguments import RunArguments
from riskpo.tasks.asked import Asking, check_asking, needs_hub, task_rows
from riskpo.tasks.base import BuiltInTask, DataTask, Rows, Task
from riskpo.tasks.files import is_local, load_rows
from riskpo.tasks.registry import TASKS, get_task
from riskpo.tasks.rows import as_dataset, drawn

RECORD = "task.json"  # in a run's folder: where its rows came from


class TaskOptions(RewardOptions, Protocol):
    """The engine's options that a task's rows and reward depend on."""

    allow_duplicate_prompts: bool


class Planned(Protocol):
    """A run, whatever engine trains it."""

    @property
    def run(self) -> RunArguments: ...
    @property
    def training(self) -> TaskOptions: ...
    @property
    def checkpoint(self) -> Path | None: ...
    @property
    def explicit_dir(self) -> Path | None: ...


@dataclass(frozen=True)
class TaskInputs:
    """What a task gives to a run.

    Args:
        train: the training set; None: on the hub, not looked at yet.
        held_out: rows to evaluate on.
        reward: what is trained on, and what is evaluated.
        record: where the rows came from.
        notes: lines to say.
    """

    train: Any
    held_out: Rows
    reward: RunReward
    record: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def asking_of(run: RunArguments) -> Asking:
    """The options of a run that say where a data set's rows come from and how they are asked."""
    return Asking(
        run.data_file,
        run.data_dir,
        run.dataset_revision,
        run.task_template,
        run.task_system_prompt,
        run.task_clean,
        run.task_decontaminate,
    )


def data_of(plan: Planned, prompts_used: Callable[[], int], *, hub: bool) -> TaskInputs:
    """Training set, held-out rows and reward of a run, from its task or from its own data.

    Args:
        plan: the run.
        prompts_used: how many prompts the run goes through; asked where a task makes its rows.
        hub: whether the hub may be asked; otherwise what lies there has `train` None.

    Raises:
        ConfigError, DataError, MissingExtraError: what is wrong, and what to do.
    """
    run = plan.run
    if (run.task is None) == (run.dataset is None):
        raise ConfigError(
            "give either --task (riskpo tasks lists them) or --dataset (a JSONL or parquet file, or a hub id)."
        )
    if run.task is not None:
        makes = run.task in TASKS or run.task.startswith("gym:")
        return task_inputs(plan, run.task_prompts or (prompts_used() if makes else 0), hub=hub)
    check_asking(None, asking_of(run))
    if not run.reward:
        raise ConfigError(f"own data needs a --reward: {', '.join(REWARDS)}, or package.module:function.")
    reward = run_reward(run.reward, plan.training)
    return TaskInputs(own_rows(run) if hub or is_local(str(run.dataset)) else None, [], reward)


def own_rows(run: RunArguments) -> Any:
    """The rows of a run's own data, wherever they lie."""
    return load_rows(str(run.dataset), run.dataset_split, run.dataset_config, run.dataset_revision)


def task_inputs(plan: Planned, count: int, *, hub: bool, reward: RunReward | None = None) -> TaskInputs:
    """The inputs of a run that names a task.

    Args:
        plan: the run.
        count: training prompts of a task that makes its rows; a data set gives `task_prompts`, or all.
        hub: whether the hub may be asked; otherwise a data set without a local file has `train` None.
        reward: made by an earlier call, which has used up the weights.

    Raises:
        ConfigError, DataError, MissingExtraError: what is wrong, and what to do.
    """
    run, tasks, asking = plan.run, _tasks(plan.run), asking_of(plan.run)
    task = tasks[0]
    for one in tasks:
        check_asking(one, asking)
    held, split = _held_out_task(tasks, run)
    if run.eval_prompts and "image" in held.modality:
        raise ConfigError("--eval_prompts asks texts only, and this task has images: set it to 0, and use riskpo eval.")
    reward = reward or _reward(plan, tasks, asking)
    if not hub and (needs_hub(task, asking) or (run.eval_prompts and needs_hub(held, replace(asking, data_file=None)))):
        return TaskInputs(None, [], reward)
    kept = _kept_commits(plan)
    rows, record, notes = _train_rows(tasks, run, count, asking, kept)
    if not plan.training.allow_duplicate_prompts:
        _check_repeats(str(run.task), rows)
    data = as_dataset(rows)
    if not run.eval_prompts:
        return TaskInputs(data, [], reward, record if isinstance(task, DataTask) else None, notes)
    wanted = run.eval_offset + run.eval_prompts
    found = task_rows(held.name, split, wanted, 0, _asking_held_out(task, held, asking, kept))
    record["held_out"] = found.record
    notes = (*notes, *found.notes)
    held_out = found.rows[run.eval_offset :]
    return TaskInputs(data, held_out, reward, record if isinstance(task, DataTask) else None, notes)


def _tasks(run: RunArguments) -> list[Task]:
    """The tasks that `--task` names: one, or several data sets, which are mixed row by row.

    Raises:
        ConfigError: an unknown name, one twice, or several that cannot be mixed.
    """
    names = [name.strip() for name in str(run.task).split(",")]
    tasks = [get_task(name) for name in names]
    if len(tasks) == 1:
        return tasks
    if len(set(names)) != len(names):
        raise ConfigError(f"--task names one task twice: {run.task}.")
    made = [task.name for task in tasks if not isinstance(task, DataTask)]
    if made:
        raise ConfigError(f"--task {run.task}: only data sets can be mixed, and {made[0]} makes its rows.")
    if len({task.modality for task in tasks}) > 1:
        raise ConfigError(f"--task {run.task}: tasks with and without images cannot be mixed.")
    for option in ("data_file", "dataset_revision"):
        if getattr(run, option):
            raise ConfigError(f"--{option} is of one task, and --task names {len(tasks)}: use --data_dir.")
    return tasks


def _train_rows(
    tasks: list[Task], run: RunArguments, count: int, asking: Asking, kept: dict[str, str]
) -> tuple[Rows, dict[str, Any], tuple[str, ...]]:
    """Rows of one task, or of several in one random order; what to write down of each, and what to say."""
    if len(tasks) == 1:
        wanted = run.task_prompts if isinstance(tasks[0], DataTask) else count
        taken = replace(asking, revision=asking.revision or kept.get("train"))
        found = task_rows(tasks[0].name, "train", wanted, run.task_seed, taken)
        return found.rows, {"train": found.record}, found.notes
    parts = {f"train {task.name}": task.name for task in tasks}
    loaded = {
        part: task_rows(name, "train", 0, run.task_seed, replace(asking, revision=kept.get(part)))
        for part, name in parts.items()
    }
    every = [row for found in loaded.values() for row in found.rows]
    try:
        rows = drawn(every, run.task_prompts, run.task_seed)
    except ValueError as error:
        raise DataError(f"--task {run.task}: {error}: lower --task_prompts.") from error
    record = {part: found.record for part, found in loaded.items()}
    return rows, record, tuple(note for found in loaded.values() for note in found.notes)


def _asking_held_out(task: Task, held: Task, asking: Asking, kept: dict[str, str]) -> Asking:
    """Held-out rows are asked in the words of the training rows, and all of them."""
    if not isinstance(task, DataTask):
        return Asking()
    revision = asking.revision or kept.get("train") if held is task else kept.get("held_out")
    return Asking(
        data_dir=asking.data_dir,
        revision=revision,
        template=task.find_template(asking.template).name,
        system=asking.system,
    )


def held_out_of(run: RunArguments) -> tuple[Task, str]:
    """The task and split that a run's held-out prompts are of.

    Raises:
        ConfigError, DataError: an unknown task, or a split that it does not have.
    """
    return _held_out_task(_tasks(run), run)


def _held_out_task(tasks: list[Task], run: RunArguments) -> tuple[Task, str]:
    """The task and split that `eval_split` means: a split of the task, or another data set's test split."""
    task = tasks[0]
    if len(tasks) > 1 and run.eval_prompts and run.eval_split in task.splits:
        raise DataError(
            f"--eval_split {run.eval_split} could be of any of {run.task}: name a benchmark (math500), or set "
            "--eval_prompts 0."
        )
    if run.eval_split in task.splits or not run.eval_prompts:
        return task, run.eval_split
    try:
        other = get_task(run.eval_split)
    except ConfigError:
        other = None
    if not isinstance(other, DataTask) or not isinstance(task, DataTask):
        if isinstance(task, BuiltInTask):
            return task, run.eval_split  # it says itself which splits it has
        raise DataError(
            f"--eval_split {run.eval_split}: task {task.name} has the splits {', '.join(task.splits)}. Name one of "
            "them, or a benchmark with answers of the same kind (aime24), or set --eval_prompts 0."
        )
    return other, "test"


def _reward(plan: Planned, tasks: list[Task], asking: Asking) -> RunReward:
    if plan.run.reward:
        return run_reward(plan.run.reward, plan.training)
    if isinstance(tasks[0], BuiltInTask):
        return RunReward(tasks[0].reward, tasks[0].reward, ())
    scorers = {task.name: task.scorer_for(task.find_template(asking.template)) for task in map(_as_data, tasks)}
    if len(set(scorers.values())) > 1:
        said = ", ".join(f"{name} by {scorer}" for name, scorer in scorers.items())
        raise ConfigError(
            f"--task {plan.run.task}: asked in their own words the tasks are scored differently ({said}). Ask all in "
            "one form with --task_template, e.g. boxed, or set --reward."
        )
    return run_reward([next(iter(scorers.values()))], plan.training)


def _as_data(task: Task) -> DataTask:
    assert isinstance(task, DataTask)
    return task


def _check_repeats(name: str, rows: Rows) -> None:
    prompts = [str(row["prompt"]) for row in rows if "image" not in row]
    repeats = len(prompts) - len(set(prompts))
    if repeats:
        raise DataError(
            f"task {name}: {repeats} of {len(prompts)} prompts repeat an earlier one. --task_clean true leaves "
            "out repeats, conflicts and known wrong golds; --task_decontaminate true also what benchmarks ask; "
            "--allow_duplicate_prompts true keeps all."
        )


def _kept_commits(plan: Planned) -> dict[str, str]:
    """The commits that a resumed run began with: the hub may have moved on."""
    if plan.checkpoint is None or plan.explicit_dir is None:
        return {}
    path = Path(plan.explicit_dir) / RECORD
    kept = read_json(path) if path.is_file() else {}
    return {part: record["commit"] for part, record in kept.items() if record.get("commit")}
