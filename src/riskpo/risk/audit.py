"""What each estimator really optimises, measured on logged steps: replays of the log, and redraws of its responses.

Axes: P prompts, G responses, D draws, b bins of difficulty, N populations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from riskpo.errors import ConfigError, DataError, RewardError
from riskpo.risk.advantages import risk_advantages
from riskpo.risk.config import RiskConfig
from riskpo.risk.diagnostics import (
    logit_gradients,
    logp_covariances,
    sign_flips,
    signal_and_noise,
    sums_by_bin,
    uniform_shares,
)
from riskpo.risk.measured import Measured, mean_over_steps, ratio_of_sums, signal_to_noise
from riskpo.risk.redraws import Pool, Population
from riskpo.risk.state import RiskState, RiskStep

# Bins of a prompt's pass rate (of a graded reward: its place between the ends of the range).
BIN_EDGES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
# Every estimator is compared with these: the method as published, and the plain mean objective.
REFERENCES = ("paper", "dr_grpo")
# A window whose mean slope lies below this teaches next to nothing: one for the mean objective.
FLAT_SLOPE = 0.05

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LoggedStep:
    """One step of a log.

    Args:
        rewards_PG: float64; NaN = unscorable, or no response (groups of uneven size).
        prompt_ids: one a prompt; the same id in another step is the same prompt.
        logps_PG: log-probability of each response, NaN where there is none; None for a log without any.
        step: its number.
        advantages_PG: what the trainer used, NaN where there is none; None for a log without any.
    """

    rewards_PG: Tensor
    prompt_ids: tuple[str, ...]
    logps_PG: Tensor | None = None
    step: int = 0
    advantages_PG: Tensor | None = None


@dataclass(frozen=True)
class Effort:
    """How much is computed. The defaults keep a log of 100,000 rows and all estimators at about a minute.

    Args:
        populations: redrawn steps, each with pass rates of its own, at least 2; the logged steps take turns.
        draws: independent draws of each redrawn step, at least 2.
        prompts: at most so many prompts of a logged step are redrawn, chosen anew for each population.
        replayed: at most so many logged steps are replayed, evenly spaced.
        rows: responses that are redrawn for one estimator, at most; more rows a step mean fewer draws, at least 8.
    """

    populations: int = 16
    draws: int = 16
    prompts: int = 400
    replayed: int = 400
    rows: int = 1_500_000


@dataclass(frozen=True)
class EstimatorAudit:
    """What was measured of one estimator.

    Args:
        weight_b: the multiplier of a prompt's gradient of expected reward, per bin of difficulty: sum of
            E[A (r - p)] over sum of p (1 - p) of the bin's prompts.
        mean_weight: the same over all prompts.
        snr: norm of the mean over root of the total variance of one step's gradient with respect to prompts' logits.
        snr_ratios: the same over a reference's, on the same redraws.
        on_uniform: share of the sum of |A| on prompts whose responses all score the same; NaN where all A are 0.
        flips: shares of `sign_flips`: `right_down`, `right_negative` of right responses, `wrong_up`, `wrong_positive`
            of wrong ones.
        entropy: means over steps of `logp_covariances`, and `difference`: of the correlations (the estimator's minus
            the mean objective's), with its error over steps; None without log-probabilities.
        flat_windows: share of replayed steps with mean slope below FLAT_SLOPE; None without tracked quantiles.
        tied_quantiles: share of replayed steps where two neighbouring tracked quantiles coincide; None as above, and
            for fewer than two.
        unseen: mean share of prompts that no earlier step had visited, after the first step; None where the
            composition does not ask.
        steps: logged steps that it could be applied to.
        refused: why not to the others; empty where there are none.
    """

    weight_b: tuple[Measured, ...]
    mean_weight: Measured
    snr: Measured
    snr_ratios: dict[str, Measured]
    on_uniform: float
    flips: dict[str, float]
    entropy: dict[str, Measured] | None
    flat_windows: float | None
    tied_quantiles: float | None
    unseen: float | None
    steps: int
    refused: str


@dataclass(frozen=True)
class Audit:
    """The outcome: `estimators` in the order asked for, `skipped` with why; and what it was measured on.

    Args:
        uniform: shares of prompts: `all_right`, `all_wrong`, `uniform` (at any reward).
        visits_b: how many redrawn prompts fell into each bin.
        pool_mean, pool_concentration: of the prior of pass rates (`riskpo.risk.redraws.Pool`).
        steps, replayed, populations, draws, rows: what was logged, and what was used of it.
        prompts, redrawn_prompts: the most prompts of a logged and of a redrawn step.
    """

    estimators: dict[str, EstimatorAudit]
    skipped: dict[str, str]
    uniform: dict[str, float]
    visits_b: tuple[float, ...]
    pool_mean: float
    pool_concentration: float
    steps: int
    replayed: int
    populations: int
    draws: int
    prompts: int
    redrawn_prompts: int
    rows: int


def audit(
    steps: Sequence[LoggedStep],
    configs: Mapping[str, RiskConfig],
    reward_range: tuple[float, float],
    *,
    seed: int = 0,
    effort: Effort | None = None,
    say: Say = lambda what, done, total: None,
) -> Audit:
    """Replays the log under each estimator, and redraws its responses at known pass rates.

    The replay (logged rewards, steps in order, state carried on) gives what depends on the log itself: signs, uniform
    prompts, entropy, tracked quantiles. The redraws give weight by difficulty and noise: each population takes one
    logged step, draws the law of each prompt given its logged rewards (`Pool`), then draws independent rewards from it;
    the estimator runs on those with the state that it had before that step (after it, for the first one, which had
    none). Options on a schedule go from its beginning to its end over the log, and their phases are pooled.
    All estimators see the same redraws.

    Args:
        steps: in order.
        configs: name to options, all with this reward_range where they read one.
        reward_range: the ends of the declared range.
        seed: of everything random.
        effort: how much to compute.
        say: told (what, done, of how many) as it goes on.

    Raises:
        DataError: no steps.
    """
    effort = effort or Effort()
    if not steps:
        raise DataError("there is no step to audit.")
    chosen = [steps[i] for i in _evenly_spaced(len(steps), effort.replayed)]
    replays: dict[str, Replay] = {}
    skipped: dict[str, str] = {}
    for done, (name, config) in enumerate(configs.items()):
        say(f"replaying {name}", done, len(configs))
        replay = Replay.of(chosen, config, reward_range, seed)
        if replay.applied:
            replays[name] = replay
        else:
            skipped[name] = replay.refused
    pool = Pool.of([step.rewards_PG for step in chosen], reward_range)
    redrawn = _redraw(chosen, replays, configs, pool, reward_range, seed, effort, say)
    totals = _summed([uniform_shares(s.rewards_PG, torch.zeros_like(s.rewards_PG), reward_range) for s in chosen])
    return Audit(
        estimators={name: _summary(name, replays[name], redrawn) for name in replays},
        skipped=skipped,
        uniform={key: totals[key] / max(totals["prompts"], 1.0) for key in ("all_right", "all_wrong", "uniform")},
        visits_b=tuple(redrawn.visits_b.tolist()),
        pool_mean=float((pool.values_A * pool.probs_A).sum()),
        pool_concentration=pool.concentration,
        steps=len(steps),
        replayed=len(chosen),
        populations=redrawn.populations,
        draws=redrawn.draws,
        prompts=max(len(step.prompt_ids) for step in chosen),
        redrawn_prompts=min(max(len(step.prompt_ids) for step in chosen), effort.prompts),
        rows=sum(int((~step.rewards_PG.isnan()).sum()) for step in steps),
    )


@dataclass
class Replay:
    """One estimator on the logged rewards. `states` holds what it had before each step; None where it was refused."""

    states: list[RiskState | None] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    metrics: list[dict[str, float]] = field(default_factory=list)
    covariances: list[dict[str, float]] = field(default_factory=list)
    refused: str = ""

    @property
    def applied(self) -> int:
        """Steps that the estimator took."""
        return len(self.metrics)

    @classmethod
    def of(cls, steps: Sequence[LoggedStep], config: RiskConfig, ends: tuple[float, float], seed: int) -> Replay:
        """Replays the steps in order; a step that the estimator cannot take leaves its state alone."""
        replay, state, generator = cls(), RiskState(), torch.Generator().manual_seed(seed)
        for number, logged in enumerate(steps):
            try:
                step = _apply(logged.rewards_PG, config, state, generator, logged.prompt_ids, number / len(steps))
            except (ConfigError, RewardError) as error:
                replay.refused = replay.refused or f"step {logged.step}: {error}"
                replay.states.append(None)
                continue
            first = state.steps == 0
            state, before = step.state, state
            replay.states.append(state if first else before)
            replay.metrics.append(step.metrics)
            shares = uniform_shares(logged.rewards_PG, step.advantages_PG, ends)
            flips = sign_flips(logged.rewards_PG, step.advantages_PG, ends)
            replay.counts = _summed([replay.counts, shares | flips])
            if logged.logps_PG is not None:
                covariances = logp_covariances(logged.logps_PG, step.advantages_PG, logged.rewards_PG)
                replay.covariances += [covariances] if covariances else []
        return replay


@dataclass
class Redrawn:
    """Sums over redrawn steps; N populations, NaN where an estimator was not applied."""

    populations: int
    draws: int
    visits_b: Tensor
    variance_Nb: Tensor
    weight_Nb: dict[str, Tensor]
    signal_noise_N2: dict[str, Tensor]


def _redraw(
    steps: Sequence[LoggedStep],
    replays: Mapping[str, Replay],
    configs: Mapping[str, RiskConfig],
    pool: Pool,
    ends: tuple[float, float],
    seed: int,
    effort: Effort,
    say: Say,
) -> Redrawn:
    bins = len(BIN_EDGES) - 1
    count = effort.populations
    turns = _evenly_spaced(len(steps), count)
    largest = max(min(len(s.prompt_ids), effort.prompts) * s.rewards_PG.shape[1] for s in steps)
    draws = max(min(effort.draws, effort.rows // (count * largest)), min(8, effort.draws))
    redrawn = Redrawn(
        count,
        draws,
        torch.zeros(bins, dtype=torch.float64),
        torch.zeros(count, bins, dtype=torch.float64),
        {name: torch.full((count, bins), math.nan, dtype=torch.float64) for name in replays},
        {name: torch.full((count, 2), math.nan, dtype=torch.float64) for name in replays},
    )
    generator = torch.Generator().manual_seed(seed)
    for n in range(count):
        number = turns[n % len(turns)]
        logged, progress = steps[number], number / len(steps)
        kept_P = torch.randperm(len(logged.prompt_ids), generator=generator)[: effort.prompts].sort().values
        own_seed = seed * 1_000_003 + n
        population = pool.population(logged.rewards_PG[kept_P], own_seed)
        rewards_DPG = population.draw(draws, generator)
        ids = [logged.prompt_ids[i] for i in kept_P.tolist()]
        places_P = (population.means_P - ends[0]) / (ends[1] - ends[0])
        variance_P = population.variances_P.masked_fill(population.missing_PG.all(1), 0.0)
        redrawn.variance_Nb[n] = sums_by_bin(variance_P, places_P, BIN_EDGES)
        redrawn.visits_b += sums_by_bin(torch.ones_like(places_P), places_P, BIN_EDGES)
        for done, (name, replay) in enumerate(replays.items()):
            say(f"redrawing for {name}", n * len(replays) + done, count * len(replays))
            state = replay.states[number]
            if state is None:
                continue
            try:
                gradients_DP = redrawn_gradients(rewards_DPG, population, configs[name], state, ids, progress, own_seed)
            except (ConfigError, RewardError) as error:  # a redraw can be what the log was not: of too few prompts
                replay.refused = replay.refused or f"a redraw of step {logged.step}: {error}"
                continue
            redrawn.weight_Nb[name][n] = sums_by_bin(gradients_DP.mean(0), places_P, BIN_EDGES)
            redrawn.signal_noise_N2[name][n] = torch.tensor(signal_and_noise(gradients_DP), dtype=torch.float64)
    return redrawn


def redrawn_gradients(
    rewards_DPG: Tensor,
    population: Population,
    config: RiskConfig,
    state: RiskState,
    ids: Sequence[str],
    progress: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """gradients_DP (`logit_gradients`) of an estimator on draws of a population, its state held fixed."""
    generator = torch.Generator().manual_seed(seed)
    advantages = [_apply(draw_PG, config, state, generator, ids, progress).advantages_PG for draw_PG in rewards_DPG]
    return logit_gradients(rewards_DPG, torch.stack(advantages), population.means_P)


def _apply(
    rewards_PG: Tensor, config: RiskConfig, state: RiskState, generator: torch.Generator, ids: Sequence[str], now: float
) -> RiskStep:
    step = risk_advantages(rewards_PG, config, state, generator, prompt_ids=ids, progress=now)
    if not step.advantages_PG.isfinite().all():
        raise RewardError(f"estimator {config.estimator!r} gave an advantage that is not finite.")
    return step


def _summary(name: str, replay: Replay, redrawn: Redrawn) -> EstimatorAudit:
    counts = replay.counts
    of = {"right_down": "right", "right_negative": "right", "wrong_up": "wrong", "wrong_positive": "wrong"}
    slopes = [m["risk/mean_slope"] for m in replay.metrics if "risk/mean_slope" in m]
    ladders = [[value for key, value in m.items() if key.startswith("risk/q_")] for m in replay.metrics]
    ties = [any(b - a < 1e-9 for a, b in itertools.pairwise(q)) for q in ladders if len(q) > 1]
    unseen = [m["risk/frac_unseen_prompts"] for m in replay.metrics[1:] if "risk/frac_unseen_prompts" in m]
    weights_Nb, variance_Nb = redrawn.weight_Nb[name], redrawn.variance_Nb
    used_N = ~weights_Nb.isnan().any(1)
    return EstimatorAudit(
        weight_b=tuple(
            ratio_of_sums(weights_Nb[used_N, b], variance_Nb[used_N, b]) for b in range(weights_Nb.shape[1])
        ),
        mean_weight=ratio_of_sums(weights_Nb[used_N].sum(1), variance_Nb[used_N].sum(1)),
        snr=signal_to_noise(redrawn.signal_noise_N2[name]),
        snr_ratios={
            other: signal_to_noise(redrawn.signal_noise_N2[name], redrawn.signal_noise_N2[other])
            for other in REFERENCES
            if other in redrawn.signal_noise_N2
        },
        on_uniform=counts["size_on_uniform"] / counts["size"] if counts["size"] else math.nan,
        flips={key: counts[key] / counts[base] if counts[base] else math.nan for key, base in of.items()},
        entropy=_entropy(replay.covariances),
        flat_windows=sum(slope < FLAT_SLOPE for slope in slopes) / len(slopes) if slopes else None,
        tied_quantiles=sum(ties) / len(ties) if ties else None,
        unseen=sum(unseen) / len(unseen) if unseen else None,
        steps=replay.applied,
        refused=replay.refused,
    )


def _entropy(rows: Sequence[Mapping[str, float]]) -> dict[str, Measured] | None:
    if not rows:
        return None
    names = ("cov_logp_advantage", "cov_logp_mean_advantage", "corr_logp_advantage", "corr_logp_mean_advantage")
    found = {name: [row[f"risk/{name}"] for row in rows if f"risk/{name}" in row] for name in names}
    own, mean = "risk/corr_logp_advantage", "risk/corr_logp_mean_advantage"
    found["difference"] = [row[own] - row[mean] for row in rows if own in row and mean in row]
    return {name: mean_over_steps(values) for name, values in found.items()}


def _summed(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: sum(row.get(key, 0.0) for row in rows) for key in dict.fromkeys(k for row in rows for k in row)}


def _evenly_spaced(length: int, most: int) -> list[int]:
    """At most `most` indices of a list, in order: all, or the first of each of so many equal parts."""
    return list(range(length)) if length <= most else [i * length // most for i in range(most)]
