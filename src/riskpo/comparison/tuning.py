"""Learning rates: the same number of trials for every entry, on prompts that no final cell is evaluated on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from riskpo.errors import ConfigError
from riskpo.runs.run_arguments import RunArguments
from riskpo.runs.task_data import held_out_of
from riskpo.tasks.base import BuiltInTask

# Of the trials: none of the final cells' seeds, so that no trial has a final cell's training prompts in its order.
SEED = 1000
FACTORS = (1 / 3, 1.0, 3.0)


@dataclass(frozen=True)
class Choice:
    """What the trials of an entry said.

    Args:
        trials: learning rate to pass@1 on the tuning prompts; in ascending order, those that are there.
        missing: rates whose trial has not ended.
        chosen: the rate of the highest pass@1, the smallest of several; None while trials are missing.
        at_edge: "lowest" or "highest" where the chosen rate is the end of the list; a better one may lie beyond.
        alike: the rates that score as the chosen one does, with it; empty where it is the best alone.
    """

    trials: dict[str, float]
    missing: tuple[str, ...]
    chosen: str | None
    at_edge: str | None
    alike: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "trials": self.trials,
            "missing": list(self.missing),
            "chosen": self.chosen,
            "at_edge": self.at_edge,
        }


def choose(rates: Sequence[str], correct: Mapping[str, tuple[Sequence[int], int]]) -> Choice:
    """The rate of the highest pass@1.

    Args:
        rates: that are tried, ascending.
        correct: of the trials that have ended: right samples of each question, and samples a question.
    """
    exact = {
        rate: Fraction(sum(correct[rate][0]), len(correct[rate][0]) * correct[rate][1])
        for rate in rates
        if rate in correct
    }
    trials = {rate: float(score) for rate, score in exact.items()}
    missing = tuple(rate for rate in rates if rate not in exact)
    if missing:
        return Choice(trials, missing, None, None)
    chosen = max(rates, key=lambda rate: exact[rate])  # the first of several
    best = tuple(rate for rate in rates if exact[rate] == exact[chosen])
    if len(best) > 1:  # scores that are alike say nothing of an edge
        return Choice(trials, (), chosen, None, best)
    at_edge = "lowest" if chosen == rates[0] else "highest" if chosen == rates[-1] else None
    return Choice(trials, (), chosen, at_edge)


def default_rates(rate: float) -> list[str]:
    """A third of a learning rate, itself, and three times it."""
    return [f"{rate * factor:.3g}" if factor != 1 else f"{rate:.12g}" for factor in FACTORS]


def read_rates(text: str) -> list[str]:
    """The rates of `--learning_rates`, ascending.

    Raises:
        ConfigError: fewer than two, a repeated one, or one that is no positive number.
    """
    try:
        values = sorted(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--learning_rates takes numbers separated by commas, got {text!r}.") from None
    written = [f"{value:.12g}" for value in values]
    if not all(0 < value < math.inf for value in values) or len(set(written)) < len(values):
        raise ConfigError(f"--learning_rates takes different finite numbers > 0, got {text!r}.")
    if len(values) < 2:
        raise ConfigError(f"a single learning rate needs no trial: --learning_rate {text} --no-tune.")
    return written


def tuning_flags(run: RunArguments, max_steps: int, tune_steps: int | None) -> tuple[str, ...]:
    """The options of a trial: other prompts than those of the final cells, and its length.

    A task that makes its rows is asked its `tune` split where it has one; any other the prompts of the same split that
    come after those of the final cells in the one random order of that split.

    Raises:
        ConfigError: the split has too few prompts for both; the message names --no-tune.
    """
    held, split = held_out_of(run)
    if isinstance(held, BuiltInTask) and "tune" in held.splits and split != "tune":
        flags = ["--eval_split", "tune"]
    else:
        known, needed = held.splits.get(split), run.eval_offset + 2 * run.eval_prompts
        if known is not None and known.rows is not None and known.rows < needed:
            raise ConfigError(
                f"learning rates are tried on prompts that no final cell is evaluated on: {split} of {held.name} has "
                f"{known.rows} prompts, {run.eval_prompts} for the one and as many for the other are asked for. Lower "
                "--eval_prompts, or keep the recipe's learning rate with --no-tune."
            )
        flags = ["--eval_offset", str(run.eval_offset + run.eval_prompts)]
    steps = max_steps if tune_steps is None else tune_steps
    if tune_steps is not None:
        flags += ["--max_steps", str(tune_steps)]
    if run.eval_at:  # the end of a trial is all that is asked of it
        flags += ["--eval_at", str(steps)]
    return tuple(flags)
