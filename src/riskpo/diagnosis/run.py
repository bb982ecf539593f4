"""What the log of a run says of its health: one small function a check, metrics in, a finding or none out.

Every check reads the run's beginning (the first tenth of its logged steps), its end (the last tenth) or its best stretch
of that length. A false alarm costs more than a miss: each threshold lies between what healthy and sick runs were recorded
to do (experiments/doctor_confusion.py, docs/doctor.md).
"""

from __future__ import annotations

from collections.abc import Callable

from riskpo.diagnosis.finding import Diagnosis, Finding, Outcome, Skipped, diagnosis
from riskpo.diagnosis.log import LEAST_ROWS, RunLog, mean, standard_error, window
from riskpo.risk.audit import FLAT_SLOPE

PAGE = "docs/doctor.md"

# Every threshold that decides whether something is said, with the reason. Shares unless named otherwise.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "errors": (4.0, "standard errors that a change of the mean reward must exceed: a best stretch is chosen among many"),
    "fallen": (0.5, "of the best stretch's reward that is left"),
    "entropy_left": (0.15, "of the entropy at the beginning that is left"),
    "room": (0.5, "of the range of rewards: below it a run that has stopped exploring has not solved its task"),
    "flat_steps": (0.5, f"of the last steps with a mean slope below {FLAT_SLOPE:g} (the mean objective has 1)"),
    "solved": (0.8, "of the range of rewards: above it windows are flat and prompts uniform because the task is solved"),
    "all_wrong": (0.8, "of prompts whose responses all have the lowest reward, at the end"),
    "all_right": (0.95, "of prompts whose responses all have the highest reward, at the end"),
    "starved": (0.9, "of the last logged steps with a gradient of at most `gradient`"),
    "gradient": (1e-4, "of the clipping norm: a gradient norm so small moves nothing that the clipping knows of"),
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
        few = f"{LEAST_ROWS} logged steps (there are {log.rows})"
        return diagnosis("run", subject, [(code, Skipped(code, few)) for code in CHECKS], facts)
    return diagnosis("run", subject, [(code, check(log)) for code, check in CHECKS.items()], facts)


def not_finite(log: RunLog) -> Outcome:
    """A loss or a gradient that was no number."""
    seen = {name: log.columns[name] for name in ("loss", "grad_norm") if name in log.columns}
    if not seen:
        return Skipped("not_finite", "loss, grad_norm")
    bad = {name: sum(value is None for value in values) for name, values in seen.items()}
    if not any(bad.values()):
        return None
    what = ", ".join(f"{name} in {count} of {log.rows}" for name, count in bad.items() if count)
    return Finding(
        "error",
        "not_finite",
        f"Not a finite number: {what} logged steps.",
        "Lower the learning rate, or take bfloat16 or float32 instead of float16; the model after the first such step "
        "is not to be used.",
        f"{PAGE}#divergence",
    )


def divergence(log: RunLog) -> Outcome:
    """The mean reward has fallen for good from the best that it was."""
    rewards = [log.share_of_range(value) for value in log.series("reward")]
    length = window(len(rewards))
    stretches = [rewards[start : start + length] for start in range(len(rewards) - length + 1)]
    best, end = max(stretches, key=mean), rewards[-length:]
    noise = (standard_error(best) ** 2 + standard_error(end) ** 2) ** 0.5
    fall = mean(best) - mean(end)
    if fall <= threshold("errors") * noise or mean(end) >= threshold("fallen") * mean(best):
        return None
    place = stretches.index(best)
    steps = log.series("step")
    when = f" around step {steps[place + length // 2]:.0f}" if len(steps) == len(rewards) else ""
    rate = log.settings.get("learning_rate")
    used = f" (it was {rate:g})" if isinstance(rate, float) else ""
    anchored = log.settings.get("estimator") == "riskpo" and log.settings.get("baseline") == "anchor"
    change = f"Lower the learning rate{used} and start from a checkpoint before the fall."
    if anchored:
        change += " Baseline anchor pushes away from everything that is sampled (A <= 0): take preset exact."
    return Finding(
        "error",
        "divergence",
        f"The mean reward, as a share of its range, was {mean(best):.3f}{when} and is {mean(end):.3f} at the end "
        f"({fall / noise if noise else float('inf'):.0f} standard errors).",
        change,
        f"{PAGE}#divergence",
    )


def entropy_collapse(log: RunLog) -> Outcome:
    """The policy has stopped exploring before it has learned the task."""
    if not log.has("entropy"):
        return Skipped("entropy_collapse", "entropy")
    before, after = mean(log.series("entropy")[:1]), mean(log.tail("entropy"))
    reward = log.share_of_range(mean(log.tail("reward")))
    if before <= 0.0 or after >= threshold("entropy_left") * before or reward >= threshold("room"):
        return None
    return Finding(
        "warning",
        "entropy_collapse",
        f"The entropy fell from {before:.3f} to {after:.3f} ({after / before:.0%}) while the mean reward is at "
        f"{reward:.0%} of its range.",
        "Lower the learning rate, or take an estimator that keeps more entropy (docs/method.md, section 9: the "
        "covariances say which).",
        f"{PAGE}#entropy-collapse",
    )


def dead_window(log: RunLog) -> Outcome:
    """The levels see no difference between a right and a wrong response."""
    if not log.has("risk/mean_slope"):
        return Skipped("dead_window", "risk/mean_slope (logged by riskpo and two_level)")
    end = log.tail("risk/mean_slope")
    flat = sum(slope < FLAT_SLOPE for slope in end) / len(end)
    reward = log.share_of_range(mean(log.tail("reward")))
    if flat < threshold("flat_steps") or reward >= threshold("solved"):
        return None
    return Finding(
        "warning",
        "dead_window",
        f"In {flat:.0%} of the last {len(end)} logged steps a right response moved the signal by less than "
        f"{FLAT_SLOPE:g} (mean slope {mean(end):.3f}, the mean objective has 1), at {reward:.0%} of the range of "
        "rewards.",
        "Raise risk_high, set adaptive_slope, take larger bundles, or ties continuous.",
        f"{PAGE}#dead-window",
    )


