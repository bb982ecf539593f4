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
    found = compare_pairs(pairs, f"pass@{k}", names, seed)
    only_a, only_b = (tuple(task for task in one if task not in shared) for one in (a, b))
    return dataclasses.replace(found, only_a=only_a, only_b=only_b)


def compare_pairs(
    pairs: Mapping[str, Pairs], metric: str, names: tuple[str, str] = ("A", "B"), seed: int = 0
) -> Comparison:
    """Any score that has one value a question: see `value_pairs`.

    Args:
        pairs: of each task; at least one.
        metric: what the values are.
        names: what the sentences call them.
        seed: of the test where its signs are drawn.
    """
    tests = [sign_flip_test(_differences([one], [Fraction(1)]), seed) for one in pairs.values()]
    corrected = holm([test.p for test in tests])
    tasks = {
        task: _difference(task, [one], [1.0], test, p, len(pairs), names)
        for (task, one), test, p in zip(pairs.items(), tests, corrected, strict=True)
    }
    if len(pairs) == 1:
        return Comparison(tasks, None, None, metric)
    every, total = list(pairs.values()), sum(len(one.a_Q) for one in pairs.values())
    overall = {}
    for name, weights in (
        ("macro", [Fraction(1, len(every))] * len(every)),
        ("pooled", [Fraction(len(one.a_Q), total) for one in every]),
    ):
        test = sign_flip_test(_differences(every, weights), seed)
        overall[name] = _difference(name, every, [float(w) for w in weights], test, test.p, len(every), names)
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


def _difference(
    task: str,
    pairs: Sequence[Pairs],
    weights: Sequence[float],
    test: SignFlip,
    p_holm: float,
    tasks: int,
    names: tuple[str, str],
) -> Difference:
    shares = np.array(weights)
    a, b = (
        float(shares @ [values.mean() for values in side])
        for side in zip(*((p.a_Q, p.b_Q) for p in pairs), strict=True)
    )
    moments = [(float(d.mean()), float(d.var()), len(d), p.blocks) for p in pairs for d in (_rounded(p.a_Q - p.b_Q),)]
    bounds = [difference_bounds(*one) for one in moments]
    low, high = weighted_bounds([one[0] for one in moments], [x for x, _ in bounds], [x for _, x in bounds], shares)
    variance = float(shares**2 @ [difference_error(*one[1:]) ** 2 for one in moments])
    withins = [one.within for one in pairs]
    within = None
    if not any(w is None for w in withins):
        within = float(shares**2 @ [w / len(p.a_Q) for w, p in zip(withins, pairs, strict=True) if w is not None])
    questions = sum(len(one.a_Q) for one in pairs)
    samples = None
    if all(one.samples is not None for one in pairs):
        samples = sum(len(one.a_Q) * (one.samples or 0.0) for one in pairs) / questions
    difference = float(shares @ [one[0] for one in moments])
    found = Difference(
        task,
        questions,
        a,
        b,
        difference,
        float(low),
        float(high),
        test,
        p_holm,
        needed(difference, variance, within, questions, samples),
        _outcome(float(low), float(high), p_holm),
        "",
        sum(one.only_a for one in pairs),
        sum(one.only_b for one in pairs),
        sum(one.left_out for one in pairs),
    )
    return dataclasses.replace(found, sentence=_sentence(found, tasks, names))


def _outcome(low: float, high: float, p: float) -> Outcome:
    if p > 1 - LEVEL + 1e-12 or low <= 0.0 <= high:
        return "not distinguishable"
    return "better" if low > 0.0 else "worse"


def _sentence(found: Difference, tasks: int, names: tuple[str, str]) -> str:
    a, b = names
    overall = {"macro": f"averaged over {tasks} tasks", "pooled": f"over the questions of {tasks} tasks pooled"}
    where = overall.get(found.task, f"on {found.task}") if tasks > 1 else f"on {found.task}"
    difference, low, high = (100 * value for value in (found.difference, found.low, found.high))
    numbers = f"{difference:+.1f} points (95 % over questions {low:+.1f} to {high:+.1f}), p = {_p(found.test.p)}"
    if found.task not in overall and tasks > 1:
        numbers += f", {_p(found.p_holm)} corrected for {tasks} tasks"
    numbers += f"; {found.test.name}, {found.questions} shared questions"
    numbers += f" ({found.left_out} more left out for too few usable samples)" if found.left_out else ""
    alone = f" Not compared: {found.only_a} questions that {a} alone has and {found.only_b} that {b} alone has."
    after = alone if found.only_a or found.only_b else ""
    if found.outcome != "not distinguishable":
        return f"{a} is {found.outcome} than {b} {where}: {numbers}.{after}"
    return f"{a} and {b} are not distinguishable {where} with these samples: {numbers}. {_missing(found)}{after}"


def _missing(found: Difference) -> str:
    """What would be needed."""
    what = found.needed
    detectable = f"A true difference of {100 * what.detectable:.1f} points would be found with {POWER:.0%} power."
    if what.questions is None:
        return f"No difference was seen. {detectable}"
    size = f"To find a difference of this size with {POWER:.0%} power"
    text = f"{size}, {about(what.questions)} more questions would be needed"
    if what.samples_enough is None:
        return f"{text}; what more samples of each would bring cannot be told from these. {detectable}"
    if not what.samples_enough:
        return f"{text}; more samples of these questions alone would not do. {detectable}"
    return f"{text}, or {about(what.samples or 0)} more samples of each. {detectable}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"
