"""Two levels of risk: worked numbers, every replaced response by brute force, and the exact gradient by enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch

from riskpo.errors import ConfigError
from riskpo.risk import RiskConfig, RiskState, risk_advantages

NAN = math.nan


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def config_of(**options):
    return RiskConfig.from_preset("prompt-mvar", options)


# --- worked by hand ---
# With q = (.3, .6): A(0) = -1.5 * .3 + .3 - .6 = -.75, A(.25) = -1.5 * .05 + .3 - .6 = -.375, A(.5) = .5 - .6 = -.1 and
# A(.75) = 0. A right response among three others of which c are right weighs 4 (A((c + 1)/4) - A(c/4)): 1.5, 1.1, .4.

TWO = torch.tensor([[1.0, 0, 0, 0], [1.0, 1, 0, 0]])


def test_prompt_mvar_by_hand():
    state = RiskState((0.3, 0.6), steps=3)
    step = risk_advantages(TWO, config_of(), state, generator())
    expected = [[1.5, -1.1 / 3, -1.1 / 3, -1.1 / 3], [1.1 * 2 / 3, 1.1 * 2 / 3, -0.4 * 2 / 3, -0.4 * 2 / 3]]
    assert step.advantages_PG.tolist() == [pytest.approx(row) for row in expected]
    # Pass rates .25 and .5: P(u < .3) = .5, P(u < .6) = 1, and gamma = .02 * 1 prompt * range 1.
    assert step.state.quantiles_L == pytest.approx((0.3 + 0.02 * (0.2 - 0.5), 0.6 + 0.02 * (0.8 - 1.0)))
    assert step.metrics["risk/score_mean"] == pytest.approx(0.375)
    # The mean weight of the eight responses.
    assert step.metrics["risk/mean_slope"] == pytest.approx((1.5 + 3 * 1.1 + 2 * 1.1 + 2 * 0.4) / 8)


def test_baselines_by_hand():
    state = RiskState((0.3, 0.6), steps=3)

    def first(baseline):
        return risk_advantages(TWO, config_of(baseline=baseline), state, generator()).advantages_PG[0].tolist()

    assert first("anchor") == pytest.approx([4 * -0.375] * 4)
    assert first("batch") == pytest.approx([4 * (-0.375 + (0.375 + 0.1) / 2)] * 4)
    # Over all four responses, the own one included: 3/4 of `loo`.
    assert first("prompt") == pytest.approx([0.75 * 1.5, *[-0.75 * 1.1 / 3] * 3])


# --- against the definition, response by response ---


def inner_value(rewards, config):
    """The inner objective of a list of rewards, from its definition."""
    rewards, n = [r for r in rewards if not math.isnan(r)], sum(not math.isnan(r) for r in rewards)
    if config.inner == "mean":
        return sum(rewards) / n
    if config.inner == "entropic":
        return math.log(sum(math.exp(config.entropic_beta * r) for r in rewards) / n) / config.entropic_beta
    if config.inner == "pass_at_k":
        best = [max(chosen) for chosen in itertools.combinations(rewards, config.k)]
        return sum(best) / len(best)
    left, total = config.inner_share * n, 0.0
    for reward in sorted(rewards, reverse=True):
        total += min(left, 1.0) * reward
        left -= min(left, 1.0)
    return total / (config.inner_share * n)


def by_definition(rewards, config, quantiles):
    """Advantages of consecutive groups with baseline `loo`, by replacing one response after the other."""
    q_low, q_high = quantiles

    def act(score):
        return -1.5 * max(q_low - score, 0.0) + min(max(score, q_low), q_high) - q_high

    rows = []
    for i, own in enumerate(rewards):
        start = i - i % config.bundle_size
        partners = [rewards[j] for j in range(start, start + config.bundle_size) if j != i]
        others = sum(inner_value(row, config) for row in partners)
        scorable = [j for j, r in enumerate(own) if not math.isnan(r)]
        row = [0.0] * len(own)
        for j in scorable:
            swapped = [inner_value([own[other] if m == j else own[m] for m in scorable], config) for other in scorable]
            here = act(others + inner_value(own, config))
            without = [act(others + value) for other, value in zip(scorable, swapped, strict=True) if other != j]
            row[j] = len(scorable) * (here - sum(without) / len(without)) if without else 0.0
        rows.append(row)
    return rows


INNERS = [
    {"inner": "mean"},
    {"inner": "entropic", "entropic_beta": 2.0},
    {"inner": "entropic", "entropic_beta": -3.0},
    {"inner": "pass_at_k", "k": 3},
    {"inner": "upper_tail", "inner_share": 0.3},
]


@pytest.mark.parametrize("bundle_size", [1, 2])
@pytest.mark.parametrize("inner", INNERS, ids=lambda inner: "-".join(map(str, inner.values())))
def test_graded_rewards_with_gaps_against_the_definition(inner, bundle_size):
    options = {**inner, "bundle_size": bundle_size, "reward_range": (-1.0, 1.0), "reward_step": 0.5}
    config = config_of(composition="consecutive", **options)
    source = generator(3)
    rewards_PG = torch.randint(0, 5, (6, 6), generator=source).double() / 2 - 1
    rewards_PG[torch.rand(6, 6, generator=source) < 0.2] = NAN
    state = RiskState((-0.2 * bundle_size, 0.5 * bundle_size), steps=1)
    step = risk_advantages(rewards_PG, config, state, generator())
    expected = by_definition(rewards_PG.tolist(), config, state.quantiles_L)
    np.testing.assert_allclose(step.advantages_PG.numpy(), expected, rtol=0, atol=1e-12)


def test_small_beta_keeps_its_digits_and_large_beta_does_not_overflow():
    rewards_PG = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0]])
    mean, tiny, zero, huge = (
        risk_advantages(rewards_PG, config_of(measure="mean", **options), RiskState(), generator()).advantages_PG
        for options in (
            {},
            {"inner": "entropic", "entropic_beta": 1e-8},
            {"inner": "entropic", "entropic_beta": 0.0},
            {"inner": "entropic", "entropic_beta": 5000.0},
        )
    )
    torch.testing.assert_close(tiny, mean, rtol=0, atol=1e-7)
    assert torch.equal(zero, mean)
    assert huge.isfinite().all()
    assert huge[0, 0] == pytest.approx(4.0, abs=1e-2), "the best response alone counts: 4 (1 - 0)"


# --- the exact gradient of the objective at hand, by enumeration of all outcomes ---

THETA = np.array([-2.5, -1.0, 0.0, 0.7, 1.5])
RESPONSES = 4


def unit_values(config):
    """u(c) for c = 0..G right responses."""
    return [inner_value([1.0] * c + [0.0] * (RESPONSES - c), config) for c in range(RESPONSES + 1)]


def objective(theta, config):
    """rho of the law of a random prompt's u, its chances Binomial(G, p)."""
    p = 1 / (1 + np.exp(-theta))
    chances = [math.comb(RESPONSES, c) * np.mean(p**c * (1 - p) ** (RESPONSES - c)) for c in range(RESPONSES + 1)]
    edges, start, total = (0.0, *config.spectrum.levels, 1.0), 0.0, 0.0
    for value, chance in sorted(zip(unit_values(config), chances, strict=True)):
        for low, high, weight in zip(edges, edges[1:], config.spectrum.weights, strict=False):
            total += weight * value * max(min(start + chance, high) - max(start, low), 0.0)
        start += chance
    return total


