"""What the log of a run says of its health: one small function a check, metrics in, a finding or none out.

Every check reads the run's beginning (the first tenth of its logged steps), its end (the last tenth) or its best
stretch of that length. A false alarm costs more than a miss: each threshold lies between what healthy and sick runs
were recorded to do (experiments/doctor_confusion.py, docs/doctor.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from riskpo.diagnosis.finding import Diagnosis, Finding, Outcome, Skipped, diagnosis
from riskpo.diagnosis.log import LEAST_ROWS, RunLog, mean, scatter, window
from riskpo.risk.audit import FLAT_SLOPE

PAGE = "docs/doctor.md"

# Every threshold that decides whether something is said, with the reason. Shares unless named otherwise.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "errors": (
        4.0,
        "standard errors that a fall of the mean reward must exceed: the best stretch is one of many",
    ),
    "fallen": (0.5, "of the best stretch's reward that is left"),
    "entropy_left": (0.1, "of the first logged entropy that is left"),
    "rising": (2.0, "standard errors by which a reward that still rises exceeds that at three quarters of the run"),
    "room": (0.5, "of the range of rewards: below it a run that has stopped exploring has not solved its task"),
    "flat_steps": (0.5, f"of the last steps with a mean slope below {FLAT_SLOPE:g} (the mean objective has 1)"),
    "solved": (
        0.8,
        "of the range of rewards: above it windows are flat and gradients small for good reason",
    ),
    "all_wrong": (0.8, "of prompts whose responses all have the lowest reward, at the end"),
    "all_right": (0.95, "of prompts whose responses all have the highest reward, at the end"),
    "starved": (0.9, "of the last logged steps with a gradient of at most `gradient`"),
    "gradient": (1e-4, "of max_grad_norm: such a gradient is none, at any scale that clipping is set for"),
    "cut": (0.3, "of completions cut at the longest length, more than at the beginning"),
    "shrunk": (0.5, "of the mean length at the beginning that is left"),
    "unscorable": (0.05, "of responses that could not be scored"),
    "unscorable_most": (0.5, "of responses that could not be scored: most of what was sampled teaches nothing"),
    "flips": (0.01, "of right or of wrong responses that were moved the wrong way within their prompt"),
}


def threshold(name: str) -> float:
    """The number of a threshold."""
    return THRESHOLDS[name][0]


def check_run(log: RunLog, subject: str) -> Diagnosis:
    """Every check on a run's log.

    Args:
        log: at least `LEAST_ROWS` logged steps; with fewer every check is skipped.
        subject: what the run is called.
    """
    facts = {"logged steps": str(log.rows)}
    for name in ("reward", "entropy"):
        if log.has(name):
            facts[name] = f"{mean(log.head(name)):.3g} at the beginning, {mean(log.tail(name)):.3g} at the end"
    if log.rows < LEAST_ROWS:
        few = f"{LEAST_ROWS} logged steps with a reward (there are {log.rows})"
        return diagnosis("run", subject, [(code, Skipped(code, few)) for code in CHECKS], facts)
    return diagnosis("run", subject, [(code, check(log)) for code, check in CHECKS.items()], facts)


def not_finite(log: RunLog) -> Outcome:
    """A loss or a gradient that was no number."""
    seen = {name: log.columns[name] for name in ("loss", "grad_norm") if name in log.columns}
    if not seen:
        return Skipped("not_finite", "loss, grad_norm")
    bad = {name: sum(value is not None and math.isnan(value) for value in values) for name, values in seen.items()}
    if not any(bad.values()):
        return None
    what = ", ".join(f"{name} in {count} of {len(seen[name])}" for name, count in bad.items() if count)
    return Finding(
        "error",
        "not_finite",
        f"Not a finite number: {what} logged steps.",
        "Lower the learning rate, or take bfloat16 or float32 instead of float16; the model after the first such step "
        "is not to be used.",
        f"{PAGE}#divergence",
    )


@dataclass(frozen=True)
class Fall:
    """How far the mean reward, as a share of its range, has fallen.

    Args:
        best, end: its mean over the best stretch of a window's length, and over the last one.
        errors: the difference in standard errors.
        step: in the middle of the best stretch; None where steps are not logged.
    """

    best: float
    end: float
    errors: float
    step: float | None


def fall_of(log: RunLog) -> Fall:
    """From its best stretch to the end; the noise is that of neighbouring steps, which a trend does not enlarge."""
    rewards = [log.share_of_range(value) for value in log.series("reward")]
    length = window(len(rewards))
    stretches = [mean(rewards[start : start + length]) for start in range(len(rewards) - length + 1)]
    best, end = max(stretches), stretches[-1]
    noise = scatter(rewards) * math.sqrt(2.0 / length)
    errors = (best - end) / noise if noise else 0.0 if best == end else math.inf
    return Fall(best, end, errors, log.steps_of("reward")[stretches.index(best) + length // 2])


def left_of_reward(log: RunLog) -> float | None:
    """The share of the best stretch's reward that is left; None where the fall may be noise."""
    fall = fall_of(log)
    return fall.end / fall.best if fall.errors > threshold("errors") else None


