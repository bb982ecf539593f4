"""What logged completions say of the estimator as training goes on: the law of bundle scores, weight by difficulty.

The same code as `riskpo audit`, at the quantiles that the run had logged, in windows of steps. Axes as there.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from riskpo.errors import ConfigError, DataError, RewardError
from riskpo.reports.page.record import Record
from riskpo.reports.page.texts import is_number
from riskpo.risk.advantages import score_law
from riskpo.risk.audit import BIN_EDGES, LoggedStep, Replay, redrawn_gradients
from riskpo.risk.config import RiskConfig
from riskpo.risk.diagnostics import sums_by_bin
from riskpo.risk.measured import NOT_MEASURED, Measured, ratio_of_sums
from riskpo.risk.quantiles import ScoreLaw
from riskpo.risk.redraws import Pool
from riskpo.risk.state import RiskState
from riskpo.rollouts.read import Rollouts

MOST_LAWS = 200  # steps of the heat map
WINDOWS = 5
POPULATIONS, DRAWS, PROMPTS = 24, 4, 200  # of each window: redrawn steps, draws of each, prompts in it at most
# Sum of p (1 - p) over the redrawn responses of a bin, below which it cannot be told: the relative error of a weight is
# about its inverse root, here an eighth. Where hardly one was mixed, the spread over populations sees no error.
_INFORMATION = 64.0


@dataclass(frozen=True)
class StepLaw:
    """The law of the bundle scores of one step."""

    step: int
    law: ScoreLaw


@dataclass(frozen=True)
class Window:
    """Weight by difficulty over some steps.

    Args:
        first, last: the steps.
        weight_b: the multiplier of a prompt's gradient, per bin of `BIN_EDGES`, with its standard error; NaN where the
            redrawn responses of a bin say too little.
        mean_weight: over all prompts.
    """

    first: int
    last: int
    weight_b: tuple[Measured, ...]
    mean_weight: Measured


@dataclass(frozen=True)
class Logged:
    """The logged steps of a run with what its estimator had before each.

    Args:
        steps: at most `MOST_LAWS`, evenly spaced.
        states: one a step; None where the estimator refused it.
        groups: step number to the group of each prompt, where the completions say so.
        config: of the estimator.
        total: the steps of the whole run, for options on a schedule.
    """

    steps: list[LoggedStep]
    states: list[RiskState | None]
    groups: Mapping[int, Tensor]
    config: RiskConfig
    total: int

    def progress(self, step: LoggedStep) -> float:
        """The share of the training that was done when a step began."""
        return min(max(step.step - 1, 0) / max(self.total, 1), 1.0)


def logged_steps(record: Record, rollouts: Rollouts, groups: Mapping[int, Tensor], seed: int) -> Logged:
    """Replays the logged steps, and puts in the quantiles that the run itself had.

    Completions are logged every so many steps, so replayed quantiles would lag behind; metrics.jsonl has those of each.

    Raises:
        DataError: a run whose estimator is not known, or rewards outside the range that it declared.
    """
    if record.own is None:
        raise DataError("arguments.json is missing, so the estimator is not known")
    config = record.own.config
    low, high = rollouts.reward_bounds
    slack = 1e-6 * config.reward_width
    if low < config.reward_range[0] - slack or high > config.reward_range[1] + slack:
        declared = f"{config.reward_range[0]:g} to {config.reward_range[1]:g}"
        raise DataError(f"the logged rewards lie between {low:g} and {high:g}, outside the declared {declared}")
    every = -(-len(rollouts.steps) // MOST_LAWS)
    steps = rollouts.steps[::every]
    states = Replay.of(steps, config, config.reward_range, seed).states
    known = _known_quantiles(record)
    mended = [
        state if state is None or step.step not in known else _with_quantiles(state, known[step.step], config)
        for step, state in zip(steps, states, strict=True)
    ]
    return Logged(steps, mended, groups, config, record.planned_steps or record.last_step)


def _known_quantiles(record: Record) -> dict[int, tuple[float, ...]]:
    """The tracked quantiles by step. A row of several steps holds their mean, which is near that of its last step."""
    names = sorted({key for row in record.metrics for key in row if key.startswith("risk/q_")}, key=_order)
    known: dict[int, tuple[float, ...]] = {}
    before = 0
    for row in record.metrics if names else []:
        values = [row[name] for name in names if is_number(row.get(name))]
        if len(values) == len(names):
            known |= dict.fromkeys(range(before + 1, row["step"] + 1), tuple(map(float, values)))
            before = row["step"]
    return known


def _order(name: str) -> tuple[int, str]:
    number = name.removeprefix("risk/q_")
    return (int(number), "") if number.isdigit() else ({"low": 0, "high": 1}.get(number, 2), number)


def _with_quantiles(state: RiskState, quantiles: tuple[float, ...], config: RiskConfig) -> RiskState:
    if state.quantiles_L is None or len(quantiles) != len(state.quantiles_L):
        return state
    return dataclasses.replace(state, quantiles_L=tuple(sorted(quantiles)))


def step_laws(logged: Logged, seed: int) -> list[StepLaw]:
    """The law of the bundle scores of each step; none for an estimator without bundles."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for step, state in zip(logged.steps, logged.states, strict=True):
        if state is None:
            continue
        groups_P = logged.groups.get(step.step)
        groups_P = groups_P if groups_P is not None and len(groups_P) == len(step.prompt_ids) else None
        try:
            law = score_law(
                step.rewards_PG,
                logged.config,
                state,
                generator,
                prompt_ids=step.prompt_ids,
                progress=logged.progress(step),
                groups_P=groups_P,
            )
        except (ConfigError, RewardError):
            continue  # a step that the estimator would not have taken, e.g. of too few prompts
        if law is not None:
            found.append(StepLaw(step.step, law))
    return found


