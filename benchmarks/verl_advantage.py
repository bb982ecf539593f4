"""Does the driver of a verl run wait longer for the advantages of RiskPO than for those of verl's own GRPO?

    python benchmarks/verl_advantage.py    # in verl's environment, one thread; benchmarks/results/verl_advantage.json

The same batch through verl's own functions, estimator by estimator in turns: 0/1 rewards on the last of up to 3 072
tokens, rows in random order, as the trainer hands them over. `trainer` is what verl's V1 trainer calls
(`compute_advantage_for_multi_trajectories`), `function` the `compute_advantage` under it. Milliseconds are processor
time of the one thread (see common.interleaved).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for experiments, also when run as a script
from experiments.pages import write_block

from benchmarks.common import environment, interleaved, ratio, summary, write
from riskpo.engines.verl.estimator import Scoring, scoring
from riskpo.engines.verl.options import read_options
from riskpo.risk import RiskState

SIZES = {(512, 10): 12, (1024, 16): 8}
TOKENS = 3072
PRESETS = ("paper", "exact", "two-level")


def batch(prompts: int, responses: int, seed: int) -> tuple[Any, list[str]]:
    """A batch of verl and the keys of its rows."""
    from verl.protocol import DataProto

    source = torch.Generator().manual_seed(seed)
    rows = prompts * responses
    accuracy_P1 = torch.rand(prompts, 1, generator=source).square()
    rewards_N = (torch.rand(prompts, responses, generator=source) < accuracy_P1).float().flatten()
    lengths_N = torch.randint(1, TOKENS + 1, (rows,), generator=source)
    mask_NT = (torch.arange(TOKENS) < lengths_N[:, None]).long()
    rewards_NT = torch.zeros(rows, TOKENS)
    rewards_NT[torch.arange(rows), lengths_N - 1] = rewards_N
    order = torch.randperm(rows, generator=source)
    keys = [f"u{row // responses}_{row % responses}_0" for row in order.tolist()]
    data = DataProto.from_single_dict(
        {
            "token_level_rewards": rewards_NT[order],
            "response_mask": mask_NT[order],
            "uid": np.array([key.rsplit("_", 2)[0] for key in keys], dtype=object),
        }
    )
    return data, keys


def candidates(data: Any, keys: list[str], prompts: int) -> dict[str, Callable[[], Any]]:
    """What is timed: verl's GRPO and ours, each the way of the trainer and the function alone."""
    from verl.trainer.ppo.ray_trainer import compute_advantage
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    def grpo(call: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: call("grpo")

    def ours(call: Callable[..., Any], preset: str) -> Callable[[], Any]:
        options = read_options("riskpo", {"preset": preset})
        places = {f"u{prompt}": (0, prompt) for prompt in range(prompts)}

        def step() -> Any:
            now = Scoring(options.risk, RiskState(), torch.Generator().manual_seed(0), keys=keys, places=places)
            with scoring(now):
                return call("riskpo")

        return step

    ways: dict[str, Callable[..., Any]] = {
        "trainer": lambda name: compute_advantage_for_multi_trajectories(data, keys, name, config={}),
        "function": lambda name: compute_advantage(data, name, config={}),
    }
    found = {f"{way}: verl's grpo": grpo(call) for way, call in ways.items()}
    return found | {f"{way}: {preset}": ours(call, preset) for way, call in ways.items() for preset in PRESETS}


def measure(prompts: int, responses: int, repetitions: int, seed: int) -> dict[str, Any]:
    data, keys = batch(prompts, responses, seed)
    seconds = interleaved(candidates(data, keys, prompts), repetitions)
    found: dict[str, Any] = {}
    for name, times in seconds.items():
        way, _, estimator = name.partition(": ")
        found[name] = summary(times)
        if estimator in PRESETS:
            found[name]["ratio_to_grpo"] = ratio(times, seconds[f"{way}: verl's grpo"])
    return found


def table(found: Mapping[str, Any]) -> str:
    """The block of docs/engines.md."""
    lines = [
        "| prompts x responses | way | verl's GRPO | `paper` | `exact` | `two-level` |",
        "|---|---|---|---|---|---|",
    ]
    for size, numbers in found["sizes"].items():
        for way in ("trainer", "function"):
            cells = [f"{numbers[way + ': ' + name]['median_ms']:.0f} ms" for name in ("verl's grpo", *PRESETS)]
            ratios = ["", *(f" ({numbers[way + ': ' + name]['ratio_to_grpo']:.2f} x)" for name in PRESETS)]
            shown = " | ".join(cell + said for cell, said in zip(cells, ratios, strict=True))
            lines.append(f"| {size.replace('x', ' x ')} | {way} | {shown} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args(arguments).seed
    torch.set_num_threads(1)
    sizes = {}
    for (prompts, responses), repetitions in SIZES.items():
        name = f"{prompts}x{responses}"
        sizes[name] = measure(prompts, responses, repetitions, seed)
        print(name)
        for estimator, numbers in sizes[name].items():
            print(f"  {estimator:24} {numbers['median_ms']:9.1f} ms  {numbers.get('ratio_to_grpo', '')}", flush=True)
    found = {"environment": environment(seed), "tokens": TOKENS, "sizes": sizes}
    write_block("engines.md", "verl cost", table(found))
    print(f"written: {write('verl_advantage', found)}")


if __name__ == "__main__":
    main()
