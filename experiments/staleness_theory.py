"""What staleness.py measures against: drifting pass rates, the laws of bundle scores, bounds of the tracker's error.

Every prompt has its own pass rate p ~ Beta(mean, concentration) and bundles are drawn at random, so that a bundle's
score is Binomial(B, mean p) exactly; prompts of several policy versions in one step have the mean over the versions.
Axes: T steps (one update of policy and tracker each), L levels.

The bounds (derived here; docs/engines.md has them in words). h = quantile_lr * B * reward range is the tracker's step,
F_t the law of the scores that step t sees, Q_t its quantile, q_t the tracked one.

`continuous`. F_t is continuous and piecewise linear. Without sampling noise a_t = q_t - Q_t obeys
a_(t+1) = (1 - h phi_t) a_t - (Q_(t+1) - Q_t), phi_t the slope of F_t's secant between Q_t and q_t. With h phi_t <= 1
and f_t the least slope of a secant from Q_t to a point within b_t of it, induction gives |a_t| <= b_t for

    b_(t+1) = (1 - h f_t) b_t + |Q_(t+1) - Q_t|,           whose fixed point is v / (h f) at a drift of v a step.

A start that is off by e leaves at most e times the product of (1 - h f_t). Sampling noise adds
n_(t+1) = (1 - h phi_t) n_t - h xi_t with xi_t of mean 0 given the past, and variance at most s_t^2: its mean square is
at most the solution of N_(t+1) = (1 - h f_t)^2 N_t + h^2 s_t^2, whose fixed point is h s^2 / (f (2 - h f)). For these
two phi_t is the slope between two trackers, and that it is at least f_t, the least slope of a secant within b_t of Q_t,
is an assumption.

`step`. F_t is flat between the grid's points, and Q_t jumps by the spacing when F_t at the point below falls under the
level s. The tracker then climbs by h (s - F_t) a step, from 0 on: after a jump at time T it has arrived when
h sum_(u >= T) (s - F_u) reaches the spacing and the h (1 - s) by which it may have started too low: after
sqrt(2 spacing / (h c)) steps where F_t falls by c a step. At rest it goes up and down by at most h.

Staleness. With rollouts d versions old, Q_t is the true quantile of d steps ago: |Q_t - true| <= d v, and over a run
mean_t |Q_t - true| <= d * (the way that the quantile has gone in all) / T, for both rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from riskpo.risk import RiskConfig, ScoreLaw, inverse_cdf
from riskpo.risk.quantiles import probability_below

Floats = NDArray[np.float64]
CONCENTRATION = 2.0  # a + b of the Beta law of pass rates: uniform at mean 1/2, most prompts near 0 or 1 elsewhere


# --- how the mean pass rate moves ---


def drift(steps: int, start: float = 0.17, end: float = 0.9, steepest: float = 3.0) -> Floats:
    """means_T on a logistic curve whose fastest step is `steepest` (> 1) times the mean one."""
    half = steepest  # of the curve's width: half = steepest * tanh(half)
    for _ in range(200):
        half = steepest * math.tanh(half)
    rise_T = np.tanh(half * np.linspace(-1.0, 1.0, steps)) / math.tanh(half)
    return start + (end - start) * (rise_T + 1.0) / 2.0


def shock(steps: int, at: int = 20, length: int = 4, start: float = 0.3, end: float = 0.6) -> Floats:
    """means_T that jump within `length` steps."""
    return start + (end - start) * np.clip((np.arange(steps) - at) / length, 0.0, 1.0)


def still(steps: int, mean: float = 0.4) -> Floats:
    """means_T that do not move."""
    return np.full(steps, mean)


# --- which versions the rollouts of a step come from ---


@dataclass(frozen=True)
class Staleness:
    """Each prompt is lowest..highest updates old, all equally likely; plus, with cycle > 1, the updates since the sync.

    Args:
        lowest, highest: of the age in updates, 0 <= lowest <= highest.
        cycle: updates between two syncs of the rollouts' weights; the age grows by 1 with each since the last one.
    """

    lowest: int
    highest: int
    cycle: int = 1

    def versions(self, t: int) -> NDArray[np.int64]:
        """The equally likely versions of step t's prompts; before the first update there is version 0 only."""
        ages = np.arange(self.lowest, self.highest + 1) + t % self.cycle
        return np.maximum(t - ages, 0)

    def rollout_means(self, means_T: Floats) -> Floats:
        """The mean pass rate of the rollouts of each step."""
        return np.array([means_T[self.versions(t)].mean() for t in range(len(means_T))])

    def rollout_squares(self, means_T: Floats) -> Floats:
        """E p^2 of the rollouts of each step."""
        return np.array([second_moment(means_T[self.versions(t)]).mean() for t in range(len(means_T))])