def divergence(log: RunLog) -> Outcome:
    """The mean reward has fallen for good from the best that it was."""
    left, fall = left_of_reward(log), fall_of(log)
    if left is None or left >= threshold("fallen"):
        return None
    when = "" if fall.step is None else f" around step {fall.step:.0f}"
    rate = log.settings.get("learning_rate")
    used = f" (it was {rate:g})" if isinstance(rate, float) else ""
    change = f"Lower the learning rate{used} and start from a checkpoint before the fall."
    if log.settings.get("estimator") == "riskpo" and log.settings.get("baseline") == "anchor":
        change += " Baseline anchor pushes away from everything that is sampled (A <= 0): take preset exact."
    return Finding(
        "error",
        "divergence",
        f"The mean reward, as a share of its range, was {fall.best:.3f}{when} and is {fall.end:.3f} at the end "
        f"({fall.errors:.0f} standard errors).",
        change,
        f"{PAGE}#divergence",
    )


def reward_at_end(log: RunLog) -> float:
    """The mean reward at the end, as a share of its range."""
    return log.share_of_range(mean(log.tail("reward")))


def is_rising(log: RunLog) -> bool:
    """Whether the mean reward at the end is above that at three quarters of the run by more than noise."""
    rewards = [log.share_of_range(value) for value in log.series("reward")]
    length, place = window(len(rewards)), 3 * len(rewards) // 4
    before = rewards[max(place - length, 0) : place]
    rise = mean(rewards[-length:]) - mean(before)
    return rise > threshold("rising") * scatter(rewards) * math.sqrt(2.0 / length)


def left_of_entropy(log: RunLog) -> float | None:
    """The share of the first logged entropy that is left; None where none was logged, the task is solved or the reward
    is still rising."""
    before = log.series("entropy")[:1]
    if not before or before[0] <= 0.0 or reward_at_end(log) >= threshold("room") or is_rising(log):
        return None
    return mean(log.tail("entropy")) / before[0]


def entropy_collapse(log: RunLog) -> Outcome:
    """The policy has stopped exploring before it has learned the task."""
    if not log.has("entropy"):
        return Skipped("entropy_collapse", "entropy")
    left = left_of_entropy(log)
    if left is None or left >= threshold("entropy_left"):
        return None
    return Finding(
        "warning",
        "entropy_collapse",
        f"The entropy fell from {log.series('entropy')[0]:.3f} to {mean(log.tail('entropy')):.3f} ({left:.0%}) while "
        f"the mean reward stands still at {reward_at_end(log):.0%} of its range.",
        "Read completions: a reward that pays a part for form alone looks like this. Else lower the learning rate, or "
        "take an estimator that keeps more entropy (the covariances of docs/method.md, section 9, say which).",
        f"{PAGE}#entropy-collapse",
    )


def flat_steps(log: RunLog) -> float | None:
    """The share of the last steps whose window was flat; None where no slope was logged, or the task is solved."""
    end = log.tail("risk/mean_slope")
    if not end or reward_at_end(log) >= threshold("solved"):
        return None
    return sum(slope < FLAT_SLOPE for slope in end) / len(end)


