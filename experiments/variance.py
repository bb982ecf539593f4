"""How noisy is each estimator? Signal-to-noise of the policy gradient over many draws of the prompts' difficulties.

    python experiments/variance.py     # one thread, about ten minutes; writes experiments/results/variance.json

A step has 40 prompts x 8 responses, independent coins of accuracy p_i, in bundles of B = 5, put together once
("fixed") or drawn anew in each step ("redrawn"). The gradient with respect to the prompts' logits is
g_i = mean_j A_ij (r_ij - p_i); the signal-to-noise ratio is |E g| / sqrt(sum_i Var g_i). The quantiles are those of the
exact law of the scores, given p: neither tracking nor its noise enters. All estimators see the same rewards.

Expectations are means over N steps: |mean|^2 has the noise sum_i Var g_i / N taken off, and so have the dot products
in the cosines (the covariance of the two estimators by N), which therefore can exceed 1 by a little. Peers that look
at the whole step (means or deviations over it) are run step by step, at the first ten draws of p only.

The policy has one logit a prompt and two answers. There the baseline without variance is 1 - p, not p: that is why
constant push-downs do well on hard prompts here (`anchor`, `w_reinforce`, `reinforce_pp`). It is no finding about
language models; differences between estimators with the same baseline are.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from riskpo.risk import RiskConfig, RiskState, ScoreLaw, inverse_cdf, risk_advantages
from riskpo.risk.difficulty import PassRates
from riskpo.risk.peers import PEERS
from riskpo.runs.environment import describe_environment

PATH = Path(__file__).parent / "results" / "variance.json"
PROMPTS, RESPONSES, BUNDLE = 40, 8, 5
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "Beta(.5, 1)": lambda rng: rng.beta(0.5, 1.0, PROMPTS),
    "Beta(.3, 3)": lambda rng: rng.beta(0.3, 3.0, PROMPTS),
    "Uniform(0, 1)": lambda rng: rng.uniform(0.0, 1.0, PROMPTS),
}
COMPOSITIONS = ("fixed", "redrawn")
Numbers = tuple[float, float, float]
REFERENCE, TARGET, MEAN = "paper: random, anchor", "exact, loo", "dr_grpo"
LOOPED_DRAWS = 10  # draws of p for an estimator whose steps cannot be stacked


@dataclasses.dataclass(frozen=True)
class Estimator:
    """A row of the table: options, and how its prompts are put together (`bundles`: as the table says)."""

    options: Mapping[str, Any]
    composition: str = "bundles"
    minus_step_mean: bool = False

    @property
    def config(self) -> RiskConfig:
        composed = {} if self.composition == "alone" else {"composition": "consecutive"}
        return RiskConfig.from_preset("paper", {**self.options, **composed})


PROMPT_MVAR = {"estimator": "two_level", "bundle_size": 1, "baseline": "loo"}
ESTIMATORS: dict[str, Estimator] = {
    REFERENCE: Estimator({}),
    # Baseline `batch`, the mean over a step, taken off here: steps are stacked into one call.
    "random, batch": Estimator({}, minus_step_mean=True),
    "random, loo": Estimator({"baseline": "loo"}),
    "exact, anchor": Estimator({"pairing": "exact"}),
    TARGET: Estimator({"pairing": "exact", "baseline": "loo"}),
    "exact, loo, sorted by p": Estimator({"pairing": "exact", "baseline": "loo"}, "sorted"),
    "prompt-mvar": Estimator(PROMPT_MVAR, "alone"),
    **{name: Estimator({"estimator": name}, "alone") for name in PEERS},
}


# --- exact laws, given p ---


def group_law(p_MB: Tensor) -> Tensor:
    """probs_T of the number of right responses in a bundle of a random one of these groups."""
    probs_MT = torch.ones(len(p_MB), 1, dtype=p_MB.dtype)
    for p_M1 in p_MB.T[:, :, None]:
        zero_M1 = torch.zeros_like(p_M1)
        probs_MT = torch.cat([probs_MT * (1 - p_M1), zero_M1], 1) + torch.cat([zero_M1, probs_MT * p_M1], 1)
    return probs_MT.mean(0)


def redrawn_law(p_P: Tensor) -> Tensor:
    """The same for a random bundle of B of all prompts: a recursion over (prompts taken, right responses)."""
    taken = torch.zeros(BUNDLE + 1, BUNDLE + 1, dtype=p_P.dtype)
    taken[0, 0] = 1.0
    for p in p_P.tolist():
        more = taken.clone()
        more[1:] += (1 - p) * taken[:-1]
        more[1:, 1:] += p * taken[:-1, :-1]
        taken = more
    return taken[BUNDLE] / taken[BUNDLE].sum()


def count_law(p_P: Tensor) -> Tensor:
    """probs of c = 0..G right responses of a random prompt."""
    return group_law(p_P[:, None].expand(-1, RESPONSES))


def score_law(estimator: Estimator, composition: str, p_P: Tensor) -> ScoreLaw:
    if estimator.composition == "alone":
        probs, unit = count_law(p_P), 1.0 / RESPONSES
    elif estimator.composition == "sorted":
        probs, unit = group_law(p_P.sort().values.view(-1, BUNDLE)), 1.0
    elif composition == "fixed":
        probs, unit = group_law(p_P.view(-1, BUNDLE)), 1.0
    else:
        probs, unit = redrawn_law(p_P), 1.0
    law = ScoreLaw(torch.arange(len(probs), dtype=p_P.dtype) * unit, probs)
    expected = float(p_P.mean()) * (1.0 if estimator.composition == "alone" else BUNDLE)
    assert abs(law.mean() - expected) < 1e-9, "the score of every composition has the mean accuracy's mean"
    return law


def true_state(estimator: Estimator, composition: str, p_P: Tensor) -> RiskState:
    config = estimator.config
    if config.estimator in PEERS:
        return RiskState()
    levels_L = torch.tensor(config.spectrum.levels, dtype=p_P.dtype)
    return RiskState(tuple(inverse_cdf(score_law(estimator, composition, p_P), levels_L).tolist()), steps=1)


# --- gradients of many steps in one call ---


def prompt_order(estimator: Estimator, composition: str, p_P: Tensor, steps: int, source: torch.Generator) -> Tensor:
    """order_NP: consecutive fives of these prompts share a bundle; none crosses a step, since 5 divides 40."""
    if estimator.composition == "sorted":
        return p_P.argsort().expand(steps, -1)
    if estimator.composition == "alone" or composition == "fixed":
        return torch.arange(PROMPTS).expand(steps, -1)
    return torch.rand(steps, PROMPTS, generator=source).argsort(1)


def advantages(
    estimator: Estimator, state: RiskState, rewards_NPG: Tensor, order_NP: Tensor, source: torch.Generator, stack: bool
) -> Tensor:
    """advantages_NPG of N steps, in one call where that is the same as N calls."""
    order_NPG = order_NP[:, :, None].expand(rewards_NPG.shape)
    ordered_NPG = rewards_NPG.gather(1, order_NPG)
    config = estimator.config
    if stack:
        found_NPG = risk_advantages(ordered_NPG.flatten(0, 1), config, state, source).advantages_PG.view_as(ordered_NPG)
    else:
        found_NPG = torch.stack([risk_advantages(step, config, state, source).advantages_PG for step in ordered_NPG])
    advantages_NPG = torch.empty_like(found_NPG).scatter_(1, order_NPG, found_NPG)
    if estimator.minus_step_mean:
        advantages_NPG = advantages_NPG - advantages_NPG.mean((1, 2), keepdim=True)
    return advantages_NPG


def can_be_stacked(estimator: Estimator, seed: int) -> bool:
    """Whether one call for three steps gives what three calls give; bundles of random pairing: by construction."""
    config = estimator.config
    if config.estimator == "riskpo" and config.pairing == "random":
        return True
    source = torch.Generator().manual_seed(seed)
    p_P = torch.rand(PROMPTS, generator=source).double()
    rewards_NPG = (torch.rand(3, PROMPTS, RESPONSES, generator=source) < p_P[:, None]).double()
    order_NP = prompt_order(estimator, "redrawn", p_P, 3, source)
    state = true_state(estimator, "redrawn", p_P)
    one, three = (advantages(estimator, state, rewards_NPG, order_NP, source, stack) for stack in (True, False))
    same = torch.allclose(one, three, rtol=0.0, atol=1e-12)
    if not same and config.estimator not in PEERS:
        raise AssertionError(f"steps of {estimator} must not depend on each other")
    return same


def check_against_the_library(seed: int) -> None:
    """What this script does by hand, composition by known difficulty and the step's mean, is what the options do."""
    source = torch.Generator().manual_seed(seed)
    p_P = torch.rand(PROMPTS, generator=source).double()
    rewards_PG = (torch.rand(PROMPTS, RESPONSES, generator=source) < p_P[:, None]).double()

    ids = [str(prompt) for prompt in range(PROMPTS)]
    oracle = PassRates({key: (1e9 * p, 1e9) for key, p in zip(ids, p_P.tolist(), strict=True)})
    estimator = ESTIMATORS["exact, loo, sorted by p"]
    state = true_state(estimator, "fixed", p_P)
    config = RiskConfig(**estimator.options, composition="sorted")
    step = risk_advantages(rewards_PG, config, dataclasses.replace(state, pass_rates=oracle), source, prompt_ids=ids)
    order_NP = prompt_order(estimator, "fixed", p_P, 1, source)
    by_hand = advantages(estimator, state, rewards_PG[None], order_NP, source, stack=True)[0]
    torch.testing.assert_close(by_hand, step.advantages_PG, rtol=0, atol=1e-12)

    estimator, order_NP = ESTIMATORS["random, batch"], torch.arange(PROMPTS)[None]
    state = true_state(estimator, "fixed", p_P)
    config = RiskConfig(baseline="batch", composition="consecutive")
    step = risk_advantages(rewards_PG, config, state, torch.Generator().manual_seed(1))
    by_hand = advantages(estimator, state, rewards_PG[None], order_NP, torch.Generator().manual_seed(1), True)[0]
    torch.testing.assert_close(by_hand, step.advantages_PG, rtol=0, atol=1e-12)


