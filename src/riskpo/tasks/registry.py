"""The built-in tasks by name: where their rows and their reward come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from riskpo.errors import ConfigError, unknown_name
from riskpo.tasks import chain, multiplication

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """A built-in task.

    Args:
        rows: (split, count, seed) to rows with `prompt`, `answer`; splits share no prompt.
        reward: in TRL's signature.
    """

    rows: Callable[[str, int, int], Rows]
    reward: Callable[..., Any]


TASKS = {
    "chain": Task(chain.rows, chain.chain_reward),
    "chain-long": Task(partial(chain.rows, lengths=chain.LONG), chain.chain_reward),
    "multiplication": Task(multiplication.rows, multiplication.first_line_match),
}


def get_task(name: str) -> Task:
    """Raises ConfigError for an unknown name, naming the nearest right one."""
    if name not in TASKS:
        raise ConfigError(unknown_name("task", name, TASKS))
    return TASKS[name]