def true_quantiles(theta, config):
    p = 1 / (1 + np.exp(-theta))
    chances = [math.comb(RESPONSES, c) * np.mean(p**c * (1 - p) ** (RESPONSES - c)) for c in range(RESPONSES + 1)]
    pairs = sorted(zip(unit_values(config), chances, strict=True))
    return tuple(
        next(v for i, (v, _) in enumerate(pairs) if sum(c for _, c in pairs[: i + 1]) >= s - 1e-12)
        for s in config.spectrum.levels
    )


@pytest.mark.parametrize("baseline", ["loo", "anchor", "prompt"])
@pytest.mark.parametrize("measure", ["mean", "mvar", "cvar", "upper_tail"])
@pytest.mark.parametrize("inner", INNERS, ids=lambda inner: "-".join(map(str, inner.values())))
def test_expected_update_is_the_gradient(inner, measure, baseline):
    """Over all 2^G outcomes of a prompt, chance times mean_j A_j (r_j - p) sums to d rho / d theta (`prompt`: 3/4)."""
    config = config_of(measure=measure, baseline=baseline, **inner)
    outcomes = torch.tensor(list(itertools.product((0.0, 1.0), repeat=RESPONSES)), dtype=torch.float64)
    state = RiskState(true_quantiles(THETA, config), steps=1)
    advantages = risk_advantages(outcomes, config, state, generator()).advantages_PG.numpy()
    right = outcomes.numpy()
    p_P11 = (1 / (1 + np.exp(-THETA)))[:, None, None]
    chance_PN = np.prod(np.where(right == 1.0, p_P11, 1 - p_P11), axis=2)
    update_P = (chance_PN * (advantages * (right - p_P11)).mean(2)).sum(1) / len(THETA)
    step = 1e-5
    exact_P = [
        (objective(THETA + h, config) - objective(THETA - h, config)) / (2 * step) for h in step * np.eye(len(THETA))
    ]
    factor = (RESPONSES - 1) / RESPONSES if baseline == "prompt" else 1.0
    np.testing.assert_allclose(update_P, factor * np.array(exact_P), rtol=0, atol=2e-9)