# --- the measurement ---


def measure(p_P: Tensor, steps: int, stacked: Mapping[str, bool], seed: int) -> dict[str, dict[str, Numbers]]:
    """By composition and estimator: (SNR^2, SNR^2 by the paper's, cosine with the paper's); NaN without a signal.

    Gradients of estimators without bundles, and of sorted ones, belong to both compositions.
    """
    source = torch.Generator().manual_seed(seed)
    rewards_NPG = (torch.rand(steps, PROMPTS, RESPONSES, generator=source) < p_P[:, None]).double()
    score_NPG = rewards_NPG - p_P[:, None]
    found: dict[str, dict[str, Numbers]] = {composition: {} for composition in COMPOSITIONS}
    papers: dict[str, Tensor] = {}
    for name, stack in stacked.items():
        estimator, gradient_NP = ESTIMATORS[name], torch.empty(0)
        for composition in COMPOSITIONS:
            if estimator.composition == "bundles" or composition == COMPOSITIONS[0]:
                state = true_state(estimator, composition, p_P)
                order_NP = prompt_order(estimator, composition, p_P, steps, source)
                advantages_NPG = advantages(estimator, state, rewards_NPG, order_NP, source, stack)
                gradient_NP = (advantages_NPG * score_NPG).mean(2)
            paper_NP = papers.setdefault(composition, gradient_NP)  # the first estimator is the paper's
            found[composition][name] = compared(gradient_NP, paper_NP)
    return found


