"""Is A better than B? Paired by question, by task and over tasks, with an interval, a test and a plain sentence.

"Better" is said only where the interval of the difference leaves 0 out *and* the sign-flip test has p <= 0.05,
corrected for the number of tasks (Holm). The interval says how large the difference may be, the test keeps its level
also where few questions differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from riskpo.errors import DataError
from riskpo.evaluation.bounds import LEVEL, difference_bounds, difference_error
from riskpo.evaluation.intervals import weighted_bounds
from riskpo.evaluation.pairs import Pairs, Scores, pass_pairs
from riskpo.evaluation.power import POWER, Needed, about, needed
from riskpo.evaluation.signflip import SignFlip, holm, sign_flip_test

_POWER = f"{100 * POWER:g} %"
Outcome = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True)
class Difference:
    """A minus B, on one task or over several.

    Args:
        task: its name; "macro" (each task weighs the same) or "pooled" (each question does) over several.
        questions: how many were compared.
        a: A's score on them, in [0, 1].
        b: B's.
        difference: a - b.
        low: lower bound of its 95 % interval over draws of questions.
        high: upper bound.
        test: the sign-flip test of it.
        p_holm: the test's p, corrected for the number of tasks; the plain p over all tasks.
        needed: what would find a difference of this size.
        outcome: what is said of A.
        sentence: the same for a person.
        only_a: questions that A alone has; not compared.
        only_b: those that B alone has.
        left_out: shared ones on which A or B has too few usable samples.
    """

    task: str
    questions: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    test: SignFlip
    p_holm: float
    needed: Needed
    outcome: Outcome
    sentence: str
    only_a: int
    only_b: int
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """Two evaluations compared.

    Args:
        tasks: the difference on each task that both have.
        macro: the mean over tasks, each weighing the same; None with one task.
        pooled: the mean over all tasks' questions; None with one task.
        metric: what was compared, e.g. "pass@1".
        only_a: tasks that A alone has.
        only_b: tasks that B alone has.
    """

    tasks: dict[str, Difference]
    macro: Difference | None
    pooled: Difference | None
    metric: str
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """One for each task, then for the average over them, then for the questions pooled."""
        overall = [one for one in (self.macro, self.pooled) if one is not None]
        return [one.sentence for one in [*self.tasks.values(), *overall]]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = dataclasses.asdict(self)
        return {**found, "only_a": list(self.only_a), "only_b": list(self.only_b), "level": LEVEL, "power": POWER}


def compare(
    a: Mapping[str, Scores], b: Mapping[str, Scores], k: int = 1, names: tuple[str, str] = ("A", "B"), seed: int = 0
) -> Comparison:
    """pass@k of two evaluations.

    Args:
        a: task to question id to the scores of its samples; None where one could not be judged.
        b: of the other model. The numbers of samples may differ.
        k: of pass@k; for k = 1 the test is exact in all but very large cases, and says so where it is not.
        names: what the sentences call them.
        seed: of the test where its signs are drawn.

    Raises:
        DataError: no shared task; on a shared task no shared question, or fewer than 2 with k usable samples each.
    """
    shared = [task for task in a if task in b]
    if not shared:
        raise DataError(f"the evaluations share no task: {', '.join(a) or 'none'} and {', '.join(b) or 'none'}.")
    pairs = {}
    for task in shared:
        try:
            pairs[task] = pass_pairs(a[task], b[task], k)
        except DataError as error:
            raise DataError(f"{task}: {error}") from error
    found = _compared(pairs, f"pass@{k}", names, seed)
    only_a, only_b = (tuple(task for task in one if task not in shared) for one in (a, b))
    return dataclasses.replace(found, only_a=only_a, only_b=only_b)


def _compared(pairs: Mapping[str, Pairs], metric: str, names: tuple[str, str], seed: int) -> Comparison:
    """Each task, and where there are several their average and their pooled questions."""
    tests = [sign_flip_test(_differences([one], [Fraction(1)]), seed) for one in pairs.values()]
    corrected = holm([test.p for test in tests])
    tasks = {
        task: _difference((task, f"on {task}"), [one], [1.0], test, (p, len(pairs)), names)
        for (task, one), test, p in zip(pairs.items(), tests, corrected, strict=True)
    }
    if len(pairs) == 1:
        return Comparison(tasks, None, None, metric)
    every, total = list(pairs.values()), sum(len(one.a_Q) for one in pairs.values())
    overall = {}
    for name, where, weights in (
        ("macro", f"averaged over {len(every)} tasks", [Fraction(1, len(every))] * len(every)),
        ("pooled", f"over the questions of {len(every)} tasks pooled", [Fraction(len(p.a_Q), total) for p in every]),
    ):
        test = sign_flip_test(_differences(every, weights), seed)
        overall[name] = _difference((name, where), every, [float(w) for w in weights], test, (test.p, 1), names)
    return Comparison(tasks, overall["macro"], overall["pooled"], metric)


def _differences(pairs: Sequence[Pairs], weights: Sequence[Fraction]) -> list[Fraction] | list[float]:
    """Each question's part of the weighted mean difference."""
    if all(one.exact is not None for one in pairs):
        return [w / len(one.a_Q) * d for one, w in zip(pairs, weights, strict=True) for d in one.exact or ()]
    return [
        float(w) / len(one.a_Q) * float(d)
        for one, w in zip(pairs, weights, strict=True)
        for d in _rounded(one.a_Q - one.b_Q)
    ]


