"""Scores between 0 and 1 for programs that pass some tests: the fraction, and VeRPO's difficulty-weighted reward.

"VeRPO: Verifiable Dense Reward Policy Optimization for Code Generation" (https://arxiv.org/abs/2601.03525) weighs every
test by how seldom the responses of its prompt pass it, and by how many other tests are passed about as often:

    rho_j = mean over the responses of p_ij                          p_ij in {0, 1}: response i passes test j
    N_j   = sum over j' of exp(-(rho_j - rho_j')^2 / (2 sigma^2))
    w_j   = exp(-alpha rho_j) / (N_j + delta)
    R_i   = sum over j of w_j p_ij

Without the division by N_j a heap of easy tests, each worth little, would outweigh the few that matter.

Two things are our choice. The values of alpha, sigma and delta: the paper's are not known to us. And the scale: R_i is
divided by the sum of all w_j, so that a score is in [0, 1] and 1 means that every test passed. The weights are those of
the responses that are scored together; a group that is split over processes has weights in each part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from riskpo.errors import ConfigError


def fractions(passed_IJ: Sequence[Sequence[bool]]) -> list[float]:
    """The fraction of the tests that each response passed, every test counting alike.

    Args:
        passed_IJ: for each response and test whether it passed.
    """
    return [sum(passed_J) / len(passed_J) for passed_J in passed_IJ]


@dataclass(frozen=True, slots=True)
class DifficultyWeights:
    """VeRPO's weights of the tests of one prompt.

    Args:
        alpha: how much more a test counts that fewer responses pass: one that none passes counts e^alpha times one that
            all pass. 0 = no difference; at most 20.
        sigma: how near pass rates must be for their tests to share a weight.
        delta: added to the number of tests that share.

    Raises:
        ConfigError: out of range.
    """

    alpha: float = 1.0
    sigma: float = 0.1
    delta: float = 1e-6

    def __post_init__(self) -> None:
        if not (0 <= self.alpha <= 20 and 0 < self.sigma < math.inf and 0 <= self.delta < math.inf):
            raise ConfigError(f"{self}: alpha in [0, 20], sigma above 0, delta at least 0.")

    def weights(self, passed_IJ: Sequence[Sequence[bool]]) -> list[float]:
        """w_j of each test, all above 0, with the sum 1.

        Args:
            passed_IJ: for each response of one prompt and each test whether it passed; at least one of each.
        """
        rates = [sum(column) / len(passed_IJ) for column in zip(*passed_IJ, strict=True)]
        distinct = {rate: rates.count(rate) for rate in set(rates)}
        weight = {
            rate: math.exp(-self.alpha * rate)
            / (self.delta + sum(n * math.exp(-((rate - r) ** 2) / (2 * self.sigma**2)) for r, n in distinct.items()))
            for rate in distinct
        }
        total = math.fsum(weight[rate] for rate in rates)
        return [weight[rate] / total for rate in rates]

    def scores(self, passed_IJ: Sequence[Sequence[bool]]) -> list[float]:
        """The score of each response of one prompt: 1 where it passed all tests, 0 where none, between them else."""
        weights_J = self.weights(passed_IJ)
        return [_score(passed_J, weights_J) for passed_J in passed_IJ]


def _score(passed_J: Sequence[bool], weights_J: Sequence[float]) -> float:
    if all(passed_J):
        return 1.0
    score = math.fsum(weight for weight, passed in zip(weights_J, passed_J, strict=True) if passed)
    return min(score, math.nextafter(1.0, 0.0))  # a weight that rounding swallows is still a test that failed
