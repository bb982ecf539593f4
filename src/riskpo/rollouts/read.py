"""From files of rollouts to the steps of a log: completions of this package and TRL, verl's dumps, plain rows."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from riskpo.errors import DataError, unknown_name
from riskpo.risk.audit import LoggedStep
from riskpo.rollouts.files import MISSING, Table, find_files, read_table

FORMATS = """\
known are: completions of riskpo and of TRL (prompt, completion, a column per reward function, advantage), dumps of \
verl's trainer.rollout_data_dir (input, output, score), and plain rows (prompt_id or prompt, reward)"""

# Columns of a completions file that are no reward functions.
_NOT_REWARDS = {"step", "prompt", "prompt_id", "completion", "advantage", "logprob"}
# Columns of texts: one of nothing but nulls is no column of numbers.
_LABELS = {"answer", "bundle", "verdict", "verdict_answer", "verdict_reason"}


@dataclass(frozen=True)
class Rollouts:
    """A log.

    Args:
        steps: in order of their numbers.
        format: `completions`, `verl` or `plain`.
        files: how many were read.
        notes: what a reader of the numbers should know: which rewards were added up, what was left out.
    """

    steps: list[LoggedStep]
    format: str
    files: int
    notes: list[str]

    @property
    def reward_bounds(self) -> tuple[float, float]:
        """The smallest and the largest logged reward."""
        rewards = torch.cat([s.rewards_PG[~s.rewards_PG.isnan()] for s in self.steps])
        return float(rewards.min()), float(rewards.max())


@dataclass
class _Group:
    """The responses to one prompt in one step."""

    rewards: list[float] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)


@dataclass
class _Step:
    path: Path
    groups: dict[str, _Group] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)
    texts: bool = False


def read_rollouts(paths: Sequence[Path], reward_weights: Mapping[str, float] | None = None) -> Rollouts:
    """The steps of a log: rows of equal `step`, grouped by prompt.

    A row's reward is the (weighted) sum of its reward columns, without those that are null; NaN where all are. A
    generation that is logged again under the next step number (TRL with several updates per generation) counts once.

    Args:
        paths: files, or folders (`riskpo.rollouts.files.find_files`).
        reward_weights: which columns are rewards, with their weights; None: all reward columns, weight 1.

    Raises:
        DataError: files that cannot be read, of several or unknown formats, or rows that are no rollouts; the message
            names the file, the line or row, and the column.
    """
    return rollouts_of(map(read_table, find_files(paths)), reward_weights)


def rollouts_of(tables: Iterable[Table], reward_weights: Mapping[str, float] | None = None) -> Rollouts:
    """As `read_rollouts`, of tables that were read already; at least one."""
    steps: dict[int, _Step] = {}
    formats: dict[str, Path] = {}
    used: dict[str, None] = {}
    files: list[Path] = []
    for table in tables:
        files.append(table.path)
        name = format_of(table)
        formats.setdefault(name, table.path)
        if len(formats) > 1:
            kinds = " and ".join(f"{kind} ({first})" for kind, first in formats.items())
            raise DataError(f"these files are of different formats: {kinds}. Audit them one by one.")
        weights = reward_columns(table, name, reward_weights)
        used |= dict.fromkeys(weights)
        _collect(table, name, weights, steps)
    (name,) = formats
    notes = [
        f"the reward is the sum of {len(used)} columns: {', '.join(map(_shown, used))} (--reward picks or weighs them)"
    ]
    notes = notes if len(used) > 1 and reward_weights is None else []
    repeated = _drop_repeated(steps)
    if repeated:
        notes.append(f"{repeated} steps repeat the generation of the step before them, and count once")
    logged = [_matrix(number, steps[number]) for number in sorted(steps)]
    uneven = sum(bool(s.rewards_PG.isnan().any()) for s in logged)
    if uneven:
        notes.append(f"{uneven} of {len(logged)} steps have unscorable responses or groups of uneven size")
    if all(s.rewards_PG.isnan().all() for s in logged):
        raise DataError(f"no response in {files[0]} has a reward: every one is null.")
    return Rollouts(logged, name, len(files), notes)


def format_of(table: Table) -> str:
    """`verl`, `completions` or `plain`.

    Raises:
        DataError: none of them, by its columns.
    """
    names = set(table.columns)
    if {"input", "output", "score"} <= names:
        return "verl"
    if {"prompt", "completion", "advantage"} <= names:
        return "completions"
    if "reward" in names and names & {"prompt_id", "prompt"}:
        return "plain"
    raise DataError(f"{table.path} has the columns {', '.join(sorted(map(repr, names)))}; {FORMATS}.")


