"""The rows of any task, made or loaded, in the words of a template, with the name of what scores them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riskpo.errors import ConfigError, DataError
from riskpo.tasks.base import BuiltInTask, DataTask, Rows, Task
from riskpo.tasks.clean import clean, decontaminate
from riskpo.tasks.loading import Loaded, load
from riskpo.tasks.registry import get_task
from riskpo.tasks.rows import drawn, rows_of
from riskpo.tasks.source import data_folder


@dataclass(frozen=True)
class Asking:
    """Where the rows of a data set come from, and in which words they are asked. Nothing of it is for built-in tasks.

    Args:
        data_file, data_dir, revision: see `riskpo.tasks.source.locate`.
        template: the prompt template; None: the task's own.
        system: a system message instead of the template's; "" takes it away.
        clean: without known wrong golds, conflicts and repeats.
        decontaminate: the same, and without what the benchmarks ask.
    """

    data_file: str | Path | None = None
    data_dir: str | Path | None = None
    revision: str | None = None
    template: str | None = None
    system: str | None = None
    clean: bool = False
    decontaminate: bool = False


@dataclass(frozen=True)
class TaskRows:
    """Rows of a task.

    Args:
        rows: with `prompt`, `answer` and what the scorer needs.
        scorer: a name of `riskpo.rewards.registry`; None where the task brings its own reward.
        reward: the task's own reward, in TRL's signature.
        record: what to write down: file and sha256 or hub id and commit, template, what was left out.
        notes: what to say.
    """

    rows: Rows
    scorer: str | None
    reward: Callable[..., Any] | None
    record: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def task_rows(name: str, split: str, count: int, seed: int, asking: Asking | None = None) -> TaskRows:
    """Rows of a split of a task.

    Args:
        name: the task's.
        split: the split's.
        count: how many; 0: all of them, which a task that makes its rows does not have.
        seed: of their choice and order.
        asking: for data sets.

    Raises:
        ConfigError: an unknown task or template, or options that a built-in task does not take.
        DataError: rows that cannot be used, are too few, or are nowhere to be had.
        MissingExtraError: a procedural task without its library.
    """
    asking = asking or Asking()
    task = get_task(name)
    try:
        if isinstance(task, DataTask):
            return _of_data(task, split, count, seed, asking)
        assert isinstance(task, BuiltInTask)
        check_asking(task, asking)
        if count < 1:
            raise DataError(f"task {name} makes its rows: how many?")
        return TaskRows(task.rows(split, count, seed), None, task.reward, {"task": name, "split": split})
    except DataError:
        raise
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise DataError(f"task {name}: {error}" if isinstance(task, DataTask) else str(error)) from error


def check_asking(task: Task | None, asking: Asking) -> None:
    """Raises ConfigError for options of data sets where there is none, and for an unknown template."""
    if isinstance(task, DataTask):
        task.find_template(asking.template)
        return
    given = [name for name in ("data_file", "template", "system", "clean", "decontaminate") if getattr(asking, name)]
    if given:
        raise ConfigError(
            f"{', '.join(given)}: only for tasks that are data sets (riskpo tasks lists them), not for "
            f"{'a file of your own' if task is None else f'{task.name}, which makes its rows'}."
        )


def needs_hub(task: Task, asking: Asking) -> bool:
    """Whether the task's rows would be downloaded: no file is given and no data folder."""
    return isinstance(task, DataTask) and asking.data_file is None and data_folder(asking.data_dir) is None


def _of_data(task: DataTask, split: str, count: int, seed: int, asking: Asking) -> TaskRows:
    template = task.find_template(asking.template)
    loaded = load(task, split, data_file=asking.data_file, data_dir=asking.data_dir, revision=asking.revision)
    notes = [f"{task.name}/{split}: {note}" for note in loaded.notes]
    record: dict[str, Any] = {**loaded.record, "template": template.name, "system": asking.system}
    if asking.clean or asking.decontaminate:
        loaded, said, more = _cleaned(loaded, asking)
        notes += said
        record |= more
    rows = drawn(rows_of(loaded, template, asking.system), count, seed)
    return TaskRows(rows, task.scorer_for(template), None, record, tuple(notes))


def _cleaned(loaded: Loaded, asking: Asking) -> tuple[Loaded, list[str], dict[str, Any]]:
    if not asking.decontaminate:
        done = clean(loaded)
        return done.loaded, [f"{loaded.task.name}: {done.in_words}"], {"dropped": done.dropped}
    from riskpo.tasks.survey import load_benchmarks

    pairs, missing = load_benchmarks(loaded.task.modality, asking.data_dir)
    own = (loaded.task.name, loaded.split)
    others = [benchmark for other, benchmark in pairs if (other.task.name, other.split) != own]
    done = decontaminate(loaded, others)
    said = [f"{loaded.task.name}: {done.in_words}"]
    said += [f"not compared with, no file: {', '.join(missing)}"] if missing else []
    compared = {"compared_with": [one.name for one in others], "not_compared_with": missing}
    return done.loaded, said, {"dropped": done.dropped, **compared}
