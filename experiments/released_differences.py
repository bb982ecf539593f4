"""What does each difference between the released code and the paper do to the gradient?

    python experiments/released_differences.py    # one thread, two minutes; writes results/<this name>.json

A policy of independent coins stands for the language model: prompt i is answered rightly with probability
p_i = sigmoid(theta_i), whence grad log pi(response) = r - p_i and grad p_i = p_i (1 - p_i). For each law of p, draws of
50 prompts in ten fixed groups of five; for each draw, `STEPS` steps of G responses per prompt. Measured, for the
presets and for single changes from `paper` towards the released code:

- weight: omega(p) = E[A (r - p)] / (p (1 - p)), what multiplies grad p, by bins of difficulty (sums over a bin's
  prompts before the division), with its standard error over draws;
- sign flips, over prompts that have right and wrong responses: the share of (right, wrong) pairs in which the right one
  gets less, and of right responses below their prompt's mean; and the share of all right responses with A < 0;
- max |A|, and the root of the mean of A^2;
- SNR^2: |mean|^2 / total variance over steps of the gradient with respect to theta, the sampling error of |mean|^2
  taken off; a draw's ratio to `paper`, as median, 10 % and 90 % point over draws; draws whose signal is 0 throughout
  are counted apart and have no ratio.

Tracked quantiles are F^-1 of all scores of a draw's steps together: the point at which the tracking rests.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.common import environment
from riskpo.risk import RiskConfig, RiskState, ScoreLaw, inverse_cdf, risk_advantages
from riskpo.risk.released import RELEASED, credited, released_advantages

RESULTS = Path(__file__).parent / "results"
PROMPTS, BUNDLE, STEPS, EPS = 50, 5, 100, 1e-6
LAWS = {"U(0, 1)": (1.0, 1.0), "Beta(.5, 1)": (0.5, 1.0), "Beta(.3, 3)": (0.3, 3.0)}
RESPONSES = {"G = 10 (hard)": 10, "G = 5 (easy)": 5}
SHORT = {10: 2, 5: 4}  # prompts of the released runs' short last bundle: 512 mod 5 and 1024 mod 5
EDGES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
FEWEST = 20  # prompts, over all draws, that a bin must have for a weight of its own
BINS = ("0-.05", ".05-.2", ".2-.4", ".4-.6", ".6-.8", ".8-.95", ".95-1")
PRESETS = ("paper", "exact", "released-hard", "released-easy", "released-risk-seeking")

Estimator = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Change:
    """The paper's estimator with some parts replaced by the released code's; none by default.

    Args:
        high: the upper level; the lower is .2 in both.
        own_quantiles: linear quantiles of each group's own G scores instead of tracked ones.
        weights: (w_mix/a, 1/(b - a)) / (w_mix + 1), w_mix = 1.5, as slopes of tail and middle instead of (1.5, 1).
        constant: whether the middle has the constant q_a - q_b.
        divide: by the standard deviation of the group's scores + 1e-6.
        credit: how a bundle's signal is shared out.
    """

    high: float = 0.8
    own_quantiles: bool = False
    weights: bool = False
    constant: bool = True
    divide: bool = False
    credit: str = "uniform"

    def __call__(self, rewards_RG: Tensor, generator: torch.Generator) -> Tensor:
        """Pairing by response index, as released: responses are independent, so it is a random one."""
        groups_MBG = rewards_RG.view(-1, BUNDLE, rewards_RG.shape[1])
        scores_MG = groups_MBG.sum(1)
        low, high = self.quantiles(scores_MG)
        signal_MG = self.signal(scores_MG, low, high)
        return credited(signal_MG, groups_MBG, groups_MBG, self.credit).reshape(rewards_RG.shape)

    def quantiles(self, scores_MG: Tensor) -> tuple[Tensor, Tensor]:
        levels = torch.tensor([0.2, self.high], dtype=scores_MG.dtype)
        if self.own_quantiles:
            low, high = torch.quantile(scores_MG, levels, dim=1, keepdim=True)
        else:
            low, high = inverse_cdf(ScoreLaw.of_samples(scores_MG), levels)
        return low, high

    def signal(self, scores_MG: Tensor, low: Tensor, high: Tensor) -> Tensor:
        tail, middle = (0.6 / (0.2 + EPS), 0.4 / (self.high - 0.2 + EPS)) if self.weights else (1.5, 1.0)
        middle_MG = (scores_MG - low).clamp(min=0) - (scores_MG - high).clamp(min=0)
        if self.constant:
            middle_MG = middle_MG + low - high
        signal_MG = middle * middle_MG - tail * (low - scores_MG).clamp(min=0)
        return signal_MG / (scores_MG.std(1, keepdim=True) + EPS) if self.divide else signal_MG


CHANGES = {
    "own quantiles": Change(own_quantiles=True),
    "weights 4.5 : 1": Change(weights=True),
    "weights 5.25 : 1, levels (.2, .9)": Change(weights=True, high=0.9),
    "levels (.2, .9)": Change(high=0.9),
    "no constant": Change(constant=False),
    "divided by std": Change(divide=True),
    "own quantiles, divided by std": Change(own_quantiles=True, divide=True),
    "own quantiles, weights 4.5 : 1": Change(own_quantiles=True, weights=True),
    "credit score": Change(credit="score"),
    "credit std": Change(credit="std"),
    "credit sum-mean": Change(credit="sum-mean"),
}
# All changes of a preset together: must be the preset, or this script measures something else.
TOGETHER = {
    "released_hard": Change(own_quantiles=True, weights=True, constant=False, divide=True, credit="sum-mean"),
    "released_easy": Change(high=0.9, own_quantiles=True, weights=True, divide=True, credit="std"),
}


def preset(name: str) -> Estimator:
    """A preset, on all steps of a draw as one: its groups are consecutive prompts and never mix steps."""
    config = RiskConfig.from_preset(name)
    if config.estimator == "riskpo":
        config = dataclasses.replace(config, composition="consecutive")
    return lambda rewards_RG, generator: risk_advantages(rewards_RG, config, RiskState(), generator).advantages_PG


ESTIMATORS: dict[str, Estimator] = {**{name: preset(name) for name in PRESETS}, **CHANGES}


@dataclass
class Tally:
    """Sums over draws for one estimator. Bins are the last axis."""

    gains: list[Tensor] = dataclasses.field(default_factory=list)
    slopes: list[Tensor] = dataclasses.field(default_factory=list)
    prompts: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(len(BINS), dtype=torch.float64))
    counts: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(6, dtype=torch.float64))
    largest: float = 0.0
    squares: list[float] = dataclasses.field(default_factory=list)
    snr2: list[float] = dataclasses.field(default_factory=list)

    def add(self, advantages_RG: Tensor, rewards_RG: Tensor, p_P: Tensor) -> None:
        gradient_TP = (advantages_RG * (rewards_RG - p_P.repeat(STEPS)[:, None])).mean(1).view(STEPS, PROMPTS)
        mean_P, noise = gradient_TP.mean(0), float(gradient_TP.var(0).sum())
        # All advantages 0 (both quantiles at the lowest score: the paper's signal vanishes): neither signal nor noise.
        self.snr2.append((float(mean_P.square().sum()) - noise / STEPS) / noise if noise else math.nan)
        self.gains.append(by_bin(p_P, mean_P))
        self.slopes.append(by_bin(p_P, p_P * (1 - p_P)))
        self.prompts += by_bin(p_P, torch.ones_like(p_P))
        self.counts += flips(advantages_RG, rewards_RG)
        self.largest = max(self.largest, float(advantages_RG.abs().max()))
        self.squares.append(float(advantages_RG.square().mean()))

    def summary(self, paper: Tally) -> dict[str, Any]:
        weight_N, error_N = weights(self.gains, self.slopes)
        for values_N in (weight_N, error_N):
            values_N[self.prompts < FEWEST] = torch.nan
        snr2_D = torch.tensor(self.snr2, dtype=torch.float64)
        ratios_D = snr2_D / torch.tensor(paper.snr2, dtype=torch.float64)
        shares = (self.counts[::2] / self.counts[1::2]).tolist()
        return {
            "weight": dict(zip(BINS, rounded(weight_N), strict=True)),
            "weight_error": dict(zip(BINS, rounded(error_N), strict=True)),
            **dict(zip(("pairs_flipped", "right_below_mean", "right_below_zero"), rounded(shares), strict=True)),
            "max_abs": rounded([self.largest])[0],
            "root_mean_square": rounded([torch.tensor(self.squares).mean().sqrt()])[0],
            "snr2": rounded([snr2_D.nanmedian()])[0],
            "snr2_ratio": rounded(torch.nanquantile(ratios_D, torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64))),
            "draws_without_signal": int(snr2_D.isnan().sum()),
        }


def weights(gains: list[Tensor], slopes: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Sum of gains by sum of slopes, and the standard error over draws."""
    gains_DN, slopes_DN = torch.stack(gains), torch.stack(slopes)
    weight_N = gains_DN.sum(0) / slopes_DN.sum(0)
    return weight_N, (gains_DN - weight_N * slopes_DN).square().sum(0).sqrt() / slopes_DN.sum(0)