def compared(gradient_NP: Tensor, paper_NP: Tensor) -> Numbers:
    noise, paper_noise = gradient_NP.var(0).sum(), paper_NP.var(0).sum()
    square, paper_square = moment(gradient_NP, gradient_NP), moment(paper_NP, paper_NP)
    snr2, paper_snr2 = square / noise, paper_square / paper_noise
    cosine = moment(gradient_NP, paper_NP) / (square * paper_square).sqrt()
    return float(snr2), float(snr2 / paper_snr2), float(cosine)


def moment(one_NP: Tensor, other_NP: Tensor) -> Tensor:
    """E[one] . E[other] without the bias that the noise of N steps would bring: the mean over pairs of two steps."""
    steps = len(one_NP)
    return ((one_NP.sum(0) * other_NP.sum(0)).sum() - (one_NP * other_NP).sum()) / (steps * (steps - 1))


def spread(values: Sequence[float]) -> dict[str, float]:
    low, median, high = np.percentile(values, [5, 50, 95])
    return {"median": round(float(median), 5), "p5": round(float(low), 5), "p95": round(float(high), 5)}


def summarised(rows: list[dict[str, Numbers]]) -> dict[str, Any]:
    """Over draws of p; those where q_high is the lowest score have no signal and no ratio, and are counted apart."""
    table: dict[str, Any] = {"draws": len(rows)}
    for name in ESTIMATORS:
        values = np.array([row[name] for row in rows if name in row])
        usable = values[np.isfinite(values).all(1)]
        table[name] = {
            "draws": len(usable),
            "without_a_signal": len(values) - len(usable),
            "snr": spread(np.sqrt(usable[:, 0])),
            "snr2_by_paper": spread(usable[:, 1]),
            "cosine_with_paper": spread(usable[:, 2]),
        }
    both = np.array([(row[TARGET][0], row[MEAN][0], row[MEAN][1]) for row in rows])
    exact, mean, by_paper = both[np.isfinite(both).all(1)].T
    table["dr_grpo_higher_than_exact_loo"] = float((mean > exact).mean())
    table["snr2_of_dr_grpo_by_exact_loo"] = spread(mean / exact)
    table["dr_grpo_higher_than_paper"] = float((by_paper > 1.0).mean())
    return table