def test_risk_aversion_over_prompts():
    """The weight of a prompt, A(right) - A(wrong), falls with its pass rate under MVaR and rises under its mirror."""
    p_P1 = torch.tensor([0.05, 0.3, 0.6, 0.9]).repeat(500)[:, None]
    rewards_PG = (torch.rand(2000, 8, generator=generator(1)) < p_P1).double()
    seeking = {"measure": "custom", "spectrum_levels": (0.2, 0.8), "spectrum_weights": (0.0, 1.0, 1.5)}
    for options, falls in (({}, True), (seeking, False)):
        advantages_PG = risk_advantages(rewards_PG, config_of(**options), RiskState(), generator()).advantages_PG
        weight = (advantages_PG * (rewards_PG - p_P1)).mean(1).view(500, 4).mean(0) / (p_P1 * (1 - p_P1))[:4, 0]
        assert weight.tolist() == sorted(weight.tolist(), reverse=falls)


# --- bounds ---


def test_prompts_of_too_few_scorable_responses_take_no_part():
    rewards_PG = torch.tensor([[1.0, 0, NAN, NAN], [1, 0, 1, 0], [0, 0, 1, 0]])
    config = config_of(inner="pass_at_k", k=3)
    step = risk_advantages(rewards_PG, config, RiskState(), generator())
    assert step.advantages_PG[0].tolist() == [0.0] * 4
    without = risk_advantages(rewards_PG[1:], config, RiskState(), generator())
    assert torch.equal(step.advantages_PG[1:], without.advantages_PG)
    assert step.state == without.state


def test_k_beyond_the_responses_is_refused():
    with pytest.raises(
        ConfigError,
        match="at least 5 responses per prompt are needed by estimator 'two_level' with k=5",
    ):
        risk_advantages(TWO, config_of(inner="pass_at_k", k=5), RiskState(), generator())


def test_options_it_does_not_read_are_refused():
    with pytest.raises(ConfigError, match="estimator 'two_level' does not read pairing, ties"):
        config_of(pairing="exact", ties="step")