def by_bin(p_P: Tensor, values_P: Tensor) -> Tensor:
    bins_P = torch.bucketize(p_P, torch.tensor(EDGES, dtype=p_P.dtype))
    return torch.zeros(len(BINS), dtype=p_P.dtype).index_add_(0, bins_P, values_P)


def flips(advantages_RG: Tensor, rewards_RG: Tensor) -> Tensor:
    """Three (count, out of) pairs: pairs flipped, right below the prompt's mean, right below zero."""
    right_RG, mixed_R = rewards_RG > 0, (rewards_RG.amax(1) > rewards_RG.amin(1))
    slack_R1 = 1e-6 * advantages_RG.abs().amax(1, keepdim=True)  # equal advantages are no flip, whatever the rounding
    right_RG1, wrong_R1G = right_RG[:, :, None], ~right_RG[:, None, :]
    less_RGG = advantages_RG[:, :, None] < advantages_RG[:, None, :] - slack_R1[:, :, None]
    below_RG = advantages_RG < advantages_RG.mean(1, keepdim=True) - slack_R1
    judged_RG = right_RG & mixed_R[:, None]
    parts = [
        (less_RGG & right_RG1 & wrong_R1G).sum(),
        (right_RG1 & wrong_R1G).sum(),
        (below_RG & judged_RG).sum(),
        judged_RG.sum(),
        ((advantages_RG < 0) & right_RG).sum(),
        right_RG.sum(),
    ]
    return torch.stack(parts).double()


