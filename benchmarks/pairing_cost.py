"""What do the pairings cost, in time and memory, as steps grow; and how far off is the approximate one really?

    python benchmarks/pairing_cost.py    # one thread, some minutes; writes benchmarks/results/pairing_cost.json

Whole steps rewards_PG -> advantages_PG in the middle of training, baseline `loo`, B = 5 unless the name says otherwise.
Every cell is a process of its own: its peak memory is the resident set's high-water mark less what was resident before
the step (Linux, /proc/self/status). Milliseconds are processor time of the one thread (see common.interleaved). A cell
that is expected to take over a minute a step, by the next smaller one and the number of responses, is left out, and
the JSON says so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from benchmarks.common import environment, write
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.bundles import ApproximatePairing, compose

SIZES = [(512, 10), (1024, 16), (8192, 64), (65536, 64)]
LONGEST_STEP, CELL_SECONDS = 60.0, 6.0
# Options, and how many levels the rewards have: None for real ones.
VARIANTS: dict[str, tuple[dict[str, Any], int | None]] = {
    "random, 0/1": ({"pairing": "random"}, 2),
    "average(8), 0/1": ({"pairing": "average", "num_pairings": 8}, 2),
    "exact, 0/1": ({"pairing": "exact"}, 2),
    "exact, 11 levels": ({"pairing": "exact", "reward_step": 0.1}, 11),
    "exact, 101 levels": ({"pairing": "exact", "reward_step": 0.01}, 101),
    "approximate(.01), real": ({"pairing": "approximate", "approximation_error": 0.01}, None),
    "exact, 1001 levels, B = 10": ({"pairing": "exact", "reward_step": 0.001, "bundle_size": 10}, 1001),
}


def graded_rewards(prompts: int, responses: int, levels: int | None, generator: torch.Generator) -> Tensor:
    """Rewards in [0, 1] of prompts of all difficulties, most of them hard; coins for two levels."""
    accuracy_P1 = torch.rand(prompts, 1, generator=generator).double().square()
    chance_PG = torch.rand(prompts, responses, generator=generator).double()
    if levels == 2:
        return (chance_PG < accuracy_P1).double()
    real_PG = (accuracy_P1 + 0.3 * (chance_PG - 0.5)).clamp(0.0, 1.0)
    return real_PG if levels is None else (real_PG * (levels - 1)).round() / (levels - 1)


def resident(field: str) -> float:
    """MB of `VmRSS` (now) or `VmHWM` (the most so far) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def measure_cell(name: str, prompts: int, responses: int, seed: int) -> dict[str, Any]:
    """Time and peak memory of one variant at one size, in this process."""
    torch.set_num_threads(1)
    options, levels = VARIANTS[name]
    config, generator = RiskConfig(baseline="loo", **options), torch.Generator().manual_seed(seed)
    rewards_PG = graded_rewards(prompts, responses, levels, generator)
    small_PG = rewards_PG[: 4 * config.bundle_size]  # starts the quantiles, and loads what is loaded once
    state = risk_advantages(small_PG, config, RiskState(), generator).state
    before, seconds = resident("VmRSS"), []
    while len(seconds) < 3 or (sum(seconds) < CELL_SECONDS and len(seconds) < 100):
        start = time.thread_time()
        risk_advantages(rewards_PG, config, state, generator)
        seconds.append(time.thread_time() - start)
        if len(seconds) == 1:
            peak = resident("VmHWM")
    if seconds[0] < 1.0:  # the first was a warm-up
        seconds = seconds[1:]
    return {
        "min_ms": round(1e3 * min(seconds), 3),
        "median_ms": round(1e3 * statistics.median(seconds), 3),
        "ns_per_response": round(1e9 * statistics.median(seconds) / (prompts * responses), 1),
        "peak_mb": round(peak - before, 1),
        "repetitions": len(seconds),
    }


def measure_variant(name: str, seed: int) -> dict[str, Any]:
    """All sizes, each in a fresh process; one that would take too long is left out."""
    cells: dict[str, Any] = {}
    per_response = 0.0
    for prompts, responses in SIZES:
        size, expected = f"{prompts}x{responses}", per_response * prompts * responses
        if expected > LONGEST_STEP:
            cells[size] = {"skipped": f"a step would take about {expected:.0f} s, over {LONGEST_STEP:.0f} s"}
            continue
        command = [sys.executable, __file__, "--seed", str(seed), "--cell", name, str(prompts), str(responses)]
        cells[size] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        per_response = cells[size]["ns_per_response"] * 1e-9
    return cells


