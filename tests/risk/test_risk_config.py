"""Presets and options: what they stand for, and what a mistake is told."""

import dataclasses
import math

import pytest

from riskpo.errors import ConfigError
from riskpo.risk import PRESETS, RiskConfig, Spectrum
from riskpo.risk.bundles import Grid


def test_defaults_are_the_papers():
    """arXiv 2510.00911: alpha = .2, beta = .8, omega = .5, B = 5; gamma = 0.02 * B is the released code's 0.1."""
    config = RiskConfig()
    assert config == RiskConfig.from_preset("paper")
    assert config.spectrum == Spectrum((0.2, 0.8), (1.5, 1.0, 0.0))
    assert config.bundle_size == 5
    assert config.tracker.levels == (0.2, 0.8)
    assert config.tracker.step_size == pytest.approx(0.1)
    assert (config.pairing, config.baseline, config.scale, config.ties) == ("random", "anchor", "none", "step")


def test_exact_preset_changes_pairing_and_baseline_alone():
    assert RiskConfig.from_preset("exact") == dataclasses.replace(RiskConfig(), pairing="exact", baseline="loo")


def test_overrides_win_over_the_preset():
    config = RiskConfig.from_preset("exact", {"baseline": "anchor", "bundle_size": 3})
    assert (config.pairing, config.baseline, config.bundle_size) == ("exact", "anchor", 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset):
    RiskConfig.from_preset(preset)


@pytest.mark.parametrize(
    ("options", "spectrum"),
    [
        ({"measure": "mean"}, Spectrum((), (1.0,))),
        ({"measure": "cvar", "risk_low": 0.25}, Spectrum((0.25,), (4.0, 0.0))),
        ({"measure": "rvar", "risk_low": 0.25, "risk_high": 0.75}, Spectrum((0.25, 0.75), (0.0, 2.0, 0.0))),
        ({"measure": "upper_tail"}, Spectrum((0.2, 0.8), (0.0, 1.0, 1.5))),
        (
            {"measure": "custom", "spectrum_levels": [0.5], "spectrum_weights": [2, 1]},  # lists, as YAML gives them
            Spectrum((0.5,), (2.0, 1.0)),
        ),
    ],
)
def test_measures_are_spectra(options, spectrum):
    assert RiskConfig(**options).spectrum == spectrum


@pytest.mark.parametrize(
    ("options", "grid", "tie_width"),
    [
        ({}, Grid(0.0, 1.0, 2), 0.0),
        ({"ties": "continuous"}, Grid(0.0, 1.0, 2), 1.0),
        ({"ties": "continuous", "reward_range": (-1, 1)}, Grid(-1.0, 2.0, 2), 2.0),
        ({"ties": "continuous", "reward_range": (-1, 1), "reward_step": 0.5}, Grid(-1.0, 0.5, 5), 0.5),
        ({"reward_step": 0.1}, Grid(0.0, 0.1, 11), 0.0),
        ({"reward_range": (0, 0.3), "reward_step": 0.1}, Grid(0.0, 0.1, 4), 0.0),  # 0.3 / 0.1 is a little below 3
    ],
)
def test_grid_and_ties_follow_the_declared_rewards(options, grid, tie_width):
    config = RiskConfig(**options)
    assert config.grid == grid
    assert config.tie_width == tie_width
    assert config.tracker.width == tie_width


def test_quantile_step_is_in_units_of_reward():
    config = RiskConfig(quantile_lr=0.01, bundle_size=4, reward_range=(-1, 2))
    assert config.tracker.step_size == pytest.approx(0.01 * 4 * 3)


def test_equal_options_make_equal_and_hashable_configs():
    assert hash(RiskConfig(reward_range=[0, 1])) == hash(RiskConfig())


# --- a misspelt name is told the nearest right one ---


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: RiskConfig.from_preset("papr"),
            "unknown preset 'papr'. Did you mean 'paper'? Allowed: exact, paper, ",
        ),
        (
            lambda: RiskConfig.from_preset("zzz"),
            "unknown preset 'zzz'. Allowed: exact, paper, prompt-mvar, recommended, ",
        ),
        (
            lambda: RiskConfig.from_preset("paper", {"bundel_size": 5}),
            "unknown option 'bundel_size'. Did you mean 'bundle_size'?",
        ),
        (lambda: RiskConfig(pairing="exakt"), "unknown `pairing` 'exakt'. Did you mean 'exact'?"),
        (lambda: RiskConfig(measure="mvarr"), "unknown `measure` 'mvarr'. Did you mean 'mvar'?"),
        (lambda: RiskConfig(composition="randm"), "Did you mean 'random'?"),
        (lambda: RiskConfig(baseline="lo"), "Did you mean 'loo'? Allowed: anchor, batch, loo, prompt."),
        (lambda: RiskConfig(scale="group"), "unknown `scale` 'group'. Allowed: batch, none."),
        (lambda: RiskConfig(ties="continous"), "Did you mean 'continuous'?"),
    ],
)
def test_misspelt_names(build, message):
    with pytest.raises(ConfigError) as error:
        build()
    assert message in str(error.value)


