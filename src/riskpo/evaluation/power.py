"""How many more questions, or samples, would a comparison need?

The mean of M paired differences has the variance

    (sigma_b^2 + sigma_w^2 / n) / M = B + W

sigma_b^2: how much the models' true difference varies from question to question; sigma_w^2 / n: what n samples of a
question leave open (for pass@k with k > 1 this fall with 1 / n holds to first order). More questions make both smaller,
more samples W only. A true difference delta is found with power 80 % by a two-sided test at 5 % once its standard error
is at most |delta| / (1.960 + 0.842). So

    M' = M (2.80)^2 (B + W) / delta^2          n' = n W / (delta^2 / 2.80^2 - B), if that is positive.

delta here is the observed difference. It is a guess of the true one, and a poor one where it is near 0: the number is a
rough size, not a plan. A plan starts from the smallest difference that would matter: see `detectable`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from riskpo.evaluation.student import normal_quantile

POWER = 0.80
Z = normal_quantile(0.975) + normal_quantile(POWER)


@dataclass(frozen=True)
class Needed:
    """What would find a difference of the observed size with power 80 %.

    Args:
        questions: more of them, at as many samples; None if no difference was seen.
        samples: more of each question's; None if unknown, or if no number is enough: see `samples_enough`.
        samples_enough: whether more samples of these questions can do it; None if unknown (fewer than 2 k samples).
        detectable: the smallest true difference that this comparison finds with power 80 %.
    """

    questions: int | None
    samples: int | None
    samples_enough: bool | None
    detectable: float


def needed(difference: float, variance: float, within: float | None, questions: int, samples: float | None) -> Needed:
    """What is missing to tell a difference of this size from 0.

    Args:
        difference: the observed one, delta.
        variance: of the mean difference, B + W.
        within: the part of it that samples can remove, W; None if unknown.
        questions: M.
        samples: n, of a question and model, on average; None if unknown.
    """
    detectable = Z * math.sqrt(variance)
    if abs(difference) < 1e-12:
        return Needed(None, None, None, detectable)
    more = max(math.ceil(questions * Z**2 * variance / difference**2) - questions, 0)
    if within is None or samples is None:
        return Needed(more, None, None, detectable)
    between = max(variance - within, 0.0)
    room = difference**2 / Z**2 - between
    if room <= 0:
        return Needed(more, None, False, detectable)
    return Needed(more, max(math.ceil(samples * within / room - samples), 0), True, detectable)


def about(number: int) -> str:
    """Two digits: more would pretend to know."""
    if number >= 10_000_000:
        return "more than 10 million"
    step = 10 ** max(len(str(number)) - 2, 0)
    return f"about {math.ceil(number / step) * step}"
