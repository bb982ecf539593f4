"""Every metric of two small steps, by hand."""

import math

import pytest
import torch

from riskpo.risk import RiskConfig, RiskState, risk_advantages

NAN = math.nan


def step_metrics(rewards_PG, options=None, state=None):
    generator = torch.Generator().manual_seed(0)
    state = state or RiskState((2.5, 4.0), steps=7)
    return risk_advantages(torch.tensor(rewards_PG), RiskConfig(**(options or {})), state, generator).metrics


# The step of test_advantages.py: scores 3 and 2 whatever the pairing, advantages -1 and -2.25 at q = (2.5, 4).
FIVE = [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_every_metric_by_hand():
    """F^-1 = 2 up to level .5, then 3: the integral to .2 is .4, from .2 to .8 it is .3 * 2 + .3 * 3 = 1.5."""
    assert step_metrics(FIVE) == pytest.approx(
        {
            "risk/objective": 1.5 * 0.4 + 1.5,
            "risk/mvar": 1.5 * 0.4 + 1.5,
            "risk/cvar_low": 0.4 / 0.2,
            "risk/rvar_mid": 1.5 / 0.6,
            "risk/score_mean": 2.5,
            "risk/score_std": 0.5,
            "risk/q_low": 2.5,
            "risk/q_high": 4.0,
            # Partners of prompt 0 score 2 twice, of prompts 1 and 2 they score 2 and 1, of 3 and 4 they score 3 and 2;
            # A(2) - A(1) = 1.5, A(3) - A(2) = 1.25, A(4) - A(3) = 1.
            "risk/mean_slope": (2 * 1.25 + 2 * (1.25 + 1.5) + 2 * (1.0 + 1.25)) / 10,
            "risk/frac_zero_advantage": 0.0,
            "risk/frac_uniform_prompts_all_wrong": 2 / 5,
            "risk/frac_uniform_prompts_all_right": 2 / 5,
            "risk/advantage_on_uniform_prompts": 4 / 5,  # each of the five prompts holds |-1| + |-2.25|
            "risk/frac_unscorable": 0.0,
        }
    )


def test_shares_with_unscorable_responses():
    """Prompt 5 takes no part, and the other nine scorable responses meet in bundles of scores 3 and 2 as before.

    At q = (2, 3), A(3) = 0 and A(2) = -1: of each pair of responses one has advantage 0, and prompt 2's single response
    has either.
    """
    rewards_PG = [[1.0, 0.0], [1.0, 1.0], [1.0, NAN], [0.0, 0.0], [0.0, 0.0], [NAN, NAN]]
    metrics = step_metrics(rewards_PG, state=RiskState((2.0, 3.0), 7))
    assert metrics["risk/frac_unscorable"] == pytest.approx(3 / 12)
    assert metrics["risk/frac_uniform_prompts_all_wrong"] == pytest.approx(2 / 6)
    assert metrics["risk/frac_uniform_prompts_all_right"] == pytest.approx(2 / 6)
    assert metrics["risk/frac_zero_advantage"] in (pytest.approx(4 / 9), pytest.approx(5 / 9))
    assert metrics["risk/score_mean"] == 2.5


def test_a_uniform_prompt_between_the_ends_is_neither_right_nor_wrong():
    metrics = step_metrics([[0.5, 0.5]] * 5)
    assert metrics["risk/frac_uniform_prompts_all_wrong"] == 0.0
    assert metrics["risk/frac_uniform_prompts_all_right"] == 0.0
    assert metrics["risk/advantage_on_uniform_prompts"] == 1.0


def test_a_step_without_signal_has_no_share_on_uniform_prompts():
    """Scores of 5 lie above q_high: all advantages are 0, and 0 / 0 is reported as 0."""
    metrics = step_metrics([[1.0, 1.0]] * 5)
    assert metrics["risk/frac_zero_advantage"] == 1.0
    assert metrics["risk/advantage_on_uniform_prompts"] == 0.0


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (1.0, 2.0), (-2.0, -1.0)])
def test_right_and_wrong_are_the_ends_of_the_declared_range(low, high):
    graded = [[low + (high - low) * reward for reward in row] for row in FIVE]
    metrics = step_metrics(graded, {"reward_range": (low, high)})
    assert metrics["risk/frac_uniform_prompts_all_wrong"] == pytest.approx(2 / 5)
    assert metrics["risk/frac_uniform_prompts_all_right"] == pytest.approx(2 / 5)
    assert metrics["risk/score_mean"] == pytest.approx(5 * low + 2.5 * (high - low))