def weight_windows(logged: Logged, seed: int) -> list[Window]:
    """Weight by difficulty in up to `WINDOWS` windows of steps, each redrawn as `riskpo.risk.audit.audit` does it."""
    usable = [(s, state) for s, state in zip(logged.steps, logged.states, strict=True) if state is not None]
    count = min(WINDOWS, len(usable))
    cuts = [number * len(usable) // count for number in range(count + 1)] if count else [0]
    parts = [usable[start:end] for start, end in itertools.pairwise(cuts)]
    return [_window(part, logged, seed + number) for number, part in enumerate(parts)]


def _window(part: Sequence[tuple[LoggedStep, RiskState]], logged: Logged, seed: int) -> Window:
    ends = logged.config.reward_range
    pool = Pool.of([step.rewards_PG for step, _ in part], ends)
    generator = torch.Generator().manual_seed(seed)
    weights, variances = [], []
    for n in range(POPULATIONS):
        step, state = part[n * len(part) // POPULATIONS]
        kept_P = torch.randperm(len(step.prompt_ids), generator=generator)[:PROMPTS].sort().values
        own_seed = seed * 1_000_003 + n
        population = pool.population(step.rewards_PG[kept_P], own_seed)
        rewards_DPG = population.draw(DRAWS, generator)
        ids = [step.prompt_ids[place] for place in kept_P.tolist()]
        try:
            gradients_DP = redrawn_gradients(
                rewards_DPG, population, logged.config, state, ids, logged.progress(step), own_seed
            )
        except (ConfigError, RewardError):
            continue  # too few prompts for the estimator
        places_P = (population.means_P - ends[0]) / (ends[1] - ends[0])
        seen_P = population.variances_P.masked_fill(population.missing_PG.all(1), 0.0)
        weights.append(sums_by_bin(gradients_DP.mean(0), places_P, BIN_EDGES))
        variances.append(sums_by_bin(seen_P, places_P, BIN_EDGES))
    bins = len(BIN_EDGES) - 1
    weights_Nb = torch.stack(weights) if weights else torch.zeros(0, bins, dtype=torch.float64)
    variances_Nb = torch.stack(variances) if variances else torch.zeros(0, bins, dtype=torch.float64)
    responses = max(step.rewards_PG.shape[1] for step, _ in part)
    told_b = (variances_Nb.sum(0) * DRAWS * responses >= _INFORMATION).tolist()
    return Window(
        part[0][0].step,
        part[-1][0].step,
        tuple(ratio_of_sums(weights_Nb[:, b], variances_Nb[:, b]) if told_b[b] else NOT_MEASURED for b in range(bins)),
        ratio_of_sums(weights_Nb.sum(1), variances_Nb.sum(1)),
    )
