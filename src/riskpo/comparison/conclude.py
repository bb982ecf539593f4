"""What may be concluded: means with intervals over seeds, paired differences, and the sentence for each.

The unit is a training run. Runs of one seed share training prompts, held-out prompts and the base model, so entries are
compared seed by seed: the differences d_s over the seeds that both have finished, with

    interval   mean(d) -+ t s / sqrt(N)           t: Student's quantile with N - 1 degrees of freedom
    p          of the paired t test, corrected by Holm for the number of entries that are compared with the baseline;
               none where all d_s are alike: there is no spread to measure the mean by
    needed     the smallest N whose test, at 5 % over the number of comparisons, finds a difference of mean(d) with
               power 80 % where differences spread by s: the noncentral t distribution, exact for few seeds too

"Better" and "worse" are said where the corrected p is at most 0.05 and the interval leaves 0 out. One run each says
nothing of seeds: then the questions are the unit, and the sentence says so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from riskpo.comparison.results import RunResult
from riskpo.evaluation.bounds import LEVEL
from riskpo.evaluation.compare import compare
from riskpo.evaluation.intervals import Interval, question_interval, run_interval
from riskpo.evaluation.passk import pass_at_k
from riskpo.evaluation.power import POWER, about
from riskpo.evaluation.signflip import holm
from riskpo.evaluation.student import t_quantile, t_within
from riskpo.evaluation.ttest import found_noncentrality, t_test_power

_MOST_SEEDS = 1_000_000
_SMALLEST_P = 1e-12  # what 1 - P(|T| <= t) can still tell from 0
_POWER = f"{100 * POWER:g} %"

Outcome = Literal["better", "worse", "not distinguishable", "not compared"]


@dataclass(frozen=True)
class PairedRuns:
    """A mean of paired differences over seeds.

    Args:
        mean: of the differences, in [-1, 1].
        low, high: its 95 % interval, cut to [-1, 1]; None where the spread cannot be told.
        p: of the paired t test; None where the spread cannot be told, and no test is possible.
        spread: the standard deviation of the differences (divided by N - 1).
        seeds: N.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    spread: float
    seeds: int


@dataclass(frozen=True)
class Contrast:
    """An entry minus the baseline, by one score.

    Args:
        entry, baseline: labels.
        metric: "pass@1", ...
        units: seeds, or questions where there is one seed.
        over: what the units are: "seeds", "questions", or "" where nothing could be compared.
        difference: of the means; None where nothing could be compared, and so are the others.
        low, high: of the 95 % interval.
        p: of the paired t test over seeds, or of the sign-flip test over questions; None where no test is possible.
        p_holm: corrected for the number of entries that are compared with the baseline by this score.
        more_seeds: that would find a difference of this size with power 80 %; None where that cannot be told.
        detectable: the smallest true difference that as many seeds find with power 80 %.
        outcome: what is said of the entry.
        sentence: the same for a person.
    """

    entry: str
    baseline: str
    metric: str
    units: int
    over: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    more_seeds: int | None
    detectable: float | None
    outcome: Outcome
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def entry_interval(runs: Sequence[RunResult], k: int) -> Interval:
    """pass@k of an entry: over its runs, or over questions where there is one run."""
    if len(runs) == 1:
        return question_interval(pass_at_k(np.array(runs[0].correct), runs[0].samples, k))
    return run_interval([run.score(k) for run in runs])


def paired_runs(differences: Sequence[float]) -> PairedRuns:
    """The mean of at least two paired differences, with t interval and t test."""
    values = np.array(differences, dtype=np.float64)
    seeds, mean, spread = len(values), float(values.mean()), float(values.std(ddof=1))
    if spread < 1e-12:
        return PairedRuns(mean, None, None, None, 0.0, seeds)
    error = spread / math.sqrt(seeds)
    half = t_quantile(LEVEL, seeds - 1) * error
    p = max(1.0 - t_within(abs(mean) / error, seeds - 1), _SMALLEST_P)
    return PairedRuns(mean, max(mean - half, -1.0), min(mean + half, 1.0), p, spread, seeds)