def reward_columns(table: Table, name: str, chosen: Mapping[str, float] | None) -> dict[str, float]:
    """The reward columns of a table with their weights: the chosen ones, else those that its format has.

    Raises:
        DataError: a chosen column that is not there, or completions without any column of numbers.
    """
    numeric = [
        column
        for column, values in table.columns.items()
        if all(map(_numeric, values)) and not (column in _LABELS and all(v is None or v is MISSING for v in values))
    ]
    if chosen:
        for column in chosen:
            if column not in table.columns:
                raise DataError(f"{table.path}: {unknown_name('reward column', column, map(_shown, numeric))}")
        return dict(chosen)
    if name != "completions":
        return {"score" if name == "verl" else "reward": 1.0}
    found = {column: 1.0 for column in numeric if column not in _NOT_REWARDS}
    if not found:
        raise DataError(
            f"{table.path} has no column of numbers besides step and advantage: expected one per reward function. "
            f"Its columns: {', '.join(map(repr, table.columns))}."
        )
    return found


def _shown(name: str) -> str:
    """A column's name as it may reach a terminal."""
    return name if name.isprintable() else ascii(name)


def _numeric(value: Any) -> bool:
    return value is None or value is MISSING or isinstance(value, (bool, int, float))


def _collect(table: Table, name: str, weights: Mapping[str, float], steps: dict[int, _Step]) -> None:
    columns, rows = table.columns, range(len(table.places))
    key = "input" if name == "verl" else "prompt_id" if "prompt_id" in columns else "prompt"
    text = columns.get("output" if name == "verl" else "completion")
    logps, advantages = columns.get("logprob"), columns.get("advantage") if name == "completions" else None
    in_name = re.fullmatch(r"\d+", table.path.name.split(".")[0]) if name == "verl" else None
    for row in rows:
        number = int(in_name[0]) if in_name and "step" not in columns else step_of(table, row)
        step = steps.setdefault(number, _Step(table.path))
        if step.path != table.path and name != "plain":  # both trainers write a step into one file
            raise DataError(
                f"step {number} stands in {step.path} and in {table.path}: these are several runs. Audit them one by "
                "one."
            )
        group = step.groups.setdefault(_prompt(table, row, key), _Group())
        group.rewards.append(reward_of(table, row, weights))
        group.logps.append(math.nan if logps is None else _logp(table, row))
        group.advantages.append(math.nan if advantages is None else _number(table, row, "advantage"))
        if text is not None:
            step.texts = True
            said = json.dumps([columns[key][row], text[row]], default=str, sort_keys=True)
            step.digest.update(said.encode("utf-8", "surrogatepass"))


def step_of(table: Table, row: int) -> int:
    """The step of a row; 0 where the table has no such column."""
    if "step" not in table.columns:
        return 0
    value = table.columns["step"][row]
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise DataError(f"{table.where(row)}: `step` must be a whole number, got {value!r}.")
    return int(value)


def _prompt(table: Table, row: int, key: str) -> str:
    value = table.columns[key][row]
    if value is None or value is MISSING:
        raise DataError(f"{table.where(row)}: `{key}` is {value!r}; rows are grouped by it.")
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)


def reward_of(table: Table, row: int, weights: Mapping[str, float]) -> float:
    """The weighted sum of a row's reward columns without those that are null; NaN where all are."""
    given = [(weight, _number(table, row, column)) for column, weight in weights.items()]
    scored = [weight * value for weight, value in given if not math.isnan(value)]
    return math.fsum(scored) if scored else math.nan


def _logp(table: Table, row: int) -> float:
    value = _number(table, row, "logprob")
    if value > 1e-3:
        raise DataError(
            f"{table.where(row)}: `logprob` is {value:g}; the log-probability of a response, summed over its tokens, "
            "is at most 0."
        )
    return value


def _number(table: Table, row: int, column: str) -> float:
    """A number; NaN for null. Infinities are errors: no mean of them is one."""
    value = table.columns[column][row]
    if value is None:
        return math.nan
    if value is MISSING or not _numeric(value):
        raise DataError(f"{table.where(row)}: `{column}` must be a number or null, got {value!r:.80}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise DataError(f"{table.where(row)}: `{column}` is not finite.")
    return number


def _drop_repeated(steps: dict[int, _Step]) -> int:
    repeated, before = [], None
    for number in sorted(steps):
        digest = steps[number].digest.digest() if steps[number].texts else None
        if digest is not None and digest == before:
            repeated.append(number)
        before = digest
    for number in repeated:
        del steps[number]
    return len(repeated)


def _matrix(number: int, step: _Step) -> LoggedStep:
    longest = max(len(group.rewards) for group in step.groups.values())

    def padded(name: str) -> torch.Tensor:
        rows = [getattr(group, name) for group in step.groups.values()]
        return torch.tensor([row + [math.nan] * (longest - len(row)) for row in rows], dtype=torch.float64)

    def known(name: str) -> torch.Tensor | None:
        values_PG = padded(name)
        return None if values_PG.isnan().all() else values_PG

    return LoggedStep(padded("rewards"), tuple(step.groups), known("logps"), number, known("advantages"))