def test_shares_do_not_depend_on_the_scale_of_the_rewards():
    cents = [[0.01 * reward for reward in row] for row in FIVE]
    metrics, unit = step_metrics(cents, {"reward_range": (0.0, 0.01)}, RiskState((0.025, 0.04), 7)), step_metrics(FIVE)
    shares = [name for name in unit if "frac" in name or "uniform" in name]
    assert len(shares) == 5
    assert [metrics[name] for name in shares] == pytest.approx([unit[name] for name in shares])


@pytest.mark.parametrize(
    ("options", "quantiles", "objective", "names"),
    [
        ({"measure": "mean"}, (), 2.5, []),
        ({"measure": "cvar"}, (2.0,), 2.0, ["risk/q_low"]),
        ({"measure": "rvar"}, (2.0, 3.0), 2.5, ["risk/q_high", "risk/q_low"]),
        ({"measure": "upper_tail"}, (2.0, 3.0), 1.5 + 1.5 * 0.2 * 3, ["risk/q_high", "risk/q_low"]),
        (
            {"measure": "custom", "spectrum_levels": (0.2, 0.5, 0.8), "spectrum_weights": (1, 0, 0, 1)},
            (2.0, 2.0, 3.0),
            0.2 * 2 + 0.2 * 3,
            ["risk/q_1", "risk/q_2", "risk/q_3"],
        ),
    ],
)
def test_objective_and_quantiles_are_the_measures_own(options, quantiles, objective, names):
    """`risk/mvar` stays the paper's, so that runs with different measures compare."""
    metrics = step_metrics(FIVE, options, RiskState(quantiles, 7))
    assert metrics["risk/objective"] == pytest.approx(objective)
    assert sorted(name for name in metrics if name.startswith("risk/q_")) == names
    assert metrics["risk/mvar"] == pytest.approx(2.1)


@pytest.mark.parametrize("pairing", ["random", "exact"])
def test_score_metrics_do_not_depend_on_the_pairing_here(pairing):
    """One mixed prompt in the group leaves nothing to chance: the sampled law is the exact law."""
    metrics = step_metrics(FIVE, {"pairing": pairing})
    assert metrics["risk/score_std"] == pytest.approx(0.5)
    assert metrics["risk/mvar"] == pytest.approx(2.1)


@pytest.mark.parametrize("chance", [0.15, 0.6, 0.9])
@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("paper", {}),
        ("exact", {}),
        ("prompt-mvar", {}),
        ("prompt-mvar", {"inner": "pass_at_k", "k": 3, "measure": "mean"}),
        ("prompt-mvar", {"inner": "entropic"}),
    ],
)
def test_mean_slope_is_what_multiplies_the_gradient_of_the_accuracy(preset, options, chance):
    """Prompts of one difficulty p, quantiles of another step: sum A (r - p) over sum p (1 - p), against the metric."""
    generator = torch.Generator().manual_seed(0)
    config = RiskConfig.from_preset(preset, {"baseline": "loo", **options})
    past_PG = (torch.rand(200, 8, generator=generator) < 0.5).double()
    state = risk_advantages(past_PG, config, RiskState(), generator).state
    rewards_PG = (torch.rand(20_000, 8, generator=generator) < chance).double()
    step = risk_advantages(rewards_PG, config, state, generator)
    multiplier = float((step.advantages_PG * (rewards_PG - chance)).mean()) / (chance * (1 - chance))
    assert step.metrics["risk/mean_slope"] == pytest.approx(multiplier, abs=0.03)