def dead_window(log: RunLog) -> Outcome:
    """The levels see no difference between a right and a wrong response."""
    if not log.has("risk/mean_slope"):
        return Skipped("dead_window", "risk/mean_slope (logged by riskpo and two_level)")
    flat = flat_steps(log)
    if flat is None or flat < threshold("flat_steps"):
        return None
    end = log.tail("risk/mean_slope")
    return Finding(
        "warning",
        "dead_window",
        f"In {flat:.0%} of the last {len(end)} logged steps a right response moved the signal by less than "
        f"{FLAT_SLOPE:g} (mean slope {mean(end):.3f}, the mean objective has 1), at {reward_at_end(log):.0%} of the "
        "range of rewards.",
        "Raise risk_high, set adaptive_slope, take larger bundles, or ties continuous.",
        f"{PAGE}#dead-window",
    )


def uniform_share(log: RunLog, side: str) -> float | None:
    """The share of prompts at the end that are all `wrong` or all `right`; None where that was not logged."""
    end = log.tail(f"risk/frac_uniform_prompts_all_{side}")
    return mean(end) if end else None


def uniform_prompts(log: RunLog) -> Outcome:
    """Prompts whose responses all score the same compare nothing."""
    wrong, right = uniform_share(log, "wrong"), uniform_share(log, "right")
    if wrong is None or right is None:
        return Skipped("uniform_prompts", "risk/frac_uniform_prompts_all_wrong and ..._all_right")
    rewards, page = log.series("reward"), f"{PAGE}#uniform-prompts"
    if wrong >= threshold("all_wrong"):
        evidence = f"{wrong:.0%} of prompts got the lowest reward on all their responses at the end."
        change = "Use easier prompts, more responses per prompt, or dynamic_sampling."
        if max(rewards) <= min(rewards):
            change = "No response ever scored otherwise: check the reward first (riskpo doctor rewards)."
        return Finding("warning", "uniform_prompts", evidence, change, page)
    if right >= threshold("all_right"):
        evidence = f"{right:.0%} of prompts got the highest reward on all their responses at the end."
        if max(rewards) <= min(rewards):
            change = "No response ever scored otherwise: check the reward (riskpo doctor rewards) and the prompts."
            return Finding("warning", "uniform_prompts", evidence, change, page)
        change = "Nothing is left to learn from them: stop here, or use harder prompts."
        return Finding("note", "uniform_prompts", evidence, change, page)
    return None


def starved_steps(log: RunLog) -> float | None:
    """The share of the last steps with next to no gradient; None where none was logged, or the task is solved."""
    end, least = log.tail("grad_norm"), threshold("gradient") * (log.settings.get("max_grad_norm") or 1.0)
    if not end or reward_at_end(log) >= threshold("solved"):
        return None
    return sum(norm <= least for norm in end) / len(end)


def starved_gradients(log: RunLog) -> Outcome:
    """Steps that move nothing."""
    if not log.has("grad_norm"):
        return Skipped("starved_gradients", "grad_norm")
    starved, end = starved_steps(log), log.tail("grad_norm")
    if starved is None or starved < threshold("starved"):
        return None
    return Finding(
        "warning",
        "starved_gradients",
        f"In {starved:.0%} of the last {len(end)} logged steps the gradient norm was next to nothing (mean "
        f"{mean(end):.2g}), at {reward_at_end(log):.0%} of the range of rewards: nothing is learned any more.",
        "See what the other findings say of prompts, window and entropy; without any, look at learning-rate schedule "
        "and frozen parameters.",
        f"{PAGE}#starved-gradients",
    )


def more_cut(log: RunLog) -> float | None:
    """How many more completions are cut at the longest length at the end than at the beginning, as a share."""
    name = "completions/clipped_ratio"
    return mean(log.tail(name)) - mean(log.head(name)) if log.has(name) else None


def left_of_length(log: RunLog) -> float | None:
    """The share of the mean length at the beginning that is left."""
    name = "completions/mean_length"
    return mean(log.tail(name)) / mean(log.head(name)) if log.has(name) and mean(log.head(name)) > 0.0 else None


