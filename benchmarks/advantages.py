"""How long does a step's rewards_PG -> advantages_PG take, and does anyone notice it beside one tensor product?

    python benchmarks/advantages.py        # one thread, two or three minutes; writes benchmarks/results/advantages.json

Three estimators on the same 0/1 rewards, B = 5: the presets `paper` and `exact`, and for comparison the released
code's function (settings of its hard run) as a plain loop over responses; at one size every preset and every peer with
its default options. Milliseconds are processor time of the one thread (see common.interleaved).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from common import environment, interleaved, ratio, summary, write
from torch import Tensor

from riskpo.risk import PRESETS as ALL_PRESETS
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.peers import PEERS

SIZES = {(512, 10): 40, (1024, 16): 20, (2048, 32): 8, (4096, 64): 4, (8192, 64): 4}  # and repetitions in a round
ROUNDS = 8
COMPARED = [(512, 10), (1024, 16), (8192, 64)]
MASKED = [(512, 10), (1024, 16)]
TOKENS = 3072
PRESETS = ["paper", "exact"]
EVERY_SIZE, EVERY_LIMIT_MS = (1024, 16), 10.0


def coin_rewards(prompts: int, responses: int, generator: torch.Generator) -> Tensor:
    """0/1 rewards of prompts of all difficulties, most of them hard."""
    accuracy_P1 = torch.rand(prompts, 1, generator=generator).square()
    return (torch.rand(prompts, responses, generator=generator) < accuracy_P1).float()


def preset_step(preset: str, rewards_PG: Tensor, generator: torch.Generator) -> Callable[[], Tensor]:
    """A step in the middle of training: the quantiles are tracked already."""
    config = RiskConfig.from_preset(preset)
    state = risk_advantages(rewards_PG, config, RiskState(), generator).state
    return lambda: risk_advantages(rewards_PG, config, state, generator).advantages_PG


# --- the released function: quantiles of the group's own scores, mixing, divided by their std, credit sum-mean ---


def released_loop(rewards_PG: Tensor, bundle_size: int = 5, low: float = 0.2, high: float = 0.8) -> Tensor:
    """Contiguous groups, pairing by response index, a short last bundle; equal to the released code in training."""
    w_mix, eps = 1.5, 1e-6
    rewards = rewards_PG.tolist()
    advantages = [[0.0] * len(row) for row in rewards]
    for start in range(0, len(rewards), bundle_size):
        members = range(start, min(start + bundle_size, len(rewards)))
        means = {i: statistics.fmean(rewards[i]) for i in members}
        scores = [sum(rewards[i][j] for i in members) for j in range(len(rewards[start]))]
        q_low, q_high = linear_quantile(scores, low), linear_quantile(scores, high)
        std = unbiased_std(scores)
        for j, score in enumerate(scores):
            tail = -max(q_low - score, 0.0) / (low + eps)
            middle = (max(score - q_low, 0.0) - max(score - q_high, 0.0)) / (high - low + eps)
            signal = (w_mix * tail + middle) / (w_mix + 1.0) / (std + eps)
            total = sum(rewards[i][j] - means[i] for i in members)
            for i in members:
                credit = (rewards[i][j] - means[i]) / total if abs(total) > 1e-6 else 1.0 / len(members)
                advantages[i][j] = signal * credit
    return torch.tensor(advantages)


def linear_quantile(values: list[float], level: float) -> float:
    ordered = sorted(values)
    position = level * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def unbiased_std(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5


# --- the measurements ---


def measure_steps(seed: int) -> dict[str, Any]:
    """Time of a step by size and estimator; the loop at three sizes only, where it is compared.

    All sizes are visited in each of several rounds: the machine's slow spells last for many seconds, and one must not
    fall on a single size.
    """
    candidates = {size: step_candidates(*size, seed) for size in SIZES}
    seconds: dict[tuple[int, int], dict[str, list[float]]] = {
        size: {name: [] for name in candidates[size]} for size in SIZES
    }
    for _ in range(ROUNDS):
        for size, repetitions in SIZES.items():
            for name, times in interleaved(candidates[size], repetitions).items():
                seconds[size][name] += times
    return {
        f"{prompts}x{responses}": {
            **{name: summary(times) for name, times in by_name.items()},
            **{f"{name} / paper": ratio(times, by_name["paper"]) for name, times in by_name.items() if name != "paper"},
            "ns_per_response": {
                name: round(1e9 * statistics.median(times) / (prompts * responses), 1)
                for name, times in by_name.items()
            },
        }
        for (prompts, responses), by_name in seconds.items()
    }


def step_candidates(prompts: int, responses: int, seed: int) -> dict[str, Callable[[], Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    rewards_PG = coin_rewards(prompts, responses, generator)
    candidates = {preset: preset_step(preset, rewards_PG, generator) for preset in PRESETS}
    if (prompts, responses) in COMPARED:
        candidates["loop"] = lambda: released_loop(rewards_PG)
    return candidates


def measure_every_estimator(seed: int, left_out: Sequence[str]) -> dict[str, Any]:
    """All presets and all peers at one size, each in the middle of training, on a schedule at its start.

    Compositions by difficulty have met every prompt.
    """
    generator = torch.Generator().manual_seed(seed)
    rewards_PG = coin_rewards(*EVERY_SIZE, generator)
    configs = {preset: RiskConfig.from_preset(preset) for preset in ALL_PRESETS if preset not in left_out}
    configs |= {name: RiskConfig.from_preset("paper", {"estimator": name}) for name in PEERS if name not in left_out}
    ids = [str(prompt) for prompt in range(len(rewards_PG))]

    def step(config: RiskConfig) -> Callable[[], Tensor]:
        state = risk_advantages(rewards_PG, config, RiskState(), generator, prompt_ids=ids).state
        return lambda: risk_advantages(rewards_PG, config, state, generator, prompt_ids=ids).advantages_PG

    seconds = interleaved({name: step(config) for name, config in configs.items()}, repetitions=100)
    return {name: summary(times) for name, times in seconds.items()}


def measure_masks(seed: int) -> dict[str, Any]:
    """Advantages and their product with a token mask, [rows, 1] * [rows, 3072], against that product alone.

    `fresh` allocates the product, as an engine does; `reused` writes it into memory that is there already, which is
    two to four times faster and so the harder comparison.
    """
    results = {}
    for prompts, responses in MASKED:
        generator = torch.Generator().manual_seed(seed)
        rewards_PG = coin_rewards(prompts, responses, generator)
        mask_RT = torch.ones(prompts * responses, TOKENS)
        product_RT, column_R1 = torch.empty_like(mask_RT), rewards_PG.reshape(-1, 1)
        steps = {preset: preset_step(preset, rewards_PG, generator) for preset in PRESETS}
        results[f"{prompts}x{responses}"] = {
            memory: masked(steps, column_R1, mask_RT, out_RT)
            for memory, out_RT in (("fresh", None), ("reused", product_RT))
        }
    return results


def masked(
    steps: dict[str, Callable[[], Tensor]], column_R1: Tensor, mask_RT: Tensor, out_RT: Tensor | None
) -> dict[str, Any]:
    def after(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: torch.mul(step().float().view(-1, 1), mask_RT, out=out_RT)

    alone = {"product alone": lambda: torch.mul(column_R1, mask_RT, out=out_RT)}
    seconds = interleaved(alone | {preset: after(step) for preset, step in steps.items()}, repetitions=40)
    return {
        **{name: summary(times) for name, times in seconds.items()},
        **{f"{preset} / alone": ratio(seconds[preset], seconds["product alone"]) for preset in steps},
    }


def check_targets(steps: dict[str, Any], masks: dict[str, Any], every: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers that were promised beforehand, and whether they are met."""
    targets = []
    for preset in PRESETS:
        for size, limit in (("512x10", 2.0), ("1024x16", 5.0)):
            targets.append((f"{preset} at {size}, ms", steps[size][preset]["median_ms"], limit))
    targets += [(f"exact / paper at {size}", step["exact / paper"], 3.0) for size, step in steps.items()]
    for size, memories in masks.items():
        targets += [
            (f"{preset} and mask / mask at {size}", memories["fresh"][f"{preset} / alone"], 1.1) for preset in PRESETS
        ]
    size = "{}x{}".format(*EVERY_SIZE)
    targets += [(f"{name} at {size}, ms", times["median_ms"], EVERY_LIMIT_MS) for name, times in every.items()]
    return [{"what": what, "value": value, "at_most": limit, "met": value <= limit} for what, value, limit in targets]


