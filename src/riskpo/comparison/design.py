"""A comparison before anything runs: every entry resolved and checked, and the cells of the grid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpo.comparison.entries import Entry
from riskpo.comparison.grid import RATE, SEED, Cell
from riskpo.comparison.tuning import SEED as TUNING_SEED
from riskpo.comparison.tuning import default_rates, tuning_flags
from riskpo.comparison.words import describe_entries
from riskpo.errors import ConfigError, DataError
from riskpo.runs.arguments import Plan, plan_new
from riskpo.runs.session import check

# Given to each cell by the grid.
_OF_CELLS = {"seed", "output_dir", "runs_dir"}


@dataclass(frozen=True)
class Asked:
    """What the command line said.

    Args:
        recipe, config: the name of a recipe, or a YAML file.
        flags: options for every cell.
        entries: what is compared.
        seeds: runs of each entry, with the seeds 0 to `seeds` - 1.
        baseline: the label that the others are compared with.
        tune: whether learning rates are tried first.
        rates: that are tried; None: around each entry's own.
        tune_steps: the length of a trial; None: of the run.
        folder: of the comparison; None: `compare/RECIPE`.
    """

    recipe: str | None
    config: str | None
    flags: tuple[str, ...]
    entries: tuple[Entry, ...]
    seeds: int
    baseline: str
    tune: bool = True
    rates: tuple[str, ...] | None = None
    tune_steps: int | None = None
    folder: Path | None = None

    @property
    def place(self) -> Path:
        """The folder that was asked for, or the one of the recipe or the file."""
        return self.folder or Path("compare") / (self.recipe or Path(str(self.config)).stem)


@dataclass(frozen=True)
class Design:
    """A checked comparison.

    Args:
        asked: as it was given.
        folder: where its cells are.
        plans: the first run of each entry, by label.
        rates: that are tried for each entry, ascending; empty where nothing is tuned.
        tuning: the options of every trial.
        notes: lines to say.
    """

    asked: Asked
    folder: Path
    plans: Mapping[str, Plan]
    rates: Mapping[str, Sequence[str]]
    tuning: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def first(self) -> Plan:
        """What all entries share can be read from it."""
        return next(iter(self.plans.values()))

    @property
    def labels(self) -> list[str]:
        """Of the entries, the baseline included, as they were given."""
        return list(self.plans)

    def methods(self) -> dict[str, str]:
        """Each entry in words."""
        return describe_entries(self.plans)

    def record(self) -> dict[str, Any]:
        """What its numbers depend on, for `grid.joined`."""
        entries = {}
        for label, plan in self.plans.items():
            options = {key: value for key, value in plan.settings.items() if key not in _OF_CELLS}
            entries[label] = {"options": options, "rates": list(self.rates.get(label, ()))}
        return {"recipe": self.first.name, "entries": entries, "tuning": list(self.tuning)}

    def train_command(self, python: str) -> list[str]:
        """The command that trains, one process or as many as the recipe asks for."""
        processes = self.first.run.processes
        if processes < 2:
            return [python, "-m", "riskpo.cli", "train"]
        launched = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        return [python, *launched, "-m", "riskpo.cli", "train"]

    def trials(self) -> list[Cell]:
        """The cells of the tuning, a rate of every entry before the next."""
        most = max((len(rates) for rates in self.rates.values()), default=0)
        return [
            self._cell(label, TUNING_SEED, self.rates[label][place], True)
            for place in range(most)
            for label in self.rates
        ]

    def finals(self, chosen: Mapping[str, str | None]) -> list[Cell]:
        """The cells of the table, a seed of every entry before the next: what is there when it is stopped can be
        compared.

        Args:
            chosen: the learning rate of each entry; "": the recipe's; entries with None are not tuned yet.
        """
        rates = {label: rate for label in self.labels if (rate := chosen[label]) is not None}
        return [
            self._cell(label, seed, rate, False) for seed in range(self.asked.seeds) for label, rate in rates.items()
        ]

    def _cell(self, label: str, seed: int, rate: str, tuning: bool) -> Cell:
        entry = next(entry for entry in self.asked.entries if entry.label == label)
        folder = self.folder / label / (f"{RATE}{rate}" if tuning else f"{SEED}{seed}")
        flags = _flags(self.asked, entry, seed, self.first.run.task_seed if self.first.run.task else None)
        flags += ("--learning_rate", rate) if rate else ()
        flags += self.tuning if tuning else ()
        return Cell(folder, label, seed, rate, tuning, flags)


def _flags(asked: Asked, entry: Entry, seed: int, task_seed: int | None) -> tuple[str, ...]:
    """Of a cell, the recipe first. Seeds differ in training prompts, their order, and every draw."""
    source = (asked.recipe,) if asked.recipe is not None else ("--config", str(asked.config))
    own = ("--seed", str(seed)) + (() if task_seed is None else ("--task_seed", str(task_seed + seed)))
    return (*source, *asked.flags, *entry.flags, *own)


def make_design(asked: Asked, *, dry: bool) -> Design:
    """Resolves and checks every entry before anything is touched.

    Args:
        asked: what the command line said.
        dry: nothing is run on this machine, which may then lack what a recipe needs.

    Raises:
        ConfigError, DataError, ...: what is wrong, and of which entry.
    """
    _check_asked(asked)
    plans = {entry.label: _plan(asked, entry, dry) for entry in asked.entries}
    first = next(iter(plans.values()))
    run = first.run
    if not run.eval_prompts:
        raise ConfigError(
            "riskpo compare judges by held-out prompts, and this recipe evaluates none: set --eval_prompts (of a "
            "--task; own data has no held-out split)."
        )
    if run.eval_prompts < 2:
        raise ConfigError("one held-out prompt says nothing about others: --eval_prompts must be at least 2.")
    rates = {label: list(asked.rates or default_rates(plan.training.learning_rate)) for label, plan in plans.items()}
    tuning = tuning_flags(run, first.training.max_steps, asked.tune_steps) if asked.tune else ()
    notes: dict[str, None] = {}
    for entry in asked.entries:
        notes |= dict.fromkeys(f"{entry.label}: {note}" for note in _checked(entry, plans[entry.label]))
    if asked.tune:
        _check_trial(asked, tuning, dry)
    return Design(asked, asked.place, plans, rates if asked.tune else {}, tuning, tuple(notes))


def _names(flags: Sequence[str]) -> set[str]:
    return {flag[2:].split("=", 1)[0].replace("-", "_") for flag in flags if flag.startswith("--")}


def _check_asked(asked: Asked) -> None:
    if taken := sorted(_names(asked.flags) & _OF_CELLS):
        raise ConfigError(f"--{taken[0]} is given to each run by the comparison: use --seeds and --output_dir.")
    if not 1 <= asked.seeds <= TUNING_SEED:
        raise ConfigError(f"--seeds must be in 1..{TUNING_SEED}, got {asked.seeds}.")
    labels = [entry.label for entry in asked.entries]
    if asked.baseline not in labels:
        raise ConfigError(f"--baseline {asked.baseline} is none of the entries: {', '.join(labels)}.")
    if not asked.tune and (asked.rates or asked.tune_steps):
        raise ConfigError("--no-tune tries no learning rates: leave out --learning_rates and --tune_steps.")
    for where, flags in (("", asked.flags), *((f"{entry.label}: ", entry.flags) for entry in asked.entries)):
        if asked.rates and "learning_rate" in _names(flags):
            raise ConfigError(
                f"{where}learning_rate would be lost, as --learning_rates are tried for every entry. Leave out one: "
                "without --learning_rates, a third of an entry's own rate, the rate and three times it are tried."
            )
    if asked.tune_steps is not None and asked.tune_steps < 1:
        raise ConfigError(f"--tune_steps must be at least 1, got {asked.tune_steps}.")


def _plan(asked: Asked, entry: Entry, dry: bool) -> Plan:
    try:
        return plan_new(asked.recipe, asked.config, (*asked.flags, *entry.flags), dry=dry)
    except ConfigError as error:
        raise ConfigError(f"{entry.label}: {error}") from error


def _checked(entry: Entry, plan: Plan) -> tuple[str, ...]:
    try:
        inputs = check(plan)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{entry.label}: {error}") from error
    return (*plan.notes, *inputs.notes)


def _check_trial(asked: Asked, tuning: tuple[str, ...], dry: bool) -> None:
    """That a trial has prompts of its own."""
    plan = plan_new(asked.recipe, asked.config, (*asked.flags, *asked.entries[0].flags, *tuning), dry=dry)
    try:
        check(plan)
    except DataError as error:
        raise ConfigError(
            f"learning rates are tried on prompts that no final cell is evaluated on, and there are none: {error} "
            "Lower --eval_prompts, or keep the recipe's learning rate with --no-tune."
        ) from error


def threads_of(jobs: int) -> int:
    """CPU threads for each of several runs at once."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cpus // jobs, 1)
