"""Covariances of log-probability with the advantage: numpy's, prompt by prompt; shares, signs and noise by hand."""

import math

import numpy as np
import pytest
import torch

from riskpo.risk.diagnostics import (
    logit_gradients,
    logp_covariances,
    sign_flips,
    signal_and_noise,
    sums_by_bin,
    uniform_shares,
)

NAN = math.nan

LOGPS = [[-1.0, -3.0, -2.0], [-4.0, -1.0, -1.0]]
ADVANTAGES = [[2.0, -1.0, -1.0], [0.5, 0.0, -2.0]]
REWARDS = [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]


def matrix(rows):
    return torch.tensor(rows, dtype=torch.float64)


def covariances(logps, advantages, rewards):
    return logp_covariances(*(torch.tensor(rows, dtype=torch.float64) for rows in (logps, advantages, rewards)))


def by_numpy(logps, values):
    """The mean over prompts of numpy's (unbiased) covariance, and it over the root of the mean variances."""
    matrices = [np.cov(left, right) for left, right in zip(logps, values, strict=True)]
    (logp_variance, covariance), (_, variance) = np.mean(matrices, axis=0)
    return covariance, covariance / math.sqrt(logp_variance * variance)


def test_by_hand():
    """Prompt 0: log-probabilities 1, -1, 0 about their mean, advantages 2, -1, -1, so (2 + 1) / 2 = 1.5; prompt 1:
    -2, 1, 1 with 1, .5, -1.5 gives (-2 + .5 - 1.5) / 2 = -1.5. Rewards: (2/3 + 1/3) / 2 and (-2/3 + 1/3 - 2/3) / 2.
    """
    metrics = covariances(LOGPS, ADVANTAGES, REWARDS)
    assert metrics["risk/cov_logp_advantage"] == pytest.approx((1.5 - 1.5) / 2)
    assert metrics["risk/cov_logp_mean_advantage"] == pytest.approx((0.5 - 0.5) / 2)


def test_is_numpys():
    generator = np.random.default_rng(0)
    logps, advantages = generator.normal(size=(2, 6, 5))
    rewards = generator.integers(0, 2, size=(6, 5)).astype(float)
    metrics = covariances(logps, advantages, rewards)
    for name, values in (("advantage", advantages), ("mean_advantage", rewards)):
        covariance, correlation = by_numpy(logps, values)
        assert metrics[f"risk/cov_logp_{name}"] == pytest.approx(covariance)
        assert metrics[f"risk/corr_logp_{name}"] == pytest.approx(correlation)


def test_correlation_does_not_feel_scale_or_baseline():
    doubled = [[2 * advantage + 7 for advantage in row] for row in ADVANTAGES[:1]]
    metrics = covariances(LOGPS[:1], doubled, REWARDS[:1])
    assert metrics["risk/cov_logp_advantage"] == pytest.approx(2 * 1.5)
    assert metrics["risk/corr_logp_advantage"] == pytest.approx(np.corrcoef(LOGPS[0], ADVANTAGES[0])[0, 1])


def test_unscorable_responses_and_lone_ones_do_not_count():
    """Left are two responses of prompt 0, all of prompt 1, and of prompt 2 a single one, which has no covariance."""
    logps = [*LOGPS, [-1.0, -9.0, -5.0], [-1.0, -9.0, -5.0]]
    advantages = [[2.0, -1.0, 0.0], ADVANTAGES[1], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    rewards = [[1.0, 0.0, NAN], REWARDS[1], [1.0, NAN, NAN], [NAN, NAN, NAN]]
    metrics = covariances(logps, advantages, rewards)
    covariance, correlation = by_numpy([LOGPS[0][:2], LOGPS[1]], [[2.0, -1.0], ADVANTAGES[1]])
    assert metrics["risk/cov_logp_advantage"] == pytest.approx(covariance)
    assert metrics["risk/corr_logp_advantage"] == pytest.approx(correlation)


def test_nothing_to_report_without_two_scorable_responses():
    assert covariances([[-1.0, -2.0]], [[1.0, 0.0]], [[1.0, NAN]]) == {}
    assert covariances([[-1.0, NAN]], [[1.0, 0.0]], [[1.0, 0.0]]) == {}


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1])  # three times 0.1 is not 0.3, yet it is constant
def test_correlation_with_a_constant_is_left_out(constant):
    metrics = covariances(LOGPS[:1], [[constant] * 3], REWARDS[:1])
    assert metrics["risk/cov_logp_advantage"] == 0.0
    assert "risk/corr_logp_advantage" not in metrics
    assert "risk/corr_logp_mean_advantage" in metrics
    assert set(covariances([[constant] * 3], ADVANTAGES[:1], REWARDS[:1])) == {
        "risk/cov_logp_advantage",
        "risk/cov_logp_mean_advantage",
    }


def test_half_precision_log_probabilities_are_averaged_in_double():
    exact = covariances(LOGPS, ADVANTAGES, REWARDS)
    halves = logp_covariances(*(torch.tensor(rows, dtype=torch.bfloat16) for rows in (LOGPS, ADVANTAGES, REWARDS)))
    assert halves == pytest.approx(exact)


# --- uniform prompts and signs, by hand ---

