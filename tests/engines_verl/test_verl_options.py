"""`algorithm.adv_estimator` and `algorithm.riskpo.*`: what is taken, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from riskpo.engines.verl.options import ESTIMATORS, OPTIONS, read_options
from riskpo.errors import ConfigError
from riskpo.risk.config import CHOICES, RiskConfig


def test_every_estimator_has_a_name_of_its_own() -> None:
    assert {name for name in ESTIMATORS.values() if name} == set(CHOICES["estimator"]) - {"riskpo"}
    assert ESTIMATORS["riskpo_grpo"] == "grpo"
    assert ESTIMATORS["dr_grpo"] == "dr_grpo"
    assert "grpo" not in ESTIMATORS  # verl's own


@pytest.mark.parametrize(
    ("estimator", "given", "expected"),
    [
        ("riskpo", None, RiskConfig()),
        ("riskpo", {"preset": None, "risk_low": None}, RiskConfig()),
        ("riskpo", {"risk_low": 0.1, "bundle_size": 3}, RiskConfig(risk_low=0.1, bundle_size=3)),
        ("riskpo", {"preset": "exact"}, RiskConfig(pairing="exact", baseline="loo")),
        ("riskpo", {"estimator": "dr_grpo"}, RiskConfig(estimator="dr_grpo")),
        ("dr_grpo", {}, RiskConfig(estimator="dr_grpo")),
        ("riskpo_grpo", {"std_eps": 1e-6}, RiskConfig(estimator="grpo", std_eps=1e-6)),
        ("two_level", {}, RiskConfig(estimator="two_level", bundle_size=1, baseline="loo")),
        ("two_level", {"preset": "two-level"}, RiskConfig.from_preset("two-level")),
        ("riskpo", {"scale_rewards": "batch"}, RiskConfig(scale="batch")),
        (
            "riskpo",
            {"schedule": '{"tail_weight": {"0": 0, "1": 0.5}}'},
            RiskConfig.from_preset("paper", {"schedule": {"tail_weight": {0: 0.0, 1: 0.5}}}),
        ),
    ],
)
def test_options(estimator: str, given: Any, expected: RiskConfig) -> None:
    assert read_options(estimator, given).risk == expected


def test_seed_and_covariances() -> None:
    assert read_options("riskpo", {}).seed == 42
    assert read_options("riskpo", {}, data_seed=7).seed == 7
    assert read_options("riskpo", {"seed": 3}, data_seed=7).seed == 3
    assert not read_options("riskpo", {}).log_covariances
    assert read_options("riskpo", {"log_covariances": True}).log_covariances


@pytest.mark.parametrize(
    ("estimator", "given", "message"),
    [
        ("riskpo", {"risk_lo": 0.1}, "unknown option of algorithm.riskpo 'risk_lo'. Did you mean 'risk_low'"),
        ("riskpo", {"risk_low": 0.9}, "`risk_low` .* must be below `risk_high`"),
        ("riskpo", {"preset": "papper"}, "Did you mean 'paper'"),
        ("riskop", {}, "Did you mean 'riskpo'"),
        ("grpo", {}, "unknown algorithm.adv_estimator for a riskpo trainer 'grpo'. Did you mean"),
        ("dr_grpo", {"estimator": "rloo"}, "name two estimators"),
        ("dr_grpo", {"bundle_size": 5}, "estimator 'dr_grpo' does not read bundle_size"),
        ("riskpo", {"seed": -1}, "seed must be an integer >= 0"),
        ("riskpo", {"log_covariances": "yes"}, "log_covariances must be true or false"),
        ("riskpo", {"scale_rewards": "group"}, "undoes the risk measure"),
        ("riskpo", {"scale_rewards": "all"}, "`scale`"),
    ],
)
def test_what_is_refused(estimator: str, given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_options(estimator, given)


def test_the_names_are_those_of_trl() -> None:
    config = pytest.importorskip("riskpo.engines.trl_config", reason="TRL is not installed here: make test")
    assert set(OPTIONS) - {"seed", "log_covariances"} <= set(config.RiskPOConfig.__dataclass_fields__)