# --- a value out of range is told the range ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"risk_low": 0.0}, "`risk_low` must be strictly between 0 and 1, got 0.0."),
        ({"risk_high": 1.0}, "`risk_high` must be strictly between 0 and 1, got 1.0."),
        ({"risk_low": math.nan}, "`risk_low` must be"),
        ({"risk_low": 0.9}, "`risk_low` (0.9) must be below `risk_high` (0.8)"),
        ({"tail_weight": -0.1}, "`tail_weight` must be a finite number >= 0"),
        ({"tail_weight": math.inf}, "`tail_weight` must be a finite number >= 0"),
        ({"bundle_size": 0}, "`bundle_size` must be an integer >= 1, got 0."),
        ({"bundle_size": 2.5}, "`bundle_size` must be an integer >= 1, got 2.5."),
        ({"num_pairings": 0}, "`num_pairings` must be an integer >= 1"),
        ({"quantile_lr": 0.0}, "`quantile_lr` must be a finite number > 0"),
        ({"scale_floor": 0.0}, "`scale_floor` must be a finite number > 0"),
        ({"reward_range": (1.0, 0.0)}, "`reward_range` must be two finite numbers, the smaller first"),
        ({"reward_range": (0.0, math.inf)}, "`reward_range` must be two finite numbers"),
        ({"reward_range": (0.0, 0.5, 1.0)}, "`reward_range` must be two finite numbers"),
        ({"reward_step": 0.0}, "`reward_step` must be a positive number that divides the reward range (0.0, 1.0)"),
        ({"reward_step": 0.3}, "`reward_step` must be a positive number that divides"),
        ({"reward_step": 2.0}, "`reward_step` must be a positive number that divides"),
        ({"measure": "custom"}, "belong to measure='custom', which needs both"),
        ({"measure": "custom", "spectrum_levels": (0.5,)}, "which needs both"),
        ({"spectrum_levels": (0.5,), "spectrum_weights": (1.0, 0.0)}, "got measure='mvar'"),
        (
            {"measure": "custom", "spectrum_levels": (0.5,), "spectrum_weights": (1.0,)},
            "a spectrum of 1 levels needs 2 weights",
        ),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(ConfigError) as error:
        RiskConfig(**options)
    assert message in str(error.value)


# --- options that would have no effect ---


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("paper", {"num_pairings": 4}, "`num_pairings` is read with pairing='average' only"),
        ("paper", {"approximation_error": 0.1}, "pairing='approximate' only"),
        ("paper", {"adaptive_lr": 0.1}, "`adaptive_slope` only"),
        ("paper", {"difficulty_decay": 0.1}, "composition 'sorted' or 'stratified' only"),
        ("paper", {"scale_floor": 0.2}, "scale 'batch' only"),
        ("prompt-mvar", {"k": 3}, "inner='pass_at_k' only"),
        ("prompt-mvar", {"inner_share": 0.3}, "inner='upper_tail' only"),
        ("prompt-mvar", {"entropic_beta": 3.0}, "inner='entropic' only"),
        ("paper", {"estimator": "grpo", "bundle_size": 4}, "estimator 'grpo' does not read bundle_size"),
        ("sorted", {"estimator": "grpo"}, "preset 'sorted' is of estimator 'riskpo', but estimator='grpo' was given"),
        ("two-level", {"estimator": "riskpo"}, "preset 'two-level' is of estimator 'two_level'"),
    ],
)
def test_options_without_effect_are_refused(preset, options, message):
    with pytest.raises(ConfigError) as error:
        RiskConfig.from_preset(preset, options)
    assert message in str(error.value)


def test_options_that_have_an_effect_are_not():
    RiskConfig.from_preset("two-level", {"k": 3})
    RiskConfig.from_preset("sorted", {"difficulty_decay": 0.1})
    RiskConfig.from_preset("paper", {"estimator": "rs_grpo", "entropic_beta": 3.0})
    RiskConfig.from_preset("prompt-mvar", {"schedule": {"inner": {0: "pass_at_k", 0.5: "mean"}}, "k": 3})


def test_another_estimator_starts_from_its_own_defaults():
    two_level = RiskConfig.from_preset("paper", {"estimator": "two_level"})
    assert (two_level.bundle_size, two_level.baseline, two_level.inner) == (1, "loo", "mean")
    assert RiskConfig.from_preset("paper", {"estimator": "released_easy"}).risk_high == 0.9


@pytest.mark.parametrize(
    "options", [{"reward_range": 5}, {"reward_range": ("a", "b")}, {"reward_range": None}, {"spectrum_levels": "abc"}]
)
def test_values_of_the_wrong_type(options):
    with pytest.raises(ConfigError, match="must be a list of numbers"):
        RiskConfig(**options)