# A mixed prompt, and one that is all wrong. The first's mean advantage is -.375, so its responses lie 1.375, -1.625,
# .875, -.625 from it; the second's is -1.5: .5, .5, -1.5, .5.
MIXED = [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
SIGNS = [[1.0, -2.0, 0.5, -1.0], [-1.0, -1.0, -3.0, -1.0]]


def test_uniform_shares_by_hand():
    """|A| sums to 4.5 and 6; only the second prompt is uniform."""
    assert uniform_shares(matrix(MIXED), matrix(SIGNS), (0.0, 1.0)) == {
        "prompts": 2,
        "uniform": 1,
        "all_right": 0,
        "all_wrong": 1,
        "size": 10.5,
        "size_on_uniform": 6.0,
    }


def test_uniform_in_between_is_neither_right_nor_wrong():
    """Prompts: all .5, all right, one that has a single scorable response, and one without any."""
    rewards = [[0.5, 0.5], [1.0, 1.0], [0.0, NAN], [NAN, NAN]]
    shares = uniform_shares(matrix(rewards), matrix([[0.0, 0.0]] * 4), (0.0, 1.0))
    assert (shares["prompts"], shares["uniform"], shares["all_right"], shares["all_wrong"]) == (3, 3, 1, 1)


def test_almost_equal_rewards_are_not_uniform():
    """As in the metrics of a step and in dynamic sampling: an advantage there is no mistake."""
    shares = uniform_shares(matrix([[1.0, 1.0 - 1e-9], [1.0, 1.0]]), matrix([[0.5, -0.5], [0.0, 0.0]]), (0.0, 1.0))
    assert (shares["uniform"], shares["all_right"], shares["size_on_uniform"]) == (1, 1, 0.0)


def test_sign_flips_by_hand():
    """Of two right responses the second is pushed down (A = -2); of six wrong ones .5 and the three of -1 are pulled up
    against their prompt, but only .5 is positive itself.
    """
    assert sign_flips(matrix(MIXED), matrix(SIGNS), (0.0, 1.0)) == {
        "right": 2,
        "wrong": 6,
        "right_down": 1,
        "wrong_up": 4,
        "right_negative": 1,
        "wrong_positive": 1,
    }


def test_the_prompts_mean_decides_what_is_pushed_down():
    """-.1 lies .4 above its prompt's mean, .2 lies .3 below its own: the raw signs say the opposite."""
    flips = sign_flips(matrix([[1.0, 0.0], [1.0, 0.0]]), matrix([[-0.1, -0.9], [0.2, 0.8]]), (0.0, 1.0))
    assert (flips["right_down"], flips["right_negative"]) == (1, 1)
    one_by_one = [sign_flips(matrix([[1.0, 0.0]]), matrix([row]), (0.0, 1.0)) for row in ([-0.1, -0.9], [0.2, 0.8])]
    assert [(flips["right_down"], flips["right_negative"]) for flips in one_by_one] == [(0, 1), (1, 0)]
    assert [(flips["wrong_up"], flips["wrong_positive"]) for flips in one_by_one] == [(0, 0), (1, 1)]


def test_signs_of_graded_and_unscorable_responses():
    """Right is 1, wrong is -1; 0 is neither, NaN is not there: the mean over the other three is 0."""
    flips = sign_flips(matrix([[1.0, 0.0, -1.0, NAN]]), matrix([[-1.0, -1.0, 2.0, 0.0]]), (-1.0, 1.0))
    assert flips == dict.fromkeys(("right", "wrong", "right_down", "wrong_up", "right_negative", "wrong_positive"), 1)


def test_rounding_is_no_sign():
    """Three advantages of .1 have a mean that is not .1 in floating point."""
    flips = sign_flips(matrix([[1.0, 1.0, 0.0]]), matrix([[0.1, 0.1, 0.1]]), (0.0, 1.0))
    assert (flips["right_down"], flips["wrong_up"]) == (0, 0)


# --- gradients ---


def test_logit_gradients_by_hand():
    """Mean .25. Draw 0: (2 x .75 + -1 x -.25) / 2; draw 1: the second is unscorable, so -1 x -.25 over one."""
    rewards = torch.tensor([[[1.0, 0.0]], [[0.0, NAN]]]).double()
    advantages = torch.tensor([[[2.0, -1.0]], [[-1.0, 0.0]]]).double()
    assert logit_gradients(rewards, advantages, torch.tensor([0.25]).double()).tolist() == [[0.875], [0.25]]


def test_signal_and_noise_by_hand():
    """Means 2 and 1, variances 2 and 2: tr Cov = 4, |mean|^2 - 4 / 2 draws = 3."""
    assert signal_and_noise(matrix([[1.0, 0.0], [3.0, 2.0]])) == (3.0, 4.0)


def test_signal_is_unbiased():
    """Gradients without any signal: |mean|^2 alone would be tr Cov / D = 5 / 4."""
    source = torch.Generator().manual_seed(0)
    signals = [signal_and_noise(torch.randn(4, 5, generator=source).double())[0] for _ in range(2000)]
    assert abs(np.mean(signals)) < 4 * np.std(signals) / 2000**0.5 < 0.1


def test_sums_by_bin_hold_their_lower_edge_and_the_last_both():
    places = matrix([0.0, 0.05, 0.2, 0.95, 1.0])
    values = matrix([1.0, 2.0, 4.0, 8.0, 16.0])
    assert sums_by_bin(values, places, (0.0, 0.05, 0.2, 0.95, 1.0)).tolist() == [1, 2, 4, 24]