def show(results: Mapping[str, Any]) -> None:
    for key, table in results.items():
        print(f"\n**{key}**, {table['draws']} draws\n")
        print("| estimator | draws | SNR | SNR² / paper's: median (5-95 %) | cosine with paper's: median (5-95 %) |")
        print("|---|---|---|---|---|")
        for name in ESTIMATORS:
            row = table[name]
            ratio, cosine, snr = row["snr2_by_paper"], row["cosine_with_paper"], row["snr"]["median"]
            print(
                f"| {name} | {row['draws']} | {snr:.2f} | {ratio['median']:.2f} ({ratio['p5']:.2f}-{ratio['p95']:.2f}) "
                f"| {cosine['median']:.4f} ({cosine['p5']:.4f}-{cosine['p95']:.4f}) |"
            )
        by_exact = table["snr2_of_dr_grpo_by_exact_loo"]
        print(
            f"\nDr. GRPO above `{TARGET}` in {table['dr_grpo_higher_than_exact_loo']:.0%} of the draws (SNR² ratio "
            f"{by_exact['median']:.2f}, {by_exact['p5']:.2f}-{by_exact['p95']:.2f}), above the paper's in "
            f"{table['dr_grpo_higher_than_paper']:.0%}."
        )
        lost = [f"{name} {lost}" for name in ESTIMATORS if (lost := table[name]["without_a_signal"])]
        if lost:
            print(f"Draws left out, where the paper's signal or the estimator's is 0 everywhere: {', '.join(lost)}.")


def table(content: Mapping[str, Any]) -> str:
    """The table of docs/method.md: medians, and 5-95 % ranges over draws of p."""
    tables = {name: found for name, found in content["tables"].items() if not name.startswith("Uniform")}
    lines = [f"| estimator | {' | '.join(tables)} |", "|---" * (len(tables) + 1) + "|"]
    for name in ESTIMATORS:
        ratios = [found[name]["snr2_by_paper"] for found in tables.values()]
        cells = [f"{ratio['median']:.2f} ({ratio['p5']:.2f}-{ratio['p95']:.2f})" for ratio in ratios]
        few = " (10 draws)" if name in content["setting"]["looped"] else ""
        lines.append(f"| {name}{few} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=100, help="draws of p")
    parser.add_argument("--steps", type=int, default=2000, help="steps at each draw")
    parser.add_argument("--show", action="store_true", help="print the tables of the committed results only")
    args = parser.parse_args()
    if args.show:
        content = json.loads(PATH.read_text(encoding="utf-8"))
        write_block("method.md", "variance", table(content))
        show(content["tables"])
        return
    torch.set_num_threads(1)
    check_against_the_library(args.seed)
    stacked = {name: can_be_stacked(estimator, args.seed) for name, estimator in ESTIMATORS.items()}
    environment, start = describe_environment(), time.time()
    environment.pop("command")  # names riskpo's own verb
    tables = {}
    for number, (name, draw_p) in enumerate(DISTRIBUTIONS.items()):
        rows: dict[str, list[dict[str, Numbers]]] = {composition: [] for composition in COMPOSITIONS}
        for draw in range(args.draws):
            p_P = torch.from_numpy(draw_p(np.random.default_rng([args.seed, number, draw])))
            now = {name: stack for name, stack in stacked.items() if stack or draw < LOOPED_DRAWS}
            found = measure(p_P, args.steps, now, (3 * args.seed + number) * 10_000 + draw)
            for composition in COMPOSITIONS:
                rows[composition].append(found[composition])
        tables |= {f"{name}, {composition} bundles": summarised(rows[composition]) for composition in COMPOSITIONS}
    show(tables)
    ratio = tables["Beta(.5, 1), fixed bundles"][TARGET]
    content = {
        "environment": {**environment, "seed": args.seed, "minutes": round((time.time() - start) / 60, 1)},
        "setting": {
            "prompts": PROMPTS,
            "responses": RESPONSES,
            "bundle_size": BUNDLE,
            "steps_a_draw": args.steps,
            "draws": args.draws,
            "looped": [name for name, stack in stacked.items() if not stack],
        },
        "tables": tables,
        "targets": [
            {"what": "SNR^2 of exact, loo by paper's, median", "at_least": 4.0, **ratio["snr2_by_paper"]},
            {"what": "cosine with paper's, median", "at_least": 0.999, **ratio["cosine_with_paper"]},
        ],
    }
    PATH.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_block("method.md", "variance", table(content))
    print(f"\nwritten to {PATH}")


if __name__ == "__main__":
    main()