def second_moment(means: Floats) -> Floats:
    """E p^2 for p ~ Beta of these means and `CONCENTRATION`."""
    squares: Floats = means * (means * CONCENTRATION + 1.0) / (CONCENTRATION + 1.0)
    return squares


def pass_rates(means_P: Floats, rng: np.random.Generator) -> Floats:
    """rates_P, one draw a prompt."""
    return rng.beta(means_P * CONCENTRATION, (1.0 - means_P) * CONCENTRATION)


# --- laws ---


def score_law(mean: float, config: RiskConfig) -> ScoreLaw:
    """Of the score of a random bundle of B prompts, rewards 0 and 1."""
    size = config.bundle_size
    probs = [math.comb(size, k) * mean**k * (1.0 - mean) ** (size - k) for k in range(size + 1)]
    return ScoreLaw(torch.arange(size + 1, dtype=torch.float64), torch.tensor(probs, dtype=torch.float64))


def true_quantiles(means_T: Floats, config: RiskConfig) -> Floats:
    """quantiles_TL of the scores at each mean pass rate."""
    levels_L = torch.tensor(config.spectrum.levels, dtype=torch.float64)
    found = [inverse_cdf(score_law(mean, config), levels_L, config.tie_width) for mean in means_T.tolist()]
    return torch.stack(found).numpy()


def noise_free(means_T: Floats, config: RiskConfig, start_L: Floats | None = None) -> Floats:
    """quantiles_TL that each step would use if it saw the law of its rollouts itself: tracked as risk_advantages does.

    The first step starts them, from the law or as given, and makes no update.
    """
    law = score_law(float(means_T[0]), config)
    quantiles_L = config.tracker.start(law) if start_L is None else torch.from_numpy(start_L)
    used = [quantiles_L]
    for mean in means_T[:-1].tolist():
        if len(used) > 1:
            quantiles_L = config.tracker.update(quantiles_L, score_law(mean, config))
        used.append(quantiles_L)
    return torch.stack(used)[: len(means_T)].numpy()


def below(mean: float, point: float, config: RiskConfig) -> float:
    """F(point), as the tracker's update counts it."""
    at = torch.tensor([point], dtype=torch.float64)
    return float(probability_below(score_law(mean, config), at, config.tie_width))


# --- bounds ---


def least_slope(mean: float, quantile: float, reach: float, config: RiskConfig) -> float:
    """The least slope of F's secants from the quantile to a point within reach (its own slope at reach 0).

    On a linear piece of F a secant's slope is monotone: the ends of the pieces are enough.
    """
    reach = max(reach, 1e-6)
    edges = [k + 0.5 for k in range(-1, config.bundle_size + 1)]
    points = [quantile - reach, quantile + reach, *(edge for edge in edges if 1e-6 < abs(edge - quantile) < reach)]
    at = below(mean, quantile, config)
    return min((below(mean, point, config) - at) / (point - quantile) for point in points)


def lag_bounds(means_T: Floats, config: RiskConfig) -> Floats:
    """bounds_TL of |noise_free - quantile of the rollouts' law| with ties `continuous`: b_t above."""
    quantiles_TL, step = true_quantiles(means_T, config), config.tracker.step_size
    bounds_TL = np.zeros_like(quantiles_TL)
    for t, now in enumerate(means_T[:-1].tolist()):
        moved_L = np.abs(quantiles_TL[t + 1] - quantiles_TL[t])
        for level, (quantile, bound) in enumerate(zip(quantiles_TL[t], bounds_TL[t], strict=True)):
            pull = step * least_slope(now, quantile, bound, config) if t else 0.0  # the first step makes no update
            bounds_TL[t + 1, level] = (1.0 - pull) * bound + moved_L[level]
    return bounds_TL


