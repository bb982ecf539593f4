"""What a configuration says before anything runs: options that are allowed, and unwise.

What cannot be run at all is an error of `riskpo train` itself (bundles that cannot be filled, levels out of order).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riskpo.diagnosis.finding import Diagnosis, Finding, Outcome, Skipped, diagnosis
from riskpo.diagnosis.parallel import Parallel, other_mode, parallel_of, sharded_sampling
from riskpo.risk.audit import FLAT_SLOPE
from riskpo.risk.config import USES, RiskConfig

if TYPE_CHECKING:
    from riskpo.runs.arguments import Plan

PAGE = "docs/doctor.md"

# Every threshold, with the reason.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "flat_pass_rates": (
        0.15,
        "of pass rates: the presets are flat on 4 %, bundles of one, which began flat in recorded runs, on 20",
    ),
    "anchor_rate": (6e-4, "learning rate: A <= 0 ended at reward 0 here and above on the recorded task, not at 2e-4"),
    "group": (4.0, "responses per prompt: with fewer, a quarter or more of prompts with pass rate 1/2 are uniform"),
    "wide_clip": (0.01, "epsilon: GSPO (arXiv 2507.18071) clips the same ratio at 3e-4 and 4e-4"),
    "long": (256.0, "tokens: over so many, a mean log-ratio of 0.01 needs the same shift of every token"),
}


def threshold(name: str) -> float:
    """The number of a threshold."""
    return THRESHOLDS[name][0]


@dataclass(frozen=True)
class Setup:
    """What the checks look at.

    Args:
        risk: the options of the estimator.
        prompts: P, prompts of a generation; responses: G, of each.
        updates: optimiser steps that one generation is used for.
        learning_rate, epsilon, epsilon_high: as given; an unset epsilon_high is epsilon.
        sequence_ratio: whether the ratio is the length-normalised one of the whole response.
        longest: tokens of a completion; None where it is unbounded.
        off_policy: whether another engine samples, whose log-probabilities differ a little.
        given: the options that were given and not left to their defaults.
        rows: of the training set; None where it was not looked at.
        needed: prompts that the run goes through, None where epochs decide.
        parallel: how it lies on several GPUs.
    """

    risk: RiskConfig
    prompts: int
    responses: int
    updates: int
    learning_rate: float
    epsilon: float
    epsilon_high: float
    sequence_ratio: bool
    longest: int | None
    off_policy: bool = False
    given: frozenset[str] = field(default_factory=frozenset)
    rows: int | None = None
    needed: int | None = None
    parallel: Parallel = field(default_factory=Parallel)


def setup_of(plan: Plan, rows: int | None) -> Setup:
    """The set-up of a resolved plan.

    Args:
        plan: as `riskpo train` resolves it.
        rows: of its training set, where that was loaded.
    """
    training = plan.training
    repeated = training.steps_per_generation * training.num_iterations
    generations = -(-training.max_steps * training.gradient_accumulation_steps // max(repeated, 1))
    return Setup(
        training.risk_config,
        training.prompts_per_generation,
        training.num_generations,
        -(-repeated // training.gradient_accumulation_steps),
        training.learning_rate,
        training.epsilon,
        training.epsilon if training.epsilon_high is None else training.epsilon_high,
        training.importance_sampling_level == "sequence",
        training.max_completion_length,
        bool(training.use_vllm),
        frozenset(plan.settings),
        rows,
        training.prompts_per_generation * generations if training.max_steps > 0 else None,
        parallel_of(plan),
    )


def check_config(setup: Setup, subject: str) -> Diagnosis:
    """Every check on a configuration."""
    facts = {
        "step": f"{setup.prompts} prompts x {setup.responses} responses, {setup.updates} update(s) of each generation",
        "learning rate": f"{setup.learning_rate:g}",
    }
    return diagnosis("config", subject, [(code, check(setup)) for code, check in CHECKS.items()], facts)


def leftover_prompts(setup: Setup) -> Outcome:
    """Prompts that fill no bundle of their own."""
    size = setup.risk.bundle_size
    left = setup.prompts % size if "bundle_size" in USES[setup.risk.estimator] else 0
    if not left:
        return None
    return Finding(
        "note",
        "leftover_prompts",
        f"{setup.prompts} prompts of a generation are no multiple of bundle_size {size}: the last {left} borrow "
        f"{size - left} others as partners, which then count twice.",
        f"Take {setup.prompts - left or size} or {setup.prompts - left + size} prompts, or a bundle_size that divides "
        f"{setup.prompts}.",
        f"{PAGE}#leftover-prompts",
    )


def flat_pass_rates(risk: RiskConfig) -> float | None:
    """The share of mean pass rates .01 ... .99 at which a response hardly moves the signal of its bundle's score.

    For 0/1 rewards with one pass rate p the score is Binomial(B, p); with the quantiles of that law the mean slope is
    E[A(S + 1) - A(S)], S ~ Binomial(B - 1, p). None where rewards are graded, or for other estimators: not known.
    """
    import torch

    from riskpo.risk.quantiles import ScoreLaw, inverse_cdf

    if risk.estimator != "riskpo" or risk.grid.size != 2:
        return None

    def binomial(size: int, rate: float) -> ScoreLaw:
        probs = [math.comb(size, count) * rate**count * (1.0 - rate) ** (size - count) for count in range(size + 1)]
        return ScoreLaw(torch.arange(size + 1, dtype=torch.float64), torch.tensor(probs, dtype=torch.float64))

    size, spectrum, flat = risk.bundle_size, risk.spectrum, 0
    levels = torch.tensor(spectrum.levels, dtype=torch.float64)
    for percent in range(1, 100):
        quantiles = inverse_cdf(binomial(size, percent / 100.0), levels)
        partners = binomial(size - 1, percent / 100.0)
        rise = spectrum.signal(partners.values_N + 1.0, quantiles) - spectrum.signal(partners.values_N, quantiles)
        flat += float((partners.probs_N * rise).sum()) < FLAT_SLOPE
    return flat / 99.0


def flat_window(setup: Setup) -> Outcome:
    """Levels between which the score of a bundle has no values."""
    risk = setup.risk
    if risk.estimator != "riskpo":
        return Skipped("flat_window", "estimator riskpo: a window over bundles of responses")
    if risk.grid.size != 2:
        return Skipped("flat_window", "two-valued rewards: with a reward_step the scores' law depends on the task")
    if risk.ties == "continuous" or risk.adaptive_slope is not None or risk.schedule is not None:
        return Skipped("flat_window", "fixed levels and ties step")
    flat = flat_pass_rates(risk)
    if flat is None or flat < threshold("flat_pass_rates"):
        return None
    levels = ", ".join(f"{level:g}" for level in risk.spectrum.levels)
    return Finding(
        "warning",
        "flat_window",
        f"Over bundles of {risk.bundle_size} the levels {levels} see no difference between a right and a wrong "
        f"response at {flat:.0%} of all mean pass rates (mean slope below {FLAT_SLOPE:g}).",
        "Take larger bundles, levels further apart, ties continuous or adaptive_slope; for risk over single prompts "
        "preset prompt-mvar.",
        f"{PAGE}#flat-window",
    )


def idle_clip(setup: Setup) -> Outcome:
    """A clip range that never binds."""
    given = sorted({"epsilon", "epsilon_high"} & setup.given)
    if setup.updates <= 1 and not setup.off_policy:
        if not given:
            return None
        return Finding(
            "note",
            "idle_clip",
            f"{' and '.join(given)} cannot bind: each generation is used for one update, so that every ratio is 1.",
            "Leave the option(s) out, or raise steps_per_generation or num_iterations.",
            f"{PAGE}#idle-clip",
        )
    narrow = min(setup.epsilon, setup.epsilon_high)
    wide = setup.sequence_ratio and narrow >= threshold("wide_clip")
    if not wide or setup.longest is None or setup.longest < threshold("long"):
        return None
    return Finding(
        "note",
        "idle_clip",
        f"A length-normalised ratio over up to {setup.longest} tokens leaves 1 +- {narrow:g} only when the mean "
        f"log-probability of all its tokens moves by {narrow:g}: the clip range hardly ever binds, over "
        f"{setup.updates} updates of each generation.",
        "Set epsilon 3e-4 and epsilon_high 4e-4 (GSPO, arXiv 2507.18071), and watch clip_ratio/region_mean.",
        f"{PAGE}#idle-clip",
    )


def small_groups(setup: Setup) -> Outcome:
    """So few responses per prompt that many prompts compare nothing."""
    count = setup.responses
    if count >= threshold("group"):
        return None
    uniform = {rate: rate**count + (1.0 - rate) ** count for rate in (0.5, 0.2)}
    return Finding(
        "note",
        "small_groups",
        f"With {count} responses per prompt {uniform[0.5]:.0%} of prompts with pass rate 0.5 and {uniform[0.2]:.0%} of "
        "those with 0.2 have one reward on all of them, and teach nothing within the prompt.",
        "Raise num_generations (8 in the recorded runs), or turn dynamic_sampling on.",
        f"{PAGE}#small-groups",
    )


def never_positive(risk: RiskConfig) -> bool:
    """Whether the advantages are the published method's: at most 0, whatever is sampled."""
    spectrum = risk.spectrum
    anchored = risk.estimator in ("riskpo", "two_level") and risk.baseline == "anchor"
    return anchored and bool(spectrum.levels) and spectrum.weights[-1] == 0.0