# --- the error of the approximate pairing ---


def errors_observed(seed: int) -> dict[str, Any]:
    """Largest error over 40 prompts x 6 responses, by enumeration of all pairings, beside what is allowed.

    `real`: rewards drawn as above, quantiles 1 and 2.4. `worst`: all rewards halfway between two points of the grid,
    the signal's upper kink where the score is.
    """
    results = {}
    for allowed in (0.1, 0.01, 0.001):
        config = RiskConfig(pairing="approximate", approximation_error=allowed)
        grid, spectrum = config.splitting_grid, config.spectrum
        generator = torch.Generator().manual_seed(seed)
        halfway = grid.spacing * (grid.size // 2 + 0.5)
        cases = {
            "real": (graded_rewards(40, 6, None, generator), [1.0, 2.4]),
            "worst": (torch.full((5, 2), halfway, dtype=torch.float64), [5 * halfway] * 2),
        }
        row: dict[str, Any] = {"levels": grid.size}
        for case, (rewards_PG, quantiles) in cases.items():
            quantiles_L = torch.tensor(quantiles, dtype=torch.float64)

            def signal(scores: Tensor, quantiles_L: Tensor = quantiles_L) -> Tensor:
                return spectrum.signal(scores, quantiles_L)  # noqa: B023  (called in this turn of the loop)

            pairing = ApproximatePairing(rewards_PG, compose(torch.arange(len(rewards_PG)), 5), grid)
            missed = float((pairing.signals(signal) - enumerated(rewards_PG, signal)).abs().max())
            row[case] = {"error": float(f"{missed:.4g}"), "by_allowed": round(missed / allowed, 4)}
        results[f"{allowed:g}"] = row
    return results


def enumerated(rewards_PG: Tensor, signal: Any) -> Tensor:
    """Exact signals of consecutive groups of five: the mean over all G^4 choices of partners."""
    signals = []
    for rewards_BG in rewards_PG.view(-1, 5, rewards_PG.shape[1]):
        for own in range(5):
            others = torch.zeros(1, dtype=rewards_PG.dtype)
            for partner in range(5):
                if partner != own:
                    others = (others[:, None] + rewards_BG[partner]).flatten()
            signals.append(signal(rewards_BG[own][:, None] + others).mean(1))
    return torch.stack(signals)


def show(cells: dict[str, Any], errors: dict[str, Any]) -> None:
    print("| pairing and rewards | step | min ms | median ms | ns a response | peak MB |")
    print("|---|---|---|---|---|---|")
    for name, sizes in cells.items():
        for size, cell in sizes.items():
            if "skipped" in cell:
                print(f"| {name} | {size} | {cell['skipped']} | | | |")
                continue
            times = f"{cell['min_ms']:.2f} | {cell['median_ms']:.2f} | {cell['ns_per_response']:.0f}"
            print(f"| {name} | {size} | {times} | {cell['peak_mb']:.0f} |")
    print("\n| allowed error | levels | real rewards: error / allowed | worst case: error / allowed |")
    print("|---|---|---|---|")
    for allowed, row in errors.items():
        print(f"| {allowed} | {row['levels']} | {row['real']['by_allowed']:.4f} | {row['worst']['by_allowed']:.3f} |")


def table(content: dict[str, Any]) -> str:
    """The table of docs/method.md: median milliseconds a step, and peak memory at the largest."""
    sizes = [f"{prompts}x{responses}" for prompts, responses in SIZES]
    lines = [f"| pairing, rewards | {' | '.join(sizes)} | peak MB |", "|---" * (len(sizes) + 2) + "|"]
    for name, cells in content["cells"].items():
        times = [_duration(cells[size]["median_ms"]) if "median_ms" in cells[size] else "-" for size in sizes]
        peak = cells[sizes[-1]].get("peak_mb")
        lines.append(f"| {name} | {' | '.join(times)} | {'-' if peak is None else f'{peak:.0f}'} |")
    return "\n".join(lines) + "\n"


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else f"{milliseconds / 1e3:.3g} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)  # this script's own processes
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.cell:
        name, prompts, responses = args.cell
        print(json.dumps(measure_cell(name, int(prompts), int(responses), args.seed)))
        return
    cells = {name: measure_variant(name, args.seed) for name in VARIANTS}
    errors = errors_observed(args.seed)
    show(cells, errors)
    content = {"environment": environment(args.seed), "cells": cells, "approximation_errors": errors}
    print(f"\nwritten to {write('pairing_cost', content)}")
    write_block("method.md", "pairing_cost", table(content))


if __name__ == "__main__":
    main()
