"""What the log of a run says of its health: one small function a check, metrics in, a finding or none out.

Every check reads the run's beginning (the first tenth of its logged steps), its end (the last tenth) or its best
stretch of that length; what is compared with which threshold: riskpo.diagnosis.measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from riskpo.diagnosis.finding import Diagnosis, Finding, Level, Outcome, Skipped, diagnosis
from riskpo.diagnosis.log import LEAST_ROWS, RunLog, mean
from riskpo.diagnosis.measures import (
    cut_at_end,
    entropy_before,
    fall_of,
    flat_steps,
    flipped,
    has_risen,
    left_of_entropy,
    left_of_length,
    left_of_reward,
    more_cut,
    most_flipped,
    reward_at_end,
    starved_steps,
    threshold,
    uniform_share,
    unscorable,
)
from riskpo.risk.audit import FLAT_SLOPE

PAGE = "docs/doctor.md"

WATCHED = ("loss", "grad_norm", "reward", "entropy")
_TOLERANCE = 1e-6  # of the range of rewards: rounding in a mean


def check_run(log: RunLog, subject: str) -> Diagnosis:
    """Every check on a run's log.

    Args:
        log: at least `LEAST_ROWS` logged steps; with fewer every check but `not_finite` is skipped.
        subject: what the run is called.
    """
    facts = {"logged steps": str(log.rows)}
    for name in ("reward", "entropy"):
        if log.has(name):
            facts[name] = f"{_in_words(log.head(name))} at the beginning, {_in_words(log.tail(name))} at the end"
    return diagnosis("run", subject, [(code, _outcome(code, log)) for code in CHECKS], facts)


def _in_words(values: Sequence[float]) -> str:
    return f"{mean(values):.3g}" if values else "not finite"


def _outcome(code: str, log: RunLog) -> Outcome:
    """What a check says, or why it cannot be made."""
    if code == "not_finite":
        return not_finite(log)
    if log.rows < LEAST_ROWS:
        return Skipped(code, f"{LEAST_ROWS} logged steps with a reward (there are {log.rows})")
    reads = READS[code]
    if "reward" in reads and (why := _outside(log)):
        return Skipped(code, why)
    for name in reads:
        if log.logged(name) and not (log.head(name) and log.tail(name)):
            return Skipped(code, f"finite values of {name} at the beginning and at the end")
    return CHECKS[code](log)


def _outside(log: RunLog) -> str:
    """What is missing where rewards lie outside their range, so that shares of it mean nothing; else empty."""
    low, high = log.reward_ends
    slack, values = _TOLERANCE * (high - low), log.series("reward")
    if not values or (min(values) >= low - slack and max(values) <= high + slack):
        return ""
    known = "reward_range of arguments.json" if log.settings.get("reward_range") else "a known reward_range, else"
    return f"rewards within {known} [{low:g}, {high:g}] (logged means go from {min(values):.4g} to {max(values):.4g})"


def not_finite(log: RunLog) -> Outcome:
    """A loss, a gradient, a reward or an entropy that was no number."""
    seen = {name: log.columns[name] for name in WATCHED if name in log.columns}
    if not seen:
        return Skipped("not_finite", ", ".join(WATCHED))
    bad = {name: sum(value is not None and math.isnan(value) for value in values) for name, values in seen.items()}
    bad = {name: count for name, count in bad.items() if count}
    if not bad:
        return None
    what = ", ".join(f"{name} in {count} of {len(log.logged(name))}" for name, count in bad.items())
    change = (
        "Lower the learning rate, or take bfloat16 or float32 instead of float16; the model after the first such step "
        "is not to be used."
    )
    if set(bad) == {"reward"}:
        change = (
            "No response of such a step could be scored: see riskpo doctor rewards on the same data, and the sandbox."
        )
    return Finding(
        "error", "not_finite", f"Not a finite number: {what} logged steps.", change, f"{PAGE}#numbers-that-are-none"
    )


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
        f"The entropy fell from {entropy_before(log):.3f} to {mean(log.tail('entropy')):.3f} ({left:.0%}) while "
        f"the mean reward stands still at {reward_at_end(log):.0%} of its range.",
        "Read completions: a reward that pays a part for form alone looks like this. Else lower the learning rate, or "
        "take an estimator that keeps more entropy (the covariances of docs/method.md, section 9, say which).",
        f"{PAGE}#entropy-collapse",
    )


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


def uniform_prompts(log: RunLog) -> Outcome:
    """Prompts whose responses all score the same compare nothing."""
    wrong, right = uniform_share(log, "wrong"), uniform_share(log, "right")
    if wrong is None or right is None:
        return Skipped("uniform_prompts", "risk/frac_uniform_prompts_all_wrong and ..._all_right")
    rewards, page = log.series("reward"), f"{PAGE}#uniform-prompts"
    low, high = log.reward_ends
    if wrong >= threshold("all_wrong"):
        evidence = f"{wrong:.0%} of prompts got the lowest reward on all their responses at the end."
        change = "Use easier prompts, more responses per prompt, or dynamic_sampling."
        if max(rewards) <= low:
            change = "No response ever scored otherwise: check the reward first (riskpo doctor rewards)."
        return Finding("warning", "uniform_prompts", evidence, change, page)
    if right >= threshold("all_right"):
        evidence = f"{right:.0%} of prompts got the highest reward on all their responses at the end."
        if min(rewards) >= high:
            change = "No response ever scored otherwise: check the reward (riskpo doctor rewards) and the prompts."
            return Finding("warning", "uniform_prompts", evidence, change, page)
        change = "Nothing is left to learn from them: stop here, or use harder prompts."
        return Finding("note", "uniform_prompts", evidence, change, page)
    return None


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


def length_drift(log: RunLog) -> Outcome:
    """Completions that run into the longest length, or hardly say anything any more."""
    more, left = more_cut(log), left_of_length(log)
    if more is None and left is None:
        return Skipped("length_drift", "completions/clipped_ratio or completions/mean_length")
    before, after = (mean(part("completions/mean_length")) for part in (log.head, log.tail))
    went = "" if left is None else f"the mean length went from {before:.4g} to {after:.4g} tokens ({left:.0%})."
    always = cut_at_end(log)
    if more is not None and (more >= threshold("cut") or (always is not None and always >= threshold("cut_most"))):
        longest = log.settings.get("max_completion_length")
        share = mean(log.tail("completions/clipped_ratio"))
        return Finding(
            "warning",
            "length_drift",
            f"{share:.0%} of completions are cut at the longest length{f' ({longest})' if longest else ''} at the end, "
            f"{share - more:.0%} at the beginning{'; ' if went else '.'}{went}",
            "Raise max_completion_length, or let length cost something (soft_overlong); if the reward rose with it, "
            "ask what it pays for.",
            f"{PAGE}#length-drift",
        )
    if left is None or left >= threshold("shrunk"):
        return None
    level: Level = "warning"
    change = "Read completions: a reward that pays for brevity, or a policy that stops at once, looks like this."
    if has_risen(log) or reward_at_end(log) >= threshold("solved"):
        level = "note"
        change = (
            "The reward rose or is high, so this may be learned: read completions, whether they are short or empty."
        )
    return Finding(level, "length_drift", went[0].upper() + went[1:], change, f"{PAGE}#length-drift")


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


def sign_flips(log: RunLog) -> Outcome:
    """Responses that were moved the wrong way, in the logged completions."""
    most = most_flipped(log)
    if most is None:
        missing = "completions/*.parquet with rewards of weight 1 and advantages"
        return Skipped("sign_flips", f"{missing}, all whole ({log.unread})" if log.unread else missing)
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

# What each check reads besides: without finite values at both ends it is skipped, with rewards outside their range too.
READS: dict[str, tuple[str, ...]] = {
    "divergence": ("reward",),
    "entropy_collapse": ("reward", "entropy"),
    "dead_window": ("reward", "risk/mean_slope"),
    "uniform_prompts": ("reward", "risk/frac_uniform_prompts_all_wrong", "risk/frac_uniform_prompts_all_right"),
    "starved_gradients": ("reward", "grad_norm"),
    "length_drift": ("reward", "completions/clipped_ratio", "completions/mean_length"),
    "verifier_errors": ("risk/frac_unscorable",),
    "sign_flips": (),
}