def accuracies(law: tuple[float, float], prompts: int, generator: torch.Generator) -> Tensor:
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(*law, size=prompts))


def coins(p_P: Tensor, responses: int, generator: torch.Generator) -> Tensor:
    """0/1 rewards of all steps of a draw, one step after the other."""
    uniform_RG = torch.rand(STEPS * len(p_P), responses, dtype=torch.float64, generator=generator)
    return (uniform_RG < p_P.repeat(STEPS)[:, None]).double()


def measure(law: tuple[float, float], responses: int, draws: int, generator: torch.Generator) -> dict[str, Any]:
    tallies = {name: Tally() for name in ESTIMATORS}
    for _ in range(draws):
        p_P = accuracies(law, PROMPTS, generator)
        rewards_RG = coins(p_P, responses, generator)
        check_together(rewards_RG, generator)  # of every draw: the changes add up to the released code
        for name, estimator in ESTIMATORS.items():
            tallies[name].add(estimator(rewards_RG, generator), rewards_RG, p_P)
    return {name: tally.summary(tallies["paper"]) for name, tally in tallies.items()}


def check_together(rewards_RG: Tensor, generator: torch.Generator) -> None:
    for name, change in TOGETHER.items():
        expected_RG = released_advantages(rewards_RG, RELEASED[name]).double()
        torch.testing.assert_close(change(rewards_RG, generator), expected_RG, rtol=1e-3, atol=1e-4)