def seeds_needed(difference: float, spread: float, comparisons: int) -> int | None:
    """The smallest number of seeds that would find a difference of this size with power 80 %.

    Args:
        difference: of the means, taken for the true one.
        spread: the standard deviation of the differences from seed to seed, above 0.
        comparisons: for how many p is corrected; each is asked for at 5 % over their number, Holm's strictest step.

    Returns:
        At least 2; None beyond a million.
    """

    def enough(seeds: int) -> bool:
        return t_test_power(difference / spread * math.sqrt(seeds), seeds - 1, (1 - LEVEL) / comparisons) >= POWER

    low, high = 1, 2
    while not enough(high):
        if high == _MOST_SEEDS:
            return None
        low, high = high, min(2 * high, _MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable_difference(spread: float, seeds: int, comparisons: int) -> float:
    """The smallest true difference that so many seeds, at least 2, find with power 80 %; else as `seeds_needed`."""
    return found_noncentrality(seeds - 1, (1 - LEVEL) / comparisons, POWER) * spread / math.sqrt(seeds)


def conclude(runs: Mapping[str, Sequence[RunResult]], baseline: str, ks: Sequence[int]) -> dict[str, list[Contrast]]:
    """Every entry against the baseline.

    Args:
        runs: the finished runs of each entry, in any order.
        baseline: the label of the entry that the others are compared with.
        ks: of pass@k.

    Returns:
        For each score one contrast an entry, in the entries' order.
    """
    others = [label for label in runs if label != baseline]
    ordered = {label: {run.seed: run for run in sorted(one, key=lambda r: r.seed)} for label, one in runs.items()}
    return {
        f"pass@{k}": _contrasts([(label, _shared(ordered[label], ordered[baseline])) for label in others], baseline, k)
        for k in ks
    }


def _shared(a: Mapping[int, RunResult], b: Mapping[int, RunResult]) -> list[tuple[RunResult, RunResult]]:
    return [(a[seed], b[seed]) for seed in a if seed in b]


def _contrasts(pairs: list[tuple[str, list[tuple[RunResult, RunResult]]]], baseline: str, k: int) -> list[Contrast]:
    found = [_contrast(label, baseline, shared, k, len(pairs)) for label, shared in pairs]
    # One that cannot be tested (yet) counts all the same: the correction does not loosen with what is missing.
    corrected = holm([1.0 if one.p is None else one.p for one in found])
    done = []
    for one, p_holm in zip(found, corrected, strict=True):
        if one.difference is not None:
            p_corrected = None if one.p is None else p_holm
            one = dataclasses.replace(one, p_holm=p_corrected, outcome=_outcome(one, p_holm))
        done.append(dataclasses.replace(one, sentence=_sentence(one, len(pairs))))
    return done


def _contrast(
    label: str, baseline: str, shared: list[tuple[RunResult, RunResult]], k: int, comparisons: int
) -> Contrast:
    metric = f"pass@{k}"
    nothing = Contrast(label, baseline, metric, 0, "", None, None, None, None, None, None, None, "not compared", "")
    if not shared:
        return nothing
    if len(shared) == 1:
        ours, theirs = (_by_question(run) for run in shared[0])
        by_question = compare({"": ours}, {"": theirs}, k=k).tasks[""]
        return dataclasses.replace(
            nothing,
            units=by_question.questions,
            over="questions",
            difference=by_question.difference,
            low=by_question.low,
            high=by_question.high,
            p=by_question.test.p,
        )
    paired = paired_runs([ours.score(k) - theirs.score(k) for ours, theirs in shared])
    needed = seeds_needed(paired.mean, paired.spread, comparisons) if paired.spread and paired.mean else None
    return dataclasses.replace(
        nothing,
        units=paired.seeds,
        over="seeds",
        difference=paired.mean,
        low=paired.low,
        high=paired.high,
        p=paired.p,
        more_seeds=None if needed is None else max(needed - paired.seeds, 0),
        detectable=detectable_difference(paired.spread, paired.seeds, comparisons) if paired.spread else None,
    )


def _by_question(run: RunResult) -> dict[str, list[float | None]]:
    """Scores of the samples of each question; their order says nothing."""
    found: dict[str, list[float | None]] = {}
    for question, right in enumerate(run.correct):
        found[str(question)] = [*[1.0] * right, *[0.0] * (run.samples - right)]
    return found


def _outcome(one: Contrast, p_holm: float) -> Outcome:
    if one.low is None or one.high is None or p_holm > 1 - LEVEL + 1e-12 or one.low <= 0.0 <= one.high:
        return "not distinguishable"
    return "better" if one.low > 0.0 else "worse"


def _sentence(one: Contrast, comparisons: int) -> str:
    a, b = one.entry, one.baseline
    if one.difference is None:
        return f"{a} and {b} cannot be compared yet: no seed is finished for both."
    seeds = f"{one.units} seeds" if one.over == "seeds" else "one seed"
    if one.low is None or one.high is None or one.p is None:
        said = f"{100 * one.difference:+.1f} points in each of {one.units} seeds"
        return (
            f"{a} and {b} are not distinguishable by {one.metric}: {said}, so the spread over seeds cannot be told, "
            "and no test is possible. More seeds, prompts or samples would be needed."
        )
    numbers = (
        f"{100 * one.difference:+.1f} points (95 % over {one.over} {100 * one.low:+.1f} to {100 * one.high:+.1f}), "
        f"p = {_p(one.p)}"
    )
    numbers += f", {_p(one.p_holm or 0.0)} corrected for {comparisons} comparisons" if comparisons > 1 else ""
    numbers += "; paired t test" if one.over == "seeds" else f"; sign-flip test, {one.units} questions"
    if one.outcome == "not distinguishable":
        text = f"{a} and {b} are not distinguishable by {one.metric} with {seeds}: {numbers}."
        if (one.p_holm or one.p) <= 1 - LEVEL + 1e-12:
            text += " The interval holds 0, and overrules p."
        text += _missing(one) if one.over == "seeds" else ""
    else:
        text = f"{a} is {one.outcome} than {b} by {one.metric} with {seeds}: {numbers}."
    if one.over == "questions":
        text += (
            " This is about other questions to these two models. One seed knows nothing of other seeds: training again "
            "may turn it round."
        )
    return text


def _missing(one: Contrast) -> str:
    """What would be needed."""
    detectable = one.detectable or 0.0
    found = (
        f" A true difference of {100 * detectable:.1f} points would be found with {_POWER} power by as many seeds."
        if detectable <= 1.0
        else f" With so few seeds no difference, however large, would be found with {_POWER} power."
    )
    if not one.difference:
        return f" No difference was seen.{found}"
    more = "more than a million" if one.more_seeds is None else f"{about(one.more_seeds)} more"
    seeds = "seed" if one.more_seeds == 1 else "seeds"
    size = f"to find a difference of this size with {_POWER} power"
    return f" {more[0].upper()}{more[1:]} {seeds} would be needed {size}.{found}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"
