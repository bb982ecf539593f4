"""What do rollouts of older policies do to the tracked quantiles, and to the advantages?

    python experiments/staleness.py            one thread, five minutes; writes results/staleness.json, and the page
    python experiments/staleness.py --show     prints the tables of the committed JSON, and rewrites the page's

At step t policy and tracker are updated for the t-th time, from rollouts of version t - d (of version 0 before there
is another). The mean pass rate moves from version to version: `drift` (.17 to .9 in 300 updates, at most 3 times as
fast as on average), `shock` (.3 to .6 within 4 of 150) or `still` (.4). Each step has new prompts, p ~ Beta with
a + b = 2. The advantages are `risk_advantages`' own, quantiles tracked in its state; the law of the scores is known
(staleness_theory.py), and with it the true quantiles. A tracked quantile's error has four parts that add up to it:

- staleness: quantile of the rollouts' law - quantile of the law of the policy that is updated
- lag: what a tracker that saw the rollouts' law itself would hold - quantile of the rollouts' law
- start: what is left of the sampling noise of the first step, which sets the quantiles
- noise: what the sampling noise of later steps adds

Errors are in per cent of the range of bundle scores, means of absolute values over steps and both levels (.2 and .8);
every ninth step's advantages are compared with those that the same rewards and pairing have at the true quantiles.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments import staleness_theory as theory
from experiments.pages import write_block
from experiments.staleness_tables import TABLES, short_table
from experiments.staleness_theory import Floats, Staleness

from benchmarks.common import environment
from riskpo.risk import RiskConfig, RiskState, risk_advantages

RESULT = Path(__file__).parent / "results" / "staleness.json"
PAGE = "staleness.md"
COMPARED_EVERY = 9  # odd, so that every share of a batch has its turn
SCENARIOS: dict[str, Floats] = {"drift": theory.drift(300), "shock": theory.shock(150), "still": theory.still(150)}
AGES = {str(d): Staleness(d, d) for d in (0, 1, 4, 16)} | {"0-16": Staleness(0, 16)}
PAPER = RiskConfig.from_preset("paper")
SMOOTH = RiskConfig.from_preset("exact", {"ties": "continuous"})


@dataclasses.dataclass(frozen=True)
class Setting:
    """Options, and the size of a step."""

    config: RiskConfig
    prompts: int
    responses: int


SETTINGS = {
    "paper, 512 x 10": Setting(PAPER, 512, 10),
    "paper, 128 x 8": Setting(PAPER, 128, 8),
    "exact, continuous ties, 512 x 10": Setting(SMOOTH, 512, 10),
}
RATES = {"paper": (PAPER, (0.02, 0.05, 0.1, 0.2)), "exact, continuous ties": (SMOOTH, (0.02, 0.1))}
PACES = (100, 300, 1000, 3000)  # updates that the drift takes

# Several updates of policy and tracker from the rollouts of one version: 100 batches of 512 x 10, the drift above.
BATCHES, BATCH = 100, 512


@dataclasses.dataclass(frozen=True)
class Sync:
    """A way to spend a batch of rollouts.

    Args:
        updates: from one batch, each from its share of the prompts (verl's `parameter_sync_step`).
        ahead: batches that are under way when the weights are synchronised; 0 waits for the rollouts.
        divided: quantile_lr by the number of updates.
        easy_first: a batch's prompts come in the order of their pass rates, as short answers finish first.
    """

    updates: int
    ahead: int
    divided: bool = False
    easy_first: bool = False

    @property
    def name(self) -> str:
        return (
            f"{self.updates} updates, {self.ahead} ahead" + self.divided * ", lr divided" + self.easy_first * ", easy"
        )


SYNCS = (
    Sync(1, 0),
    Sync(1, 1),
    Sync(4, 0),
    Sync(4, 1),
    Sync(4, 1, divided=True),
    Sync(16, 1),
    Sync(4, 1, easy_first=True),
    Sync(4, 1, divided=True, easy_first=True),
)


# --- one run ---


@dataclasses.dataclass(frozen=True)
class Tracked:
    """The quantiles_TL that each step used, and how far its advantages were from those at the true quantiles."""

    quantiles_TL: Floats
    difference: float
    cosine: float


def simulate(
    config: RiskConfig,
    true_TL: Floats,
    rates: Iterable[Floats],
    responses: int,
    rng: np.random.Generator,
    pairing: torch.Generator,
) -> Tracked:
    """Training's way with the quantiles, without training.

    Args:
        config: the options.
        true_TL: the quantiles that the advantages would be computed with if they were known.
        rates: of each step, the pass rates_P of its prompts.
        responses: G.
        rng: of the rewards.
        pairing: of composition and pairing.
    """
    state, used_TL, apart = RiskState(), np.empty_like(true_TL), np.zeros(5)
    for t, rates_P in enumerate(rates):
        rewards_PG = torch.from_numpy((rng.random((len(rates_P), responses)) < rates_P[:, None]).astype(np.float64))
        compared = t % COMPARED_EVERY == 0 and t > 0
        twin = pairing.clone_state() if compared else pairing
        step = risk_advantages(rewards_PG, config, state, pairing)
        before = step.state if state.quantiles_L is None else state  # the first step starts from its own scores
        used_TL[t] = before.quantiles_L
        if compared:
            known = dataclasses.replace(state, quantiles_L=tuple(true_TL[t].tolist()))
            ideal_PG = risk_advantages(rewards_PG, config, known, twin).advantages_PG
            apart += sums(step.advantages_PG.numpy(), ideal_PG.numpy())
        state = step.state
    off, ideal, product, square, ideal_square = apart
    return Tracked(used_TL, float(off / ideal), float(product / np.sqrt(square * ideal_square)))


def sums(one: Floats, ideal: Floats) -> Floats:
    """Of two arrays: what the mean absolute difference and the cosine over many of them are made of."""
    return np.array(
        [np.abs(one - ideal).sum(), np.abs(ideal).sum(), (one * ideal).sum(), (one**2).sum(), (ideal**2).sum()]
    )


def sources(seed: int) -> tuple[np.random.Generator, torch.Generator]:
    return np.random.default_rng(seed), torch.Generator().manual_seed(seed)


# --- drifting laws and stale rollouts ---


def stale_rates(means_T: Floats, staleness: Staleness, prompts: int, rng: np.random.Generator) -> Iterable[Floats]:
    for t in range(len(means_T)):
        yield theory.pass_rates(means_T[rng.choice(staleness.versions(t), prompts)], rng)


def measure(setting: Setting, means_T: Floats, staleness: Staleness, seeds: range) -> dict[str, Any]:
    """Errors, their parts and bounds, and the advantages', of one scenario, age and setting."""
    config = setting.config
    rollouts_T = staleness.rollout_means(means_T)
    true_TL, seen_TL = theory.true_quantiles(means_T, config), theory.true_quantiles(rollouts_T, config)
    free_TL = theory.noise_free(rollouts_T, config)
    runs = []
    for seed in seeds:
        rng, pairing = sources(seed)
        rates = stale_rates(means_T, staleness, setting.prompts, rng)
        runs.append(simulate(config, true_TL, rates, setting.responses, rng, pairing))
    percent = 100.0 / (config.bundle_size * config.reward_width)
    error_RTL = percent * np.stack([run.quantiles_TL - true_TL for run in runs])[:, 1:]
    seen_RTL = percent * np.stack([run.quantiles_TL - seen_TL for run in runs])[:, 1:]
    started = [theory.noise_free(rollouts_T, config, run.quantiles_TL[0].copy()) for run in runs]
    start_RTL = percent * np.stack([started_TL - free_TL for started_TL in started])[:, 1:]
    noise_RTL = percent * np.stack([run.quantiles_TL - own for run, own in zip(runs, started, strict=True)])[:, 1:]
    stale_TL, lag_TL = percent * (seen_TL - true_TL)[1:], percent * (free_TL - seen_TL)[1:]
    return {
        "error": spread(np.abs(error_RTL).mean((1, 2))),
        "error_low_high": np.abs(error_RTL).mean((0, 1)).round(3).tolist(),
        "largest_error": spread(np.abs(error_RTL).max((1, 2))),
        "error_against_rollouts": spread(np.abs(seen_RTL).mean((1, 2))),
        "parts": {
            "staleness": round(float(np.abs(stale_TL).mean()), 3),
            "lag": round(float(np.abs(lag_TL).mean()), 3),
            "start": spread(np.abs(start_RTL).mean((1, 2))),
            "noise": spread(np.abs(noise_RTL).mean((1, 2))),
            "start_rms": round(float(np.sqrt((start_RTL**2).mean(0)).mean()), 3),
            "noise_rms": round(float(np.sqrt((noise_RTL**2).mean(0)).mean()), 3),
        },
        "largest_parts": {
            "staleness": round(float(np.abs(stale_TL).max()), 3),
            "lag": round(float(np.abs(lag_TL).max()), 3),
            "start": spread(np.abs(start_RTL).max((1, 2))),
            "noise": spread(np.abs(noise_RTL).max((1, 2))),
        },
        "bounds": bounds(setting, means_T, staleness, percent),
        "advantages_off": spread(np.array([run.difference for run in runs])),
        "cosine": spread(np.array([run.cosine for run in runs])),
    }


def bounds(setting: Setting, means_T: Floats, staleness: Staleness, percent: float) -> dict[str, float]:
    """Of the means over steps and levels; of noise, where the rule has one."""
    config, rollouts_T = setting.config, staleness.rollout_means(means_T)
    way_L = np.abs(np.diff(theory.true_quantiles(means_T, config), axis=0)).sum(0)
    found = {
        "staleness": staleness.highest * float(way_L.mean()) / (len(means_T) - 1),
        "lag": float(np.mean(theory.mean_lag_bound(rollouts_T, config))),
    }
    if config.ties == "continuous":
        lag_TL, squares_T = theory.lag_bounds(rollouts_T, config), staleness.rollout_squares(means_T)
        whole = (config, setting.prompts, setting.responses)
        start_TL, noise_TL = theory.noise_bounds(rollouts_T, squares_T, whole, lag_TL)
        found |= {"start_rms": float(start_TL[1:].mean()), "noise_rms": float(noise_TL[1:].mean())}
    return {name: round(percent * bound, 3) for name, bound in found.items()}


def spread(values: Floats) -> dict[str, float]:
    """Mean and standard deviation over seeds."""
    return {"mean": round(float(values.mean()), 4), "std": round(float(values.std(ddof=1)), 4)}


def paces() -> list[dict[str, Any]]:
    """The lag as an age: how old rollouts must be for their staleness to be as large. Without noise."""
    found = []
    for steps in PACES:
        means_T = theory.drift(steps)
        for ties, base in (("step", PAPER), ("continuous", SMOOTH)):
            for lr in (0.02, 0.1):
                config = dataclasses.replace(base, quantile_lr=lr)
                true_TL = theory.true_quantiles(means_T, config)
                lag = float(np.abs(theory.noise_free(means_T, config) - true_TL)[1:].mean())
                way = float(np.abs(np.diff(true_TL, axis=0)).mean())
                percent = 100.0 / config.bundle_size
                row = {"steps": steps, "ties": ties, "quantile_lr": lr, "lag": round(percent * lag, 3)}
                found.append({**row, "drift_a_step": round(percent * way, 4), "lag_age": round(lag / way, 2)})
    return found


# --- several updates from one version's rollouts ---


def batched_rates(means_T: Floats, staleness: Staleness, sync: Sync, rng: np.random.Generator) -> Iterable[Floats]:
    """Of each update, the pass rates of its share of the batch."""
    for start in range(0, len(means_T), sync.updates):
        version = staleness.versions(start)[0]
        rates_P = theory.pass_rates(np.full(BATCH, means_T[version]), rng)
        if sync.easy_first:
            rates_P = np.sort(rates_P)[::-1]
        yield from np.split(rates_P, sync.updates)


def measure_sync(sync: Sync, seeds: range) -> dict[str, Any]:
    """Errors against the policy that is updated, over all updates of the drift."""
    lr = PAPER.quantile_lr / (sync.updates if sync.divided else 1)
    config = dataclasses.replace(PAPER, quantile_lr=lr)
    means_T = theory.drift(BATCHES * sync.updates)
    staleness = Staleness(sync.ahead * sync.updates, sync.ahead * sync.updates, cycle=sync.updates)
    true_TL, runs = theory.true_quantiles(means_T, config), []
    for seed in seeds:
        rng, pairing = sources(seed)
        runs.append(simulate(config, true_TL, batched_rates(means_T, staleness, sync, rng), 10, rng, pairing))
    error_RTL = 100.0 / config.bundle_size * np.stack([run.quantiles_TL - true_TL for run in runs])[:, 1:]
    return {
        **dataclasses.asdict(sync),
        "quantile_lr": lr,
        "error": spread(np.abs(error_RTL).mean((1, 2))),
        "largest_error": spread(np.abs(error_RTL).max((1, 2))),
        "advantages_off": spread(np.array([run.difference for run in runs])),
        "cosine": spread(np.array([run.cosine for run in runs])),
    }


# --- all of it ---


def all_cells(seeds: range, say: Callable[[str], None]) -> dict[str, Any]:
    cells: dict[str, dict[str, Any]] = {}
    for name, setting in SETTINGS.items():
        for scenario, means_T in SCENARIOS.items():
            for age, staleness in AGES.items():
                if scenario == "still" and age != "0":
                    continue  # one law for all versions
                key = f"{name}; {scenario}; {age}"
                cells[key] = measure(setting, means_T, staleness, seeds)
                say(f"{key}: error {cells[key]['error']['mean']:.2f}, cosine {cells[key]['cosine']['mean']:.4f}")
    rates: dict[str, dict[str, Any]] = {}
    for name, (base, values) in RATES.items():
        for lr in values:
            setting = Setting(dataclasses.replace(base, quantile_lr=lr), 512, 10)
            for scenario, age in (("drift", "0"), ("drift", "16"), ("still", "0")):
                known = cells.get(f"{name}, 512 x 10; {scenario}; {age}") if lr == base.quantile_lr else None
                key = f"{name}; {lr:g}; {scenario}; {age}"
                rates[key] = known or measure(setting, SCENARIOS[scenario], AGES[age], seeds)
                say(f"quantile_lr {key}: error {rates[key]['error']['mean']:.2f}")
    syncs = {}
    for sync in SYNCS:
        syncs[sync.name] = measure_sync(sync, seeds)
        say(f"{sync.name}: error {syncs[sync.name]['error']['mean']:.2f}")
    return {"cells": cells, "rates": rates, "paces": paces(), "syncs": syncs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--seeds", type=int, default=10, help="how many, at least 2")
    parser.add_argument("--show", action="store_true", help="only print the tables of the committed result")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error(f"--seeds must be at least 2, for a standard deviation; got {args.seeds}.")
    torch.set_num_threads(1)
    if not args.show:
        start, processor = time.monotonic(), time.process_time()
        found = all_cells(
            range(args.seed, args.seed + args.seeds), lambda line: print(f"{time.monotonic() - start:5.0f} s  {line}")
        )
        content = {
            "environment": environment(args.seed),
            "setting": {
                "seeds": args.seeds,
                "steps": {name: len(means_T) for name, means_T in SCENARIOS.items()},
                "concentration": theory.CONCENTRATION,
                "batches": BATCHES,
                "prompts_a_batch": BATCH,
                "compared_every": COMPARED_EVERY,
            },
            **found,
            "processor_seconds": round(time.process_time() - processor, 1),
        }
        RESULT.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    content = json.loads(RESULT.read_text(encoding="utf-8"))
    for name, make in TABLES.items():
        write_block(PAGE, name, make(content))
        print(f"\n{make(content)}")
    write_block("engines.md", "staleness short", short_table(content))


if __name__ == "__main__":
    main()