def anchored_rate(setup: Setup) -> Outcome:
    """The published estimator at a learning rate at which it was seen to diverge."""
    if not never_positive(setup.risk) or setup.learning_rate < threshold("anchor_rate"):
        return None
    return Finding(
        "warning",
        "learning_rate",
        f"Baseline anchor makes every advantage at most 0, and the learning rate is {setup.learning_rate:g}: on the "
        "recorded task every such run at 6e-4 and above ended at reward 0, where preset exact learned.",
        "Take baseline loo with pairing exact (preset exact), or a learning rate of 2e-4 or less.",
        f"{PAGE}#learning-rate",
    )


def unseen_prompts(setup: Setup) -> Outcome:
    """Bundles by difficulty where no prompt comes back."""
    if not setup.risk.needs_difficulty:
        return None
    if setup.rows is None or setup.needed is None:
        return Skipped("unseen_prompts", "the training set" if setup.rows is None else "max_steps")
    if setup.needed > setup.rows:
        return None
    return Finding(
        "warning",
        "unseen_prompts",
        f"Composition {setup.risk.composition} orders prompts by their past pass rates, but the run goes through "
        f"{setup.needed} of {setup.rows} prompts and sees none of them twice: bundles are random ones.",
        "Train for several epochs (fewer task_prompts, or more steps), or take preset prompt-mvar.",
        f"{PAGE}#unseen-prompts",
    )


CHECKS: dict[str, Callable[[Setup], Outcome]] = {
    "leftover_prompts": leftover_prompts,
    "flat_window": flat_window,
    "idle_clip": idle_clip,
    "small_groups": small_groups,
    "learning_rate": anchored_rate,
    "unseen_prompts": unseen_prompts,
    "other_mode": lambda setup: other_mode(setup.parallel),
    "sharded_sampling": lambda setup: sharded_sampling(setup.parallel),
}
