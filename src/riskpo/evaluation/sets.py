"""What `riskpo eval` asks: the questions of tasks by name, or of a file of one's own, with what judges the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riskpo.errors import ConfigError
from riskpo.evaluation.questions import QuestionSet, question_set
from riskpo.rewards.judge import Judge
from riskpo.runs.rewards import load_reward
from riskpo.tasks.asked import Asking, task_rows
from riskpo.tasks.base import DataTask, Task
from riskpo.tasks.files import load_rows
from riskpo.tasks.registry import get_task
from riskpo.tasks.rows import with_open_image

MADE = 256  # questions of a task that makes its rows, unless it has fewer or more are asked for


def task_sets(
    names: Sequence[str], split: str | None, asking: Asking, *, limit: int = 0, limit_seed: int = 0
) -> list[QuestionSet]:
    """The questions of tasks.

    Args:
        names: of the tasks.
        split: of each; None: its test split, or the only one it has.
        asking: where the rows of data sets come from, and in which words they are asked.
        limit: ask so many of a task's questions only; 0 = all, of a task that makes its rows `MADE`.
        limit_seed: of which ones.

    Raises:
        ConfigError, DataError, MissingExtraError: what is wrong, and what to do.
    """
    if asking.data_file is not None and len(names) > 1:
        raise ConfigError(f"--data_file is of one task, and --tasks names {len(names)}: use --data_dir.")
    return [_task_set(get_task(name), split, asking, limit, limit_seed) for name in names]


def own_set(path: str, reward: str, *, limit: int = 0, limit_seed: int = 0) -> QuestionSet:
    """The questions of a file. Raises ConfigError or DataError."""
    rows = load_rows(path).to_list()
    judge = Judge(load_reward(reward), reward)
    return question_set(Path(path).name.split(".")[0], rows, judge, limit=limit, limit_seed=limit_seed)


def _task_set(task: Task, split: str | None, asking: Asking, limit: int, limit_seed: int) -> QuestionSet:
    split = split or _default_split(task)
    if isinstance(task, DataTask):
        loaded = task_rows(task.name, split, 0, 0, asking)
        rows = [with_open_image(row) for row in loaded.rows]
        judge = Judge(load_reward(str(loaded.scorer)), str(loaded.scorer))
        about: dict[str, Any] = {"split": split, "source": loaded.record, "notes": list(loaded.notes)}
        return question_set(task.name, rows, judge, about=about, limit=limit, limit_seed=limit_seed)
    known = task.splits[task.find_split(split)].rows
    count = limit or (MADE if known is None else known)
    notes = [] if limit or known is not None else [f"{count} of as many questions as one likes: --limit"]
    made = task_rows(task.name, split, count, limit_seed, asking)
    assert made.reward is not None
    about = {"split": split, "limit": count, "limit_seed": limit_seed, "notes": notes}
    return question_set(task.name, made.rows, Judge(made.reward, task.name), about=about)


def _default_split(task: Task) -> str:
    return "test" if "test" in task.splits or len(task.splits) > 1 else next(iter(task.splits))