def uniform_prompts(log: RunLog) -> Outcome:
    """Prompts whose responses all score the same compare nothing."""
    names = {side: f"risk/frac_uniform_prompts_all_{side}" for side in ("wrong", "right")}
    for name in names.values():
        if not log.has(name):
            return Skipped("uniform_prompts", name)
    wrong, right = (mean(log.tail(names[side])) for side in ("wrong", "right"))
    if wrong >= threshold("all_wrong"):
        if max(log.series("reward")) <= min(log.series("reward")):
            change = "No response ever scored otherwise: check the reward first (riskpo doctor rewards)."
        else:
            change = "Use easier prompts, more responses per prompt, or dynamic_sampling."
        evidence = f"{wrong:.0%} of prompts got the lowest reward on all their responses at the end."
        return Finding("warning", "uniform_prompts", evidence, change, f"{PAGE}#uniform-prompts")
    if right >= threshold("all_right"):
        evidence = f"{right:.0%} of prompts got the highest reward on all their responses at the end."
        if mean(log.head(names["right"])) >= threshold("all_right"):
            change = "So it was at the beginning: check the reward (riskpo doctor rewards), or use harder prompts."
            return Finding("warning", "uniform_prompts", evidence, change, f"{PAGE}#uniform-prompts")
        change = "Nothing is left to learn from them: stop here, or use harder prompts."
        return Finding("note", "uniform_prompts", evidence, change, f"{PAGE}#uniform-prompts")
    return None


def starved_gradients(log: RunLog) -> Outcome:
    """Steps that move nothing."""
    if not log.has("grad_norm"):
        return Skipped("starved_gradients", "grad_norm")
    least = threshold("gradient") * (log.settings.get("max_grad_norm") or 1.0)
    end = log.tail("grad_norm")
    starved = sum(norm <= least for norm in end) / len(end)
    reward = log.share_of_range(mean(log.tail("reward")))
    if starved < threshold("starved") or reward >= threshold("solved"):
        return None
    return Finding(
        "warning",
        "starved_gradients",
        f"The gradient norm was at most {least:g} in {starved:.0%} of the last {len(end)} logged steps, at {reward:.0%} "
        "of the range of rewards: nothing is learned any more.",
        "See what the other findings say of prompts, window and entropy; without any, look at learning-rate schedule "
        "and frozen parameters.",
        f"{PAGE}#starved-gradients",
    )


def length_drift(log: RunLog) -> Outcome:
    """Completions that run into the longest length, or hardly say anything any more."""
    for name in ("completions/mean_length", "completions/clipped_ratio"):
        if not log.has(name):
            return Skipped("length_drift", name)
    cut, before = (mean(part("completions/clipped_ratio")) for part in (log.tail, log.head))
    long, long_before = (mean(part("completions/mean_length")) for part in (log.tail, log.head))
    if cut - before >= threshold("cut"):
        longest = log.settings.get("max_completion_length")
        return Finding(
            "warning",
            "length_drift",
            f"{cut:.0%} of completions are cut at the longest length{f' ({longest})' if longest else ''} at the end, "
            f"{before:.0%} at the beginning; the mean length went from {long_before:.4g} to {long:.4g} tokens.",
            "Raise max_completion_length, or let length cost something (soft_overlong); if the reward rose with it, "
            "ask what it pays for.",
            f"{PAGE}#length-drift",
        )
    if long < threshold("shrunk") * long_before:
        return Finding(
            "warning",
            "length_drift",
            f"The mean length fell from {long_before:.4g} to {long:.4g} tokens ({long / long_before:.0%}).",
            "Read completions: a reward that pays for brevity, or a policy that stops at once, looks like this.",
            f"{PAGE}#length-drift",
        )
    return None


def verifier_errors(log: RunLog) -> Outcome:
    """Responses that the reward could not score."""
    if not log.has("risk/frac_unscorable"):
        return Skipped("verifier_errors", "risk/frac_unscorable")
    shares = log.series("risk/frac_unscorable")
    whole, end = mean(shares), mean(log.tail("risk/frac_unscorable"))
    worst = max(whole, end)
    if worst < threshold("unscorable"):
        return None
    return Finding(
        "error" if worst >= threshold("unscorable_most") else "warning",
        "verifier_errors",
        f"{whole:.1%} of responses could not be scored, {end:.1%} at the end; they got advantage 0 and were nobody's "
        "partner.",
        "Look at the reasons (riskpo doctor rewards on the same data), mend the verifier or the rows, and check time "
        "limits and sandbox (riskpo doctor env).",
        f"{PAGE}#verifier-errors",
    )


def moved_wrong(log: RunLog) -> Outcome:
    """Responses that were moved the wrong way, in the logged completions."""
    if not log.moved:
        return Skipped("sign_flips", "completions/*.parquet with rewards of weight 1 and advantages")
    shares = {
        kind: log.moved[moved] / log.moved[kind]
        for kind, moved in (("right", "right_down"), ("wrong", "wrong_up"))
        if log.moved[kind]
    }
    if max(shares.values(), default=0.0) < threshold("flips"):
        return None
    what = " and ".join(
        f"{share:.0%} of {log.moved[kind]:.0f} {kind} responses {'down' if kind == 'right' else 'up'}"
        for kind, share in shares.items()
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
    "sign_flips": moved_wrong,
}