def noise_bounds(
    means_T: Floats, squares_T: Floats, setting: tuple[RiskConfig, int, int], lag_TL: Floats
) -> tuple[Floats, Floats]:
    """Bounds of two root mean squares with ties `continuous`: what the sampled start leaves, and what later steps add.

    The start's own error is the sample quantile's to first order, the share's standard deviation by the slope.

    Args:
        means_T, squares_T: E p and E p^2 of the rollouts.
        setting: the options, prompts and responses of a step.
        lag_TL: what `lag_bounds` says: how far from its quantile F is looked at.
    """
    config = setting[0]
    quantiles_TL, step = true_quantiles(means_T, config), config.tracker.step_size
    start_TL, noise_TL = np.zeros_like(quantiles_TL), np.zeros_like(quantiles_TL)
    points_N = np.linspace(0.0, config.bundle_size, 4 * config.bundle_size + 1)
    for t, (mean, square) in enumerate(zip(means_T[:-1].tolist(), squares_T[:-1].tolist(), strict=True)):
        slope_L = np.array([least_slope(mean, q, b, config) for q, b in zip(quantiles_TL[t], lag_TL[t], strict=True)])
        if t == 0:
            start_TL[1] = np.sqrt(share_variances(mean, square, quantiles_TL[0], *setting)) / slope_L
            continue
        kept_L = 1.0 - step * slope_L
        start_TL[t + 1] = kept_L * start_TL[t]
        noise_TL[t + 1] = kept_L**2 * noise_TL[t] + step**2 * share_variances(mean, square, points_N, *setting).max()
    return start_TL, np.sqrt(noise_TL)


def share_variances(
    mean: float, square: float, points_N: Floats, config: RiskConfig, prompts: int, responses: int
) -> Floats:
    """variances_N of a step's share of bundles below each point, over prompts and responses; pairing at random.

    Two bundles of one group have the same prompts: the joint law of their scores is that of B independent pairs of
    rewards with P(both right) = E p^2. Groups are independent but for the last one, which borrows up to B - 1 prompts.
    """
    pair = np.array([[1.0 - 2.0 * mean + square, mean - square], [mean - square, square]])
    joint = np.ones((1, 1))
    for _ in range(config.bundle_size):
        wider = np.zeros((len(joint) + 1, len(joint) + 1))
        for one, other in np.ndindex(2, 2):
            wider[one : one + len(joint), other : other + len(joint)] += pair[one, other] * joint
        joint = wider
    above_NS = points_N[:, None] - np.arange(config.bundle_size + 1)
    width = config.tie_width
    shares_NS = (above_NS > 0.0).astype(float) if width == 0.0 else np.clip(above_NS / width + 0.5, 0.0, 1.0)
    alone = joint.sum(1)
    squared_N = (shares_NS @ alone) ** 2
    variance_N = shares_NS**2 @ alone - squared_N
    together_N = np.einsum("ns,st,nt->n", shares_NS, joint, shares_NS) - squared_N
    groups, rest = -(-prompts // config.bundle_size), prompts % config.bundle_size
    effective = groups if rest == 0 else groups**2 / (groups + 2)
    variances_N: Floats = (variance_N / responses + (1.0 - 1.0 / responses) * together_N) / effective
    return variances_N


def climb_bounds(means_T: Floats, config: RiskConfig) -> list[list[tuple[int, int, bool]]]:
    """Of each level, the jumps of the rollouts' quantile with ties `step` at rising means: (jump, arrival, arrived).

    Arrival is the step by which the tracker has climbed there, at the latest; the run's end where it has not by then.
    """
    quantiles_TL, step = true_quantiles(means_T, config), config.tracker.step_size
    if (np.diff(means_T) < 0.0).any():
        raise ValueError("the bound for ties `step` is of mean pass rates that do not fall")
    found: list[list[tuple[int, int, bool]]] = []
    for level, share in enumerate(config.spectrum.levels):
        jumps: list[tuple[int, int, bool]] = []
        arrival = 1  # the first step makes no update
        for t in range(1, len(means_T)):
            for start in np.arange(quantiles_TL[t - 1, level], quantiles_TL[t, level]):
                arrival, climbed = max(t, arrival), -step * (1.0 - share)
                while climbed < 1.0 and arrival < len(means_T):
                    climbed += step * (share - below(float(means_T[arrival]), start + 1e-9, config))
                    arrival += 1
                jumps.append((t, arrival, climbed >= 1.0))
        found.append(jumps)
    return found


def mean_lag_bound(means_T: Floats, config: RiskConfig) -> list[float]:
    """Of each level, a bound of mean_t |noise_free - quantile of the rollouts' law|, for both tie rules."""
    if config.ties == "continuous":
        return [float(bound) for bound in lag_bounds(means_T, config)[1:].mean(0)]
    late = [sum(arrival - jump for jump, arrival, _ in jumps) for jumps in climb_bounds(means_T, config)]
    return [steps / (len(means_T) - 1) + config.tracker.step_size for steps in late]
