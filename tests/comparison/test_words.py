"""Entries in words say whatever tells them apart."""

import dataclasses

import pytest

from riskpo.reports.describe import describe_estimator, options_said
from riskpo.risk import PRESETS, RiskConfig
from riskpo.risk.config import USES
from tests.comparison.driver import design


def words(tmp_path, estimators, **asked):
    return design(tmp_path, estimators, **asked).methods()


@pytest.mark.parametrize(
    ("option", "first", "second"),
    [
        ("beta", "0.04", "0"),  # of the engine
        ("loss_type", "bnpo", "grpo"),
        ("num_iterations", "2", "1"),
        ("tail_weight", "1", "0.5"),  # of the estimator, and not in its description
        ("quantile_lr", "0.3", "0.02"),
        ("lora_r", "8", "16"),  # of the model
        ("threads", "2", "1"),  # of the run
    ],
)
def test_what_differs_is_named(tmp_path, option, first, second):
    found = words(tmp_path, f"exact,a:preset=exact;{option}={first},same:preset=exact")
    common = "RiskPO, mvar(0.2, 0.8), B=5, random composition, exact pairing, baseline loo, ties step"
    assert found == {
        "exact": f"{common}, {option} {second}",
        "a": f"{common}, {option} {first}",
        "same": f"{common}, {option} {second}",
    }


def test_what_is_shared_is_not(tmp_path):
    found = words(tmp_path, "exact,grpo", flags=("--beta", "0.04"))
    assert found["grpo"] == "grpo (std_eps 0.0001)"
    assert "beta" not in found["exact"]


def test_what_the_description_has_is_not_said_twice(tmp_path):
    found = words(tmp_path, "exact,b10:preset=exact;bundle_size=10,g:estimator=grpo;std_eps=0.1,grpo")
    assert "bundle_size" not in "".join(found.values())
    assert found["g"] == "grpo (std_eps 0.1)"


def test_options_of_another_estimator_are_not_said(tmp_path):
    found = words(tmp_path, "exact,grpo,q:preset=exact;quantile_lr=0.1")
    assert "quantile_lr" not in found["grpo"]
    assert found["exact"].endswith(", quantile_lr 0.02")


def test_the_scale_is_named(tmp_path):
    found = words(tmp_path, "exact,s:preset=exact;scale_rewards=batch")
    assert (found["exact"].rpartition(", ")[2], found["s"].rpartition(", ")[2]) == ("scale none", "scale batch")


@pytest.mark.parametrize("preset", list(PRESETS))
def test_said_is_what_moves_the_description(preset):
    """Another value of an option that is said to be there changes the line; the others do not."""
    config = RiskConfig.from_preset(preset)
    said = options_said(config)
    assert said <= set(USES[config.estimator])
    for name, value in [("bundle_size", 7), ("quantile_lr", 0.123), ("scale_floor", 0.123)]:
        if name in USES[config.estimator]:
            other = dataclasses.replace(config, **{name: value})
            assert (describe_estimator(config) != describe_estimator(other)) == (name in said), name
