"""The heart against numbers worked out by hand, and against loops over single responses."""

import json
import math

import pytest
import torch

from riskpo.errors import ConfigError, RewardError
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.bundles import RandomPairings, compose

NAN = math.nan
BEFORE = RiskState((2.5, 4.0), steps=7)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rewards(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def coins(prompts, responses, seed=0, unscorable=0.0):
    """0/1 rewards of prompts of all difficulties; some are NaN."""
    source = generator(seed)
    rewards_PG = (torch.rand(prompts, responses, generator=source) < torch.rand(prompts, 1, generator=source)).double()
    return rewards_PG.masked_fill(torch.rand(prompts, responses, generator=source) < unscorable, NAN)


# --- a step of five prompts, worked out by hand ---
# One group of B = 5. Whatever the permutations are, prompts 1 and 2 bring 1 to either bundle and prompts 3 and 4 bring
# 0, so prompt 0's right response is in a bundle of score 3 and its wrong one in a bundle of score 2. At q = (2.5, 4):
#     A(3) = -1.5 * 0   + 3   - 4 = -1
#     A(2) = -1.5 * 0.5 + 2.5 - 4 = -2.25
# and the quantiles move by gamma = 0.02 * 5 * 1 = 0.1 times (s - P(R < q)), where P(R < 2.5) = .5 and P(R < 4) = 1.

FIVE = rewards([1, 0], [1, 1], [1, 1], [0, 0], [0, 0])


def test_paper_preset_by_hand():
    step = risk_advantages(FIVE, RiskConfig.from_preset("paper"), BEFORE, generator())
    assert step.advantages_PG.dtype == torch.float64
    assert step.advantages_PG[0].tolist() == [-1.0, -2.25]
    for row in step.advantages_PG[1:].tolist():  # one of two equal responses shared a bundle with the right one
        assert sorted(row) == [-2.25, -1.0]
    assert step.state.quantiles_L == pytest.approx((2.5 + 0.1 * (0.2 - 0.5), 4.0 + 0.1 * (0.8 - 1.0)))
    assert step.state.steps == 8


def test_exact_preset_by_hand():
    """Expected over pairings, equal responses fare alike and cancel in the baseline; what is left is A(3) - A(2)."""
    step = risk_advantages(FIVE, RiskConfig.from_preset("exact"), BEFORE, generator())
    expected = rewards([1.25, -1.25], [0, 0], [0, 0], [0, 0], [0, 0]).double()
    torch.testing.assert_close(step.advantages_PG, expected, rtol=0, atol=1e-12)
    assert step.state.quantiles_L == pytest.approx((2.47, 3.98))


def test_rewards_come_back_as_they_were():
    given = FIVE.clone()
    risk_advantages(given, RiskConfig(), BEFORE, generator())
    assert torch.equal(given, FIVE)


# --- the state ---


def test_first_step_starts_the_quantiles_and_makes_no_update():
    """Scores 3 and 2: F^-1(.2) = 2 and F^-1(.8) = 3, used at once: A(3) = 0, A(2) = 2 - 3."""
    step = risk_advantages(FIVE, RiskConfig(), RiskState(), generator())
    assert step.state == RiskState((2.0, 3.0), steps=1, tracked="2 quantiles, riskpo, bundles of 5")
    assert step.advantages_PG[0].tolist() == [0.0, -1.0]


def test_second_step_uses_the_quantiles_from_before_its_update():
    config, source = RiskConfig(pairing="exact", quantile_lr=0.5), generator()
    first = risk_advantages(coins(20, 8, seed=1), config, RiskState(), source)
    second = risk_advantages(FIVE, config, first.state, source)
    scores = torch.tensor([3.0, 2.0], dtype=torch.float64)
    before = config.spectrum.signal(scores, torch.tensor(first.state.quantiles_L, dtype=torch.float64))
    torch.testing.assert_close(second.advantages_PG[0], before)
    assert second.state.quantiles_L != first.state.quantiles_L


def test_state_survives_json_and_replays_the_step():
    state = risk_advantages(coins(20, 8), RiskConfig(), RiskState(), generator()).state
    restored = RiskState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert restored == state
    assert RiskState.from_dict(RiskState().to_dict()) == RiskState()
    one, other = (risk_advantages(coins(20, 8), RiskConfig(), s, generator(3)) for s in (state, restored))
    assert torch.equal(one.advantages_PG, other.advantages_PG)
    assert one.state == other.state


# --- baselines and scale ---


def one_by_one(signals, baseline):
    """The baselines as their definitions say, a response at a time; `signals` has None where unscorable."""
    advantages = []
    everyone = [signal for row in signals for signal in row if signal is not None]
    for row in signals:
        scorable = [signal for signal in row if signal is not None]
        for response, signal in enumerate(row):
            others = [other for place, other in enumerate(row) if place != response and other is not None]
            if signal is None:
                advantages.append(0.0)
            elif baseline == "anchor":
                advantages.append(signal)
            elif baseline == "batch":
                advantages.append(signal - sum(everyone) / len(everyone))
            elif baseline == "prompt":
                advantages.append(signal - sum(scorable) / len(scorable))
            else:
                advantages.append(signal - sum(others) / len(others) if others else 0.0)
    return advantages


@pytest.mark.parametrize("baseline", ["anchor", "batch", "prompt", "loo"])
def test_baselines_are_their_definitions(baseline):
    """Signals rebuilt from parts that test_bundles.py and test_spectrum.py vouch for; same generator, same pairs."""
    rewards_PG = coins(10, 4, seed=2, unscorable=0.3)
    rewards_PG[3] = torch.tensor([NAN, 1.0, NAN, NAN])  # a prompt's only scorable response has no others
    assert (~rewards_PG.isnan()).any(1).all()
    step = risk_advantages(rewards_PG, RiskConfig(baseline=baseline, composition="consecutive"), BEFORE, generator())

    pairing = RandomPairings(rewards_PG, compose(torch.arange(10), 5), generator())
    quantiles_L = torch.tensor(BEFORE.quantiles_L, dtype=torch.float64)
    signals_PG = pairing.signals(lambda scores: RiskConfig().spectrum.signal(scores, quantiles_L))
    signals = [[None if math.isnan(signal) else signal for signal in row] for row in signals_PG.tolist()]
    assert step.advantages_PG.flatten().tolist() == pytest.approx(one_by_one(signals, baseline), abs=1e-12)


def test_equal_responses_cancel_exactly():
    """Exactly, not up to rounding: `risk/frac_zero_advantage` counts zeros."""
    rewards_PG = coins(200, 7)
    uniform_P = rewards_PG.amax(1) == rewards_PG.amin(1)
    state = RiskState((1.123, 2.789), 1)
    step = risk_advantages(rewards_PG, RiskConfig.from_preset("exact"), state, generator())
    assert 10 < uniform_P.sum() < 190
    assert (step.advantages_PG[uniform_P] == 0).all()
    assert step.metrics["risk/frac_zero_advantage"] == pytest.approx(uniform_P.double().mean().item())


def test_scale_divides_by_the_standard_deviation_of_the_step():
    """Advantages of `exact` by hand: two of +-1.25, eight zeros: standard deviation 1.25 / sqrt(5)."""
    config = RiskConfig.from_preset("exact", {"scale": "batch"})
    advantages_PG = risk_advantages(FIVE, config, BEFORE, generator()).advantages_PG
    assert advantages_PG[0].tolist() == pytest.approx([5**0.5, -(5**0.5)])


def test_scale_has_a_floor():
    """In units of the reward range: 2 * 10 here, above the step's standard deviation 12.5 / sqrt(5)."""
    config = RiskConfig.from_preset("exact", {"scale": "batch", "scale_floor": 2.0, "reward_range": (0.0, 10.0)})
    state = RiskState((25.0, 40.0), 7)
    advantages_PG = risk_advantages(10 * FIVE, config, state, generator()).advantages_PG
    assert advantages_PG[0].tolist() == pytest.approx([12.5 / 20, -12.5 / 20])


def test_a_step_without_any_signal_is_zero_not_nan():
    config = RiskConfig.from_preset("exact", {"scale": "batch"})
    assert (risk_advantages(torch.ones(5, 4), config, RiskState(), generator()).advantages_PG == 0).all()


# --- what could not be scored ---


@pytest.mark.parametrize("preset", ["paper", "exact"])
def test_unscorable_responses_get_zero_and_nothing_else_is_nan(preset):
    rewards_PG = coins(23, 6, unscorable=0.3)
    step = risk_advantages(rewards_PG, RiskConfig.from_preset(preset), RiskState(), generator())
    assert (step.advantages_PG[rewards_PG.isnan()] == 0).all()
    assert step.advantages_PG.isfinite().all()
    assert all(map(math.isfinite, (*step.state.quantiles_L, *step.metrics.values())))


@pytest.mark.parametrize("preset", ["paper", "exact"])
def test_a_prompt_without_any_scorable_response_takes_no_part(preset):
    config, without = RiskConfig.from_preset(preset), coins(12, 6)
    unscored = torch.full((1, 6), NAN)
    alone = risk_advantages(without, config, BEFORE, generator())
    beside = risk_advantages(torch.cat([without[:4], unscored, without[4:]]), config, BEFORE, generator())
    assert (beside.advantages_PG[4] == 0).all()
    assert torch.equal(torch.cat([beside.advantages_PG[:4], beside.advantages_PG[5:]]), alone.advantages_PG)
    assert beside.state == alone.state


@pytest.mark.parametrize("state", [RiskState(), BEFORE])
def test_too_few_scorable_prompts_teach_nothing(state):
    rewards_PG = coins(6, 4)
    rewards_PG[:2] = NAN
    step = risk_advantages(rewards_PG, RiskConfig(), state, generator())
    assert (step.advantages_PG == 0).all()
    assert step.state == state
    assert "risk/score_mean" not in step.metrics
    assert step.metrics["risk/frac_unscorable"] == pytest.approx(2 / 6)


# --- scaling, ties, errors ---


@pytest.mark.parametrize("options", [{}, {"pairing": "exact", "baseline": "loo"}, {"ties": "continuous"}])
@pytest.mark.parametrize(("low", "high"), [(0.0, 4.0), (-1.0, 1.0)])
def test_scaling_the_rewards_scales_the_advantages(options, low, high):
    """Over several steps, so that the tracked quantiles scale too; moving all rewards changes nothing."""
    unit, scaled = RiskConfig(**options), RiskConfig(**options, reward_range=(low, high))
    here = there = RiskState()
    for seed in range(5):
        rewards_PG = coins(21, 7, seed)
        one = risk_advantages(rewards_PG, unit, here, generator(seed))
        other = risk_advantages(low + (high - low) * rewards_PG, scaled, there, generator(seed))
        torch.testing.assert_close(other.advantages_PG, (high - low) * one.advantages_PG)
        here, there = one.state, other.state


def test_continuous_ties_start_from_the_spread_law():
    """Scores 3 and 2 with mass 1/2 each on a grid of spacing 1: F^-1(.2) = 2 - .5 + .4, F^-1(.8) = 3 - .5 + .6."""
    config = RiskConfig(ties="continuous")
    step = risk_advantages(FIVE, config, RiskState(), generator())
    assert step.state.quantiles_L == pytest.approx((1.9, 3.1))
    # E_U A(3 + U) = -E(3.1 - 3 - U)^+ = -.6^2 / 2; below, the box of 2 has .4 of its width in the tail.
    assert step.advantages_PG[0].tolist() == pytest.approx([-0.18, -1.5 * 0.08 - (1.1 - 0.08)])


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (torch.ones(5, 4, dtype=torch.int64), {}, RewardError, "floating .* got torch.int64"),
        (torch.ones(20), {}, RewardError, r"got torch.float32 of shape \(20,\)"),
        (torch.ones(5, 4, 1), {}, RewardError, "floating"),
        (torch.full((5, 4), 1.5), {}, RewardError, "reward 1.5 lies outside"),
        (torch.full((5, 4), -1.0), {}, RewardError, "reward -1 lies outside"),
        (torch.full((5, 4), math.inf), {}, RewardError, "reward inf lies outside"),
        (torch.full((5, 4), 0.5), {"pairing": "exact"}, RewardError, "not on the declared grid"),
        (torch.full((5, 4), 0.5), {"ties": "continuous"}, RewardError, "not on the declared grid"),
        (torch.full((5, 4), 0.25), {"pairing": "exact", "reward_step": 0.5}, RewardError, "steps of 0.5"),
        (torch.ones(4, 4), {}, ConfigError, "4 prompts in a step cannot fill a bundle of 5"),
        (torch.ones(5, 1), {}, ConfigError, "at least 2 responses"),
    ],
)
def test_what_cannot_be_used_is_an_error(given, options, error, message):
    with pytest.raises(error, match=message):
        risk_advantages(given, RiskConfig(**options), RiskState(), generator())


def test_graded_rewards_need_no_grid_unless_an_option_does():
    graded_PG = torch.rand(10, 4, generator=generator())
    for options in ({}, {"pairing": "average", "num_pairings": 3}):
        assert (risk_advantages(graded_PG, RiskConfig(**options), RiskState(), generator()).advantages_PG <= 0).all()
    rounded = RiskConfig(pairing="exact", ties="continuous", reward_step=0.1)
    step = risk_advantages((graded_PG * 10).round() / 10, rounded, RiskState(), generator())
    assert step.advantages_PG.isfinite().all()
