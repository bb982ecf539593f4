"""A spectrum's value is its own integral, and its signal is the derivative of that value."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError
from riskpo.risk.quantiles import ScoreLaw
from riskpo.risk.spectrum import Spectrum

PAPER = Spectrum.mvar(0.2, 0.8, 0.5)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


# --- the value of a law ---

# F^-1(u) = 0 up to .1, 1 up to .4, 2 up to .8, 3 up to 1.
LAW = ScoreLaw(tensor(0.0, 1.0, 2.0, 3.0), tensor(0.1, 0.3, 0.4, 0.2))


@pytest.mark.parametrize(
    ("spectrum", "by_hand"),
    [
        (Spectrum.mean(), 0.3 * 1 + 0.4 * 2 + 0.2 * 3),
        (Spectrum.cvar(0.2), (0.1 * 0 + 0.1 * 1) / 0.2),
        (Spectrum.rvar(0.2, 0.8), (0.2 * 1 + 0.4 * 2) / 0.6),
        (PAPER, 1.5 * 0.1 + 1.0),
        (Spectrum.upper_tail(0.2, 0.8, 0.5), 1.0 + 1.5 * 0.2 * 3),
        (Spectrum((0.1, 0.5), (3.0, 0.0, 1.0)), 0.3 * 2 + 0.2 * 3),  # a level exactly at the probability of an atom
    ],
)
def test_value_by_hand(spectrum, by_hand):
    assert spectrum.value(LAW) == pytest.approx(by_hand, abs=1e-12)


CELLS = (np.arange(20_000) + 0.5) / 20_000  # midpoints of a fine partition of (0, 1)

# Each measure as the weight function of its definition, maths.md (1)-(4), written without Spectrum.
DEFINITIONS = {
    "mean": (lambda a, b, w: Spectrum.mean(), lambda u, a, b, w: np.ones_like(u)),
    "cvar": (lambda a, b, w: Spectrum.cvar(a), lambda u, a, b, w: (u < a) / a),
    "rvar": (lambda a, b, w: Spectrum.rvar(a, b), lambda u, a, b, w: ((u > a) & (u < b)) / (b - a)),
    "mvar": (lambda a, b, w: Spectrum.mvar(a, b, w), lambda u, a, b, w: (1 + w) * (u < a) + ((u > a) & (u < b))),
    "upper_tail": (
        lambda a, b, w: Spectrum.upper_tail(a, b, w),
        lambda u, a, b, w: ((u > a) & (u < b)) + (1 + w) * (u > b),
    ),
}


@pytest.mark.parametrize("measure", DEFINITIONS)
@given(
    atoms=st.dictionaries(st.floats(-3, 3), st.integers(1, 9), min_size=1, max_size=6),
    low=st.floats(0.05, 0.45),
    high=st.floats(0.55, 0.95),
    tail_weight=st.floats(0, 2),
)
def test_value_is_the_integral_of_the_weighted_quantile_function(measure, atoms, low, high, tail_weight):
    values, counts = np.array(sorted(atoms.items())).T
    constructor, weight = DEFINITIONS[measure]
    quantiles = values[np.searchsorted(np.cumsum(counts) / counts.sum(), CELLS).clip(max=len(values) - 1)]
    riemann = (weight(CELLS, low, high, tail_weight) * quantiles).mean()

    law = ScoreLaw(torch.from_numpy(values), torch.from_numpy(counts / counts.sum()))
    assert constructor(low, high, tail_weight).value(law) == pytest.approx(riemann, abs=0.01)


# --- the signal of a score ---


def test_signal_by_hand():
    """Quantiles 1 and 3, w = .5: 1.5 a unit below 1, 1 a unit from 1 to 3, and 0 from 3 on."""
    scores = tensor(0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
    assert PAPER.signal(scores, tensor(1.0, 3.0)).tolist() == [-3.5, -2.75, -2.0, -1.0, 0.0, 0.0]
    upper_tail = Spectrum.upper_tail(0.2, 0.8, 0.5)
    assert upper_tail.signal(scores, tensor(1.0, 3.0)).tolist() == [-2.0, -2.0, -2.0, -1.0, 0.0, 1.5]
    assert Spectrum.cvar(0.2).signal(scores, tensor(1.0)).tolist() == [-5.0, -2.5, 0.0, 0.0, 0.0, 0.0]


def test_signal_of_the_mean_is_the_score():
    scores = tensor(-1.0, 0.0, 2.5)
    assert torch.equal(Spectrum.mean().signal(scores, tensor()), scores)


@given(
    scores=st.lists(st.floats(-10, 10), min_size=1, max_size=20),
    q_low=st.floats(-5, 5),
    gap=st.floats(0, 5),
    tail_weight=st.floats(0, 2),
)
def test_signal_of_mvar_is_the_papers(scores, q_low, gap, tail_weight):
    """maths.md (6): A(R) = -(1+w) (q_a - R)^+ + clip(R, q_a, q_b) - q_b."""
    q_high = q_low + gap
    scores = tensor(*scores)
    signal = Spectrum.mvar(0.2, 0.8, tail_weight).signal(scores, tensor(q_low, q_high))
    by_formula = -(1 + tail_weight) * (q_low - scores).clamp(min=0) + scores.clamp(q_low, q_high) - q_high
    torch.testing.assert_close(signal, by_formula, rtol=0, atol=1e-12)
    assert (signal <= 0).all()
    assert (signal[scores >= q_high] == 0).all()  # exactly, not up to rounding: such a response teaches nothing


@pytest.mark.parametrize(
    "spectrum", [PAPER, Spectrum.upper_tail(0.3, 0.6, 1.0), Spectrum((0.1, 0.5), (2.0, 0.5, 0.25))]
)
def test_slopes_of_the_signal_are_the_weights(spectrum):
    below_between_above, step = tensor(-1.0, 0.4, 2.0), 1e-3
    rise = spectrum.signal(below_between_above + step, tensor(0.0, 1.0)) - spectrum.signal(
        below_between_above - step, tensor(0.0, 1.0)
    )
    assert (rise / (2 * step)).tolist() == pytest.approx(spectrum.weights, abs=1e-9)


def test_signal_keeps_shape_and_dtype_and_leaves_the_scores_alone():
    scores = torch.zeros(2, 3, 4, dtype=torch.float32)
    signal = PAPER.signal(scores, tensor(1.0, 3.0))
    assert signal.shape == scores.shape
    assert signal.dtype == torch.float32
    assert (scores == 0).all()


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("spectrum", [PAPER, Spectrum.cvar(0.2), Spectrum.upper_tail(0.2, 0.8, 0.5), Spectrum.mean()])
def test_signal_with_a_width_averages_over_the_box(spectrum, width):
    """A_c(R) = E_U A(R + U), U ~ Uniform(-d/2, d/2): the closed form against the plain average over 4000 cells."""
    scores = torch.linspace(-2, 6, 41, dtype=torch.float64)
    quantiles_L = tensor(0.7, 2.9)[: len(spectrum.levels)]
    box = ((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000 - 0.5) * width
    averaged = spectrum.signal(scores[:, None] + box, quantiles_L).mean(1)
    torch.testing.assert_close(spectrum.signal(scores, quantiles_L, width), averaged, rtol=0, atol=1e-6)


def test_signal_with_a_width_where_nine_of_ten_bundles_fail():
    """maths.md, section 4: P(R=0) = .9 leaves `step` without a signal, `continuous` with A_c(1) - A_c(0) = .407."""
    zero_and_one = tensor(0.0, 1.0)
    assert PAPER.signal(zero_and_one, tensor(0.0, 0.0)).diff().item() == 0.0
    spread = tensor(0.2 / 0.9 - 0.5, 0.8 / 0.9 - 0.5)  # both levels lie in the box of 0
    assert PAPER.signal(zero_and_one, spread, 1.0).diff().item() == pytest.approx(0.407, abs=5e-4)


# --- the theorem that ties them: grad rho = E[A(R) grad log pi], maths.md (5) ---

GRID = torch.linspace(-9, 9, 36_001, dtype=torch.float64)  # steps of 0.0005


def normal(mean, std):
    """Normal(mean, std) as a law on the fixed GRID."""
    density = torch.exp(-0.5 * ((GRID - mean) / std) ** 2)
    return ScoreLaw(GRID, density / density.sum())


@pytest.mark.parametrize("theta", [-0.7, 0.0, 1.3])
def test_gradient_of_mvar_in_the_mean_of_a_normal(theta):
    """Moving the mean moves every quantile alike: d rho = (1+w) a + (b - a) = 0.9 at the paper's numbers."""
    law = normal(theta, 1.0)
    quantiles_L = theta + torch.special.ndtri(tensor(0.2, 0.8))
    expectation = (law.probs_N * PAPER.signal(GRID, quantiles_L) * (GRID - theta)).sum().item()
    assert expectation == pytest.approx(0.9, abs=1e-5)
    difference = (PAPER.value(normal(theta + 0.01, 1.0)) - PAPER.value(normal(theta - 0.01, 1.0))) / 0.02
    assert difference == pytest.approx(0.9, abs=1e-3)