def show(steps: dict[str, Any], masks: dict[str, Any], targets: list[dict[str, Any]]) -> None:
    print(f"{'step':>8}  {'estimator':<9} {'median ms':>9} {'5 %':>9} {'95 %':>9} {'/ paper':>8} {'ns/response':>11}")
    for size, step in steps.items():
        for name, each in step["ns_per_response"].items():
            times, by_paper = step[name], step.get(f"{name} / paper", 1.0)
            points = f"{times['median_ms']:9.3f} {times['p5_ms']:9.3f} {times['p95_ms']:9.3f}"
            print(f"{size:>8}  {name:<9} {points} {by_paper:8.2f} {each:11.0f}")
    print(f"\nwith a product [rows, 1] * [rows, {TOKENS}], by that product alone")
    for size, memories in masks.items():
        for memory, times in memories.items():
            ratios = ", ".join(f"{preset} {times[f'{preset} / alone']:.3f}" for preset in PRESETS)
            print(f"{size:>8}  {memory:<6} memory: {times['product alone']['median_ms']:8.2f} ms alone; {ratios}")
    print()
    for target in targets:
        met = "met" if target["met"] else "MISSED"
        print(f"{target['what']:<38} {target['value']:8.3f}  at most {target['at_most']:g}: {met}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--leave-out", nargs="*", default=[], help="presets or peers not to measure; the JSON names them"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    steps, masks = measure_steps(args.seed), measure_masks(args.seed)
    every = measure_every_estimator(args.seed, args.leave_out)
    targets = check_targets(steps, masks, every)
    show(steps, masks, targets)
    content = {
        "environment": environment(args.seed),
        "steps": steps,
        "with_token_mask": masks,
        "every_estimator": {"size": "{}x{}".format(*EVERY_SIZE), "left_out": args.leave_out, **every},
        "targets": targets,
    }
    print(f"\nwritten to {write('advantages', content)}")


if __name__ == "__main__":
    main()