def measure_short(law: tuple[float, float], responses: int, draws: int, generator: torch.Generator) -> dict[str, Any]:
    """The prompts that do not fill a bundle: in a short one of their own, or with partners lent by the group before.

    `paper` scores both with the quantiles of the full bundles; the released presets with the short group's own.
    """
    gains: dict[str, list[Tensor]] = {}
    slopes: dict[str, list[Tensor]] = {}
    squares: dict[str, list[Tensor]] = {}
    for _ in range(draws):
        p_P = accuracies(law, PROMPTS + SHORT[responses], generator)
        rewards_RG = coins(p_P, responses, generator)
        rewards_TPG = rewards_RG.view(STEPS, -1, responses)
        for name, advantages_TPG in short_bundles(rewards_TPG, SHORT[responses], generator).items():
            own = slice(PROMPTS) if name.endswith("full bundle") else slice(PROMPTS, None)
            gain = (advantages_TPG * (rewards_TPG[:, own] - p_P[own, None])).mean((0, 2)).sum()
            gains.setdefault(name, []).append(gain)
            slopes.setdefault(name, []).append((p_P[own] * (1 - p_P[own])).sum())
            squares.setdefault(name, []).append(advantages_TPG.square().mean())
    return {
        name: {
            **dict(zip(("weight", "weight_error"), rounded(weights(gains[name], slopes[name])), strict=True)),
            "root_mean_square": rounded([torch.stack(squares[name]).mean().sqrt()])[0],
        }
        for name in gains
    }


def short_bundles(rewards_TPG: Tensor, short: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Advantages of the prompts in full bundles, or of the `short` last ones of each step."""
    responses, paper = rewards_TPG.shape[2], Change()
    full_RG, short_RG = (part.reshape(-1, responses) for part in (rewards_TPG[:, :PROMPTS], rewards_TPG[:, PROMPTS:]))
    low, high = paper.quantiles(full_RG.view(-1, BUNDLE, responses).sum(1))
    advantages = {"paper, full bundle": paper(full_RG, generator).view(STEPS, PROMPTS, responses)}
    for kind, members in (("partners lent", BUNDLE), ("short bundle", short)):
        signal_TG = paper.signal(rewards_TPG[:, -members:].sum(1), low, high)
        advantages[f"paper, {kind}"] = signal_TG[:, None, :].expand(STEPS, short, responses)
    for name, released in RELEASED.items():
        alone = dataclasses.replace(released, bundle_size=short)
        advantages[f"{name}, full bundle"] = released_advantages(full_RG, released).view(STEPS, PROMPTS, responses)
        advantages[f"{name}, short bundle"] = released_advantages(short_RG, alone).view(STEPS, short, responses)
    return advantages


def rounded(values: Any) -> list[Any]:
    """Four significant digits; None for NaN, which JSON does not have."""
    numbers = [float(value) for value in values]
    return [None if math.isnan(number) else float(f"{number:.4g}") for number in numbers]


def show(results: dict[str, Any]) -> None:
    print(
        "Weights by difficulty; pairs: right gets less than wrong; right: right below the prompt's mean / below zero.\n"
    )
    for setting, by_name in results.items():
        print(f"### {setting}\n")
        print("| estimator | " + " | ".join(BINS) + " | pairs % | right % | max abs A | rms A | SNR² ratio (10-90 %) |")
        print("|---" * (len(BINS) + 6) + "|")
        for name, row in by_name.items():
            weights = " | ".join("-" if weight is None else f"{weight:.3g}" for weight in row["weight"].values())
            right = f"{100 * row['right_below_mean']:.1f} / {100 * row['right_below_zero']:.1f}"
            sizes = f"{row['max_abs']:.3g} | {row['root_mean_square']:.3g}"
            ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row["snr2_ratio"])
            print(f"| {name} | {weights} | {100 * row['pairs_flipped']:.1f} | {right} | {sizes} | {ratio} |")
        print()


def show_short(results: dict[str, Any]) -> None:
    names = list(next(iter(results.values())))
    print("### Prompts that do not fill a bundle: weight ± standard error (rms A)\n")
    print("| bundle | " + " | ".join(results) + " |\n" + "|---" * (len(results) + 1) + "|")
    for name in names:
        rows = [by_name[name] for by_name in results.values()]
        cells = [f"{row['weight']:.2f} ± {row['weight_error']:.2f} ({row['root_mean_square']:.2f})" for row in rows]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    described = environment(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    settings = {(f"p ~ {law}, {kind}"): (LAWS[law], RESPONSES[kind]) for law in LAWS for kind in RESPONSES}
    results = {name: measure(*setting, options.draws, generator) for name, setting in settings.items()}
    short = {name: measure_short(*setting, options.draws, generator) for name, setting in settings.items()}
    show(results)
    show_short(short)
    sizes = {"prompts": PROMPTS, "bundle_size": BUNDLE, "steps": STEPS, "draws": options.draws}
    content = {"environment": described, "sizes": sizes, "results": results, "short_last_bundle": short}
    path = RESULTS / "released_differences.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