def length_drift(log: RunLog) -> Outcome:
    """Completions that run into the longest length, or hardly say anything any more."""
    cut, left = more_cut(log), left_of_length(log)
    if cut is None or left is None:
        return Skipped("length_drift", "completions/clipped_ratio and completions/mean_length")
    before, after = (mean(part("completions/mean_length")) for part in (log.head, log.tail))
    went = f"the mean length went from {before:.4g} to {after:.4g} tokens ({left:.0%})."
    if cut >= threshold("cut"):
        longest = log.settings.get("max_completion_length")
        share = mean(log.tail("completions/clipped_ratio"))
        return Finding(
            "warning",
            "length_drift",
            f"{share:.0%} of completions are cut at the longest length{f' ({longest})' if longest else ''} at the end, "
            f"{share - cut:.0%} at the beginning; {went}",
            "Raise max_completion_length, or let length cost something (soft_overlong); if the reward rose with it, "
            "ask what it pays for.",
            f"{PAGE}#length-drift",
        )
    if left < threshold("shrunk"):
        change = "Read completions: a reward that pays for brevity, or a policy that stops at once, looks like this."
        return Finding("warning", "length_drift", went[0].upper() + went[1:], change, f"{PAGE}#length-drift")
    return None


def unscorable(log: RunLog) -> float | None:
    """The share of responses without a score, over the run or at its end, whichever is larger."""
    name = "risk/frac_unscorable"
    return max(mean(log.series(name)), mean(log.tail(name))) if log.has(name) else None


def verifier_errors(log: RunLog) -> Outcome:
    """Responses that the reward could not score."""
    worst = unscorable(log)
    if worst is None:
        return Skipped("verifier_errors", "risk/frac_unscorable")
    if worst < threshold("unscorable"):
        return None
    whole, end = (mean(part("risk/frac_unscorable")) for part in (log.series, log.tail))
    return Finding(
        "error" if worst >= threshold("unscorable_most") else "warning",
        "verifier_errors",
        f"{whole:.1%} of responses could not be scored, {end:.1%} at the end; they got advantage 0 and were nobody's "
        "partner.",
        "Look at the reasons (riskpo doctor rewards on the same data), mend the verifier or the rows, and check time "
        "limits and sandbox (riskpo doctor env).",
        f"{PAGE}#verifier-errors",
    )


def flipped(log: RunLog) -> dict[str, float]:
    """Of right responses the share that was moved down within their prompt, of wrong ones that was moved up."""
    pairs = (("right", "right_down"), ("wrong", "wrong_up"))
    return {kind: log.moved[moved] / log.moved[kind] for kind, moved in pairs if log.moved.get(kind)}


def most_flipped(log: RunLog) -> float | None:
    """The larger of the two; None where no completions were kept."""
    return max(flipped(log).values(), default=0.0) if log.moved else None


def sign_flips(log: RunLog) -> Outcome:
    """Responses that were moved the wrong way, in the logged completions."""
    most = most_flipped(log)
    if most is None:
        return Skipped("sign_flips", "completions/*.parquet with rewards of weight 1 and advantages")
    if most < threshold("flips"):
        return None
    what = " and ".join(
        f"{share:.0%} of {log.moved[kind]:.0f} {kind} responses {'down' if kind == 'right' else 'up'}"
        for kind, share in flipped(log).items()
    )
    return Finding(
        "note",
        "sign_flips",
        f"Moved the wrong way within their prompt: {what}.",
        "Partners' luck does that: pairing exact with baseline loo has none, and needs fewer rollouts.",
        f"{PAGE}#sign-flips",
    )


CHECKS: dict[str, Callable[[RunLog], Outcome]] = {
    "not_finite": not_finite,
    "divergence": divergence,
    "entropy_collapse": entropy_collapse,
    "dead_window": dead_window,
    "uniform_prompts": uniform_prompts,
    "starved_gradients": starved_gradients,
    "length_drift": length_drift,
    "verifier_errors": verifier_errors,
    "sign_flips": sign_flips,
}

# What each threshold is compared with, and whether a finding is said above it (else below).
MEASURES: dict[str, tuple[Callable[[RunLog], float | None], bool]] = {
    "fallen": (left_of_reward, False),
    "entropy_left": (left_of_entropy, False),
    "flat_steps": (flat_steps, True),
    "all_wrong": (lambda log: uniform_share(log, "wrong"), True),
    "all_right": (lambda log: uniform_share(log, "right"), True),
    "starved": (starved_steps, True),
    "cut": (more_cut, True),
    "shrunk": (left_of_length, False),
    "unscorable": (unscorable, True),
    "flips": (most_flipped, True),
}
