"""What a run trains on and is evaluated on when it names a task: rows, held-out rows, the task's scorer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json
from riskpo.errors import ConfigError, DataError
from riskpo.runs.arguments import Plan, RunArguments
from riskpo.runs.rewards import RunReward, run_reward
from riskpo.tasks.asked import Asking, check_asking, needs_hub, task_rows
from riskpo.tasks.base import BuiltInTask, DataTask, Rows, Task
from riskpo.tasks.registry import get_task
from riskpo.tasks.rows import as_dataset

RECORD = "task.json"  # in a run's folder: where its rows came from


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


def task_inputs(plan: Plan, count: int, *, hub: bool, reward: RunReward | None = None) -> TaskInputs:
    """The inputs of a run that names a task.

    Args:
        plan: the run.
        count: training prompts of a task that makes its rows; a data set gives `task_prompts`, or all.
        hub: whether the hub may be asked; otherwise a data set without a local file has `train` None.
        reward: made by an earlier call, which has used up the weights.

    Raises:
        ConfigError, DataError, MissingExtraError: what is wrong, and what to do.
    """
    run, task, asking = plan.run, get_task(str(plan.run.task)), asking_of(plan.run)
    check_asking(task, asking)
    held, split = _held_out_task(task, run)
    if run.eval_prompts and "image" in held.modality:
        raise ConfigError("--eval_prompts asks texts only, and this task has images: set it to 0, and use riskpo eval.")
    reward = reward or _reward(plan, task, asking)
    if not hub and (needs_hub(task, asking) or (run.eval_prompts and needs_hub(held, replace(asking, data_file=None)))):
        return TaskInputs(None, [], reward)
    kept = _kept_commits(plan)
    wanted = run.task_prompts if isinstance(task, DataTask) else count
    taken = replace(asking, revision=asking.revision or kept.get("train"))
    train = task_rows(task.name, "train", wanted, run.task_seed, taken)
    if not plan.training.allow_duplicate_prompts:
        _check_repeats(task, train.rows)
    data = as_dataset(train.rows)
    record, notes = {"train": train.record}, train.notes
    if not run.eval_prompts:
        return TaskInputs(data, [], reward, record if isinstance(task, DataTask) else None, notes)
    found = task_rows(held.name, split, run.eval_prompts, 0, _asking_held_out(task, held, taken, kept))
    record["held_out"] = found.record
    notes = (*notes, *found.notes)
    return TaskInputs(data, found.rows, reward, record if isinstance(task, DataTask) else None, notes)


def _asking_held_out(task: Task, held: Task, taken: Asking, kept: dict[str, str]) -> Asking:
    """Held-out rows are asked in the words of the training rows, and all of them."""
    if not isinstance(task, DataTask):
        return Asking()
    return Asking(
        data_dir=taken.data_dir,
        revision=taken.revision if held is task else kept.get("held_out"),
        template=task.find_template(taken.template).name,
        system=taken.system,
    )


def _held_out_task(task: Task, run: RunArguments) -> tuple[Task, str]:
    """The task and split that `eval_split` means: a split of the task, or another data set's test split."""
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


def _reward(plan: Plan, task: Task, asking: Asking) -> RunReward:
    if plan.run.reward:
        return run_reward(plan.run.reward, plan.training)
    if isinstance(task, DataTask):
        return run_reward([task.scorer_for(task.find_template(asking.template))], plan.training)
    assert isinstance(task, BuiltInTask)
    return RunReward(task.reward, task.reward, ())


def _check_repeats(task: Task, rows: Rows) -> None:
    prompts = [str(row["prompt"]) for row in rows if "image" not in row]
    repeats = len(prompts) - len(set(prompts))
    if repeats:
        raise DataError(
            f"task {task.name}: {repeats} of {len(prompts)} prompts repeat an earlier one. --task_clean true leaves "
            "out repeats, conflicts and known wrong golds; --task_decontaminate true also what benchmarks ask; "
            "--allow_duplicate_prompts true keeps all."
        )


def _kept_commits(plan: Plan) -> dict[str, str]:
    """The commits that a resumed run began with: the hub may have moved on."""
    if plan.checkpoint is None or plan.explicit_dir is None:
        return {}
    path = Path(plan.explicit_dir) / RECORD
    kept = read_json(path) if path.is_file() else {}
    return {part: record["commit"] for part, record in kept.items() if record.get("commit")}