def test_gradient_of_mvar_in_the_spread_of_a_normal():
    """Widening a symmetric law lowers MVaR by its tail alone: d rho/d std = -(1+w) density(q_a), the window cancels."""
    law = normal(0.0, 1.0)
    quantiles_L = torch.special.ndtri(tensor(0.2, 0.8))
    by_hand = -1.5 * math.exp(-0.5 * quantiles_L[0].item() ** 2) / math.sqrt(2 * math.pi)
    expectation = (law.probs_N * PAPER.signal(GRID, quantiles_L) * (GRID**2 - 1)).sum().item()
    assert expectation == pytest.approx(by_hand, abs=1e-5)
    difference = (PAPER.value(normal(0.0, 1.01)) - PAPER.value(normal(0.0, 0.99))) / 0.02
    assert difference == pytest.approx(by_hand, abs=1e-3)


# --- what is not a spectrum ---


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Spectrum((0.2, 0.8), (1.0, 1.0)), "2 levels needs 3 weights"),
        (lambda: Spectrum((0.0, 0.8), (1.0, 1.0, 0.0)), "strictly between 0 and 1"),
        (lambda: Spectrum((0.2, 1.0), (1.0, 1.0, 0.0)), "strictly between 0 and 1"),
        (lambda: Spectrum((math.nan,), (1.0, 0.0)), "strictly between 0 and 1"),
        (lambda: Spectrum((0.8, 0.2), (1.0, 1.0, 0.0)), "increase strictly"),
        (lambda: Spectrum((0.5, 0.5), (1.0, 1.0, 0.0)), "increase strictly"),
        (lambda: Spectrum((0.5,), (1.0, -0.1)), "not all 0"),
        (lambda: Spectrum((0.5,), (math.inf, 0.0)), "finite"),
        (lambda: Spectrum((0.5,), (0.0, 0.0)), "not all 0"),
        (lambda: Spectrum.cvar(0.0), "level must be positive"),
        (lambda: Spectrum.cvar(1.5), "strictly between 0 and 1"),
        (lambda: Spectrum.rvar(0.8, 0.2), "must be positive"),
        (lambda: Spectrum.mvar(0.8, 0.2, 0.5), "increase strictly"),
        (lambda: Spectrum.mvar(0.2, 0.8, -1.5), ">= 0"),
    ],
)
def test_what_is_not_a_spectrum_is_an_error(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
