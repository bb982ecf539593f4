"""The tasks by name: data sets and benchmarks, built-in tasks, and `gym:NAME`, a procedural one of reasoning-gym."""

from __future__ import annotations

from functools import partial

from riskpo.errors import ConfigError, unknown_name
from riskpo.tasks import (
    chain,
    competition_math,
    contests,
    dapo,
    deepcoder,
    geometry3k,
    gsm8k,
    gym,
    humaneval,
    livecodebench,
    mathvision,
    mbpp,
    minerva,
    multiplication,
    olympiadbench,
)
from riskpo.tasks.base import BuiltInTask, DataTask, Split, Task

_CHAIN = {"train": Split(None), "tune": Split(None), "test": Split(None)}

# Rows that are made: the tasks that need neither a file nor a hub.
TASKS: dict[str, BuiltInTask] = {
    task.name: task
    for task in (
        BuiltInTask(
            "chain",
            "arithmetic modulo 10, one digit a step",
            _CHAIN,
            "Apache-2.0",
            "the whole trace",
            "train, benchmark",
            rows=chain.rows,
            reward=chain.chain_reward,
        ),
        BuiltInTask(
            "chain-long",
            "the same, five to eight steps",
            _CHAIN,
            "Apache-2.0",
            "the whole trace",
            "train, benchmark",
            rows=partial(chain.rows, lengths=chain.LONG),
            reward=chain.chain_reward,
        ),
        BuiltInTask(
            "multiplication",
            "one-digit products after four examples",
            {"train": Split(43), "test": Split(14)},
            "Apache-2.0",
            "the first line",
            "train, benchmark",
            rows=multiplication.rows,
            reward=multiplication.first_line_match,
        ),
    )
}

DATA_TASKS: dict[str, DataTask] = {
    task.name: task
    for task in (
        gsm8k.TASK,
        competition_math.MATH,
        dapo.TASK,
        deepcoder.TASK,
        geometry3k.TASK,
        competition_math.MATH500,
        contests.AIME24,
        contests.AIME25,
        contests.AMC,
        minerva.TASK,
        olympiadbench.TASK,
        humaneval.TASK,
        mbpp.TASK,
        livecodebench.TASK,
        livecodebench.SAMPLE,
        mathvision.TASK,
    )
}


def get_task(name: str) -> Task:
    """The task of a name.

    Raises:
        ConfigError: an unknown name, naming the nearest right one.
        MissingExtraError: `gym:NAME` without reasoning-gym.
    """
    if name.startswith(gym.PREFIX):
        return gym.gym_task(name)
    tasks: dict[str, Task] = {**TASKS, **DATA_TASKS}
    if name not in tasks:
        raise ConfigError(unknown_name("task", name, [*tasks, f"{gym.PREFIX}NAME"]))
    return tasks[name]


def get_data_task(name: str) -> DataTask:
    """A data set or benchmark.

    Raises:
        ConfigError: an unknown name, or a task whose rows are made.
    """
    task = get_task(name)
    if not isinstance(task, DataTask):
        raise ConfigError(f"task {name} makes its rows: there is nothing to load. Data sets: {', '.join(DATA_TASKS)}.")
    return task


def benchmark_splits(modality: str) -> list[tuple[DataTask, list[str]]]:
    """What a training set of a modality is compared with: of each benchmark its test split, and what may stand in
    for it where only that is at hand (a half of OlympiadBench). Small samples of other sets are left out."""
    found = []
    for task in DATA_TASKS.values():
        if "benchmark" in task.role and task.modality == modality and "test" in task.splits:
            others = [split for split, place in task.splits.items() if not place.hub and split != "test"]
            found.append((task, ["test", *others]))
    return found
