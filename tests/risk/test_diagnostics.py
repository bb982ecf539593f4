"""Covariances of log-probability with the advantage: numpy's, prompt by prompt."""

import math

import numpy as np
import pytest
import torch

from riskpo.risk.diagnostics import logp_covariances

NAN = math.nan

LOGPS = [[-1.0, -3.0, -2.0], [-4.0, -1.0, -1.0]]
ADVANTAGES = [[2.0, -1.0, -1.0], [0.5, 0.0, -2.0]]
REWARDS = [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]


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