def _rounded(differences_Q: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Equal values may differ in their last digits: a difference of 1e-17 is none."""
    return np.round(differences_Q, 12)


@dataclass(frozen=True)
class _Mean:
    """A weighted mean over tasks of the difference; with one task it is that task's."""

    difference: float
    low: float
    high: float
    variance: float
    within: float | None
    questions: int
    samples: float | None


def _mean_of(pairs: Sequence[Pairs], weights: Sequence[float]) -> _Mean:
    shares = np.array(weights)
    differences = [_rounded(one.a_Q - one.b_Q) for one in pairs]
    means = [float(d_Q.mean()) for d_Q in differences]
    spreads = [(float(d_Q.var()), len(d_Q), one.blocks) for d_Q, one in zip(differences, pairs, strict=True)]
    bounds = [difference_bounds(mean, *spread) for mean, spread in zip(means, spreads, strict=True)]
    low, high = weighted_bounds(means, [x for x, _ in bounds], [x for _, x in bounds], shares)
    variance = float(shares**2 @ [difference_error(*spread) ** 2 for spread in spreads])
    withins = [one.within / len(one.a_Q) for one in pairs if one.within is not None]
    within = float(shares**2 @ withins) if len(withins) == len(pairs) else None
    counts = [one.samples * len(one.a_Q) for one in pairs if one.samples is not None]
    questions = sum(len(one.a_Q) for one in pairs)
    samples = sum(counts) / questions if len(counts) == len(pairs) else None
    return _Mean(float(shares @ means), float(low), float(high), variance, within, questions, samples)


def _difference(
    where: tuple[str, str],
    pairs: Sequence[Pairs],
    weights: Sequence[float],
    test: SignFlip,
    corrected: tuple[float, int],
    names: tuple[str, str],
) -> Difference:
    """`where`: the name, and how a sentence says it; `corrected`: p, and for how many tasks."""
    mean, shares = _mean_of(pairs, weights), np.array(weights)
    found = Difference(
        task=where[0],
        questions=mean.questions,
        a=float(shares @ [one.a_Q.mean() for one in pairs]),
        b=float(shares @ [one.b_Q.mean() for one in pairs]),
        difference=mean.difference,
        low=mean.low,
        high=mean.high,
        test=test,
        p_holm=corrected[0],
        needed=needed(mean.difference, mean.variance, mean.within, mean.questions, mean.samples),
        outcome=_outcome(mean.low, mean.high, corrected[0]),
        sentence="",
        only_a=sum(one.only_a for one in pairs),
        only_b=sum(one.only_b for one in pairs),
        left_out=sum(one.left_out for one in pairs),
    )
    return dataclasses.replace(found, sentence=_sentence(found, where[1], corrected[1], len(pairs), names))


def _outcome(low: float, high: float, p: float) -> Outcome:
    if p > 1 - LEVEL + 1e-12 or low <= 0.0 <= high:
        return "not distinguishable"
    return "better" if low > 0.0 else "worse"


def _sentence(found: Difference, where: str, corrected_for: int, pooled: int, names: tuple[str, str]) -> str:
    a, b = names
    difference, low, high = (100 * value for value in (found.difference, found.low, found.high))
    numbers = f"{difference:+.1f} points (95 % over questions {low:+.1f} to {high:+.1f}), p = {_p(found.test.p)}"
    if corrected_for > 1:
        numbers += f", {_p(found.p_holm)} corrected for {corrected_for} tasks"
    numbers += f"; {found.test.name}, {found.questions} shared questions"
    numbers += f" ({found.left_out} more left out for too few usable samples)" if found.left_out else ""
    alone = f" Not compared: {found.only_a} questions that {a} alone has and {found.only_b} that {b} alone has."
    after = alone if found.only_a or found.only_b else ""
    if found.outcome != "not distinguishable":
        return f"{a} is {found.outcome} than {b} {where}: {numbers}.{after}"
    return (
        f"{a} and {b} are not distinguishable {where} with these samples: {numbers}. {_missing(found, pooled)}{after}"
    )


def _missing(found: Difference, pooled: int) -> str:
    """What would be needed."""
    what = found.needed
    detectable = (
        f"A true difference of {100 * what.detectable:.1f} points would be found with {_POWER} power."
        if what.detectable <= 1.0
        else f"With so few questions no difference, however large, would be found with {_POWER} power."
    )
    if what.questions is None:
        return f"No difference was seen. {detectable}"
    size = f"To find a difference of this size with {_POWER} power"
    spread = ", spread over the tasks as now" if pooled > 1 else ""
    text = f"{size}, {about(what.questions)} more questions would be needed{spread}"
    if what.samples_enough is None:
        return f"{text}; what more samples of each would bring cannot be told from these. {detectable}"
    if not what.samples_enough:
        return f"{text}; more samples of these questions alone would not do. {detectable}"
    return f"{text}, or {about(what.samples or 0)} more samples of each. {detectable}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"
