"""Options over training: values at points and between, what cannot be scheduled, and the adaptive level's target."""

import pytest
import torch

from riskpo.errors import ConfigError
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.schedules import AdaptiveLevel, Schedule, parse_schedule, plain_schedule


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_numbers_are_interpolated_names_and_counts_are_not():
    schedules = dict(
        parse_schedule(
            {
                "tail_weight": {0: 0, "0.5": 1, 1: 3},  # JSON has text for keys
                "inner": {0: "pass_at_k", 0.4: "mean"},
                "k": {0: 8, 0.5: 2},
            }
        )
    )
    assert [schedules["tail_weight"].at(t) for t in (0, 0.25, 0.5, 0.75, 1)] == [0.0, 0.5, 1.0, 2.0, 3.0]
    assert [schedules["inner"].at(t) for t in (0, 0.399, 0.4, 1)] == ["pass_at_k", "pass_at_k", "mean", "mean"]
    assert [schedules["k"].at(t) for t in (0, 0.25, 0.5, 1)] == [8, 8, 2, 2]


def test_after_the_last_point_the_value_stays():
    assert Schedule(((0.0, 1.0), (0.5, 2.0))).at(0.9) == 2.0
    assert Schedule(((0.0, 1.0),)).at(0.9) == 1.0


def test_plain_form_round_trip():
    given = {"inner": {"0": "pass_at_k", "0.4": "mean"}, "risk_high": {"0": 0.5, "1": 0.9}}
    parsed = parse_schedule(given)
    assert plain_schedule(parsed) == given
    assert parse_schedule(parsed) == parsed == parse_schedule(plain_schedule(parsed))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"risk_hi": {0: 0.5}}, "unknown option in `schedule` 'risk_hi'. Did you mean 'risk_high'?"),
        ({"bundle_size": {0: 5}}, "unknown option in `schedule` 'bundle_size'"),
        ({}, "`schedule` must map options"),
        ([1], "`schedule` must map options"),
        ({"risk_high": 0.5}, "must map progress in [0, 1] to values"),
        ({"risk_high": {0: 0.5, 2: 0.9}}, "progress must lie in [0, 1], got 2"),
        ({"risk_high": {"x": 0.5}}, "progress must lie in [0, 1], got 'x'"),
        ({"risk_high": {0.5: 0.5}}, "must start at progress 0"),
        ({"risk_high": {"0": 0.5, 0: 0.6}}, "name each progress once"),
        ({"risk_high": {0: "high"}}, "takes numbers, got 'high'"),
        ({"k": {0: 2.5}}, "takes integers, got 2.5"),
        ({"measure": {0: 1}}, "takes names, got 1"),
        ({"risk_high": {0: 0.5, 1: 1.5}}, "`risk_high` must be strictly between 0 and 1, got 1.5"),
        ({"risk_high": {0: 0.5, 1: 0.1}}, "must be below `risk_high`"),
        ({"inner": {0: "passk"}}, "Did you mean 'pass_at_k'?"),
    ],
)
def test_what_is_no_schedule_is_told_at_the_start(schedule, message):
    with pytest.raises(ConfigError) as error:
        RiskConfig.from_preset("prompt-mvar", {"schedule": schedule})
    assert message in str(error.value)


def test_every_value_of_a_preset_on_a_schedule_is_valid():
    config = RiskConfig.from_preset("two-level")
    assert (config.at(0.2).inner, config.at(0.2).measure, config.at(0.5).inner) == ("pass_at_k", "mean", "mean")
    assert config.at(0.5).schedule is None
    assert config.responses_needed == 4, "the largest k of any time"


def test_a_change_of_what_is_tracked_starts_the_quantiles_anew():
    config = RiskConfig.from_preset("two-level")
    rewards_PG = (torch.rand(10, 8, generator=generator()) < 0.4).double()
    early = risk_advantages(rewards_PG, config, RiskState(), generator(), progress=0.2)
    assert early.state.quantiles_L == ()
    late = risk_advantages(rewards_PG, config, early.state, generator(), progress=0.5)
    alone = risk_advantages(rewards_PG, RiskConfig.from_preset("prompt-mvar"), RiskState(), generator())
    assert torch.equal(late.advantages_PG, alone.advantages_PG)
    assert late.state.quantiles_L == alone.state.quantiles_L
    after = risk_advantages(rewards_PG, config, late.state, generator(), progress=0.6)
    assert after.state.quantiles_L != late.state.quantiles_L, "and from then on they are tracked"


def test_without_a_schedule_a_state_of_something_else_is_refused():
    rewards_PG = (torch.rand(10, 8, generator=generator()) < 0.4).double()
    state = risk_advantages(rewards_PG, RiskConfig.from_preset("prompt-mvar"), RiskState(), generator()).state
    with pytest.raises(ConfigError, match="the state tracks 2 quantiles, two_level, bundles of 1 of mean, the options"):
        risk_advantages(rewards_PG, RiskConfig.from_preset("exact"), state, generator())


# --- the adaptive level ---


def test_adaptive_rule_by_hand():
    level = AdaptiveLevel(target=0.5, lr=0.1, lowest=0.25, highest=0.99)
    assert level.update(0.8, 0.3) == pytest.approx(0.82)
    assert level.update(0.8, 0.9) == pytest.approx(0.76)
    assert level.update(0.98, 0.0) == 0.99
    assert level.update(0.26, 2.0) == 0.25


def run(options, steps, chance):
    """Mean slope over the last half of a run on prompts of one difficulty, and the last state."""
    config, state, source = RiskConfig.from_preset("exact", options), RiskState(), generator(1)
    slopes = []
    for _ in range(steps):
        rewards_PG = (torch.rand(20, 8, generator=source) < chance).double()
        step = risk_advantages(rewards_PG, config, state, source)
        state = step.state
        slopes.append(step.metrics["risk/mean_slope"])
    return sum(slopes[steps // 2 :]) / (steps - steps // 2), state


@pytest.mark.parametrize(("chance", "target"), [(0.02, 0.5), (0.02, 0.8), (0.3, 0.6), (0.5, 0.9)])
def test_adaptive_level_reaches_its_target(chance, target):
    """At p = .02 nine bundles of ten score 0: the constant window has collapsed onto 0, the adaptive one has not."""
    slope, state = run({"adaptive_slope": target}, 600, chance)
    assert slope == pytest.approx(target, abs=0.06)
    assert 0.2 < state.risk_high <= 0.99
    if chance == 0.02:
        constant, _ = run({}, 600, chance)
        assert constant < 0.1


def test_the_level_is_logged_as_it_was_used():
    rewards_PG = (torch.rand(10, 4, generator=generator()) < 0.5).double()
    config = RiskConfig.from_preset("exact", {"adaptive_slope": 0.5, "adaptive_lr": 0.1})
    first = risk_advantages(rewards_PG, config, RiskState(), generator())
    second = risk_advantages(rewards_PG, config, first.state, generator())
    assert first.metrics["risk/risk_high"] == 0.8
    moved = 0.8 + 0.1 * (0.5 - first.metrics["risk/mean_slope"])
    assert second.metrics["risk/risk_high"] == first.state.risk_high == pytest.approx(moved)
    half = RiskConfig.from_preset("exact", {"schedule": {"tail_weight": {0: 0.0, 1: 1.0}}})
    metrics = risk_advantages(rewards_PG, half, RiskState(), generator(), progress=0.25).metrics
    assert metrics["risk/tail_weight"] == 0.25
    constant = risk_advantages(rewards_PG, RiskConfig(), RiskState(), generator()).metrics
    assert "risk/risk_high" not in constant


def test_an_unreachable_target_ends_at_the_end_of_the_range():
    _, state = run({"adaptive_slope": 5.0}, 300, 0.5)
    assert state.risk_high == 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptive_slope": 0.5, "measure": "mean"}, "that of measure='mean' does not"),
        ({"adaptive_slope": 0.5, "measure": "upper_tail"}, "that of measure='upper_tail' does not"),  # it falls
        ({"adaptive_slope": 0.5, "measure": "rvar"}, "that of measure='rvar' does not"),
        ({"adaptive_slope": 0.5, "schedule": {"risk_high": {0: 0.8}}}, "exclude each other"),
        ({"adaptive_slope": 0.5, "schedule": {"risk_low": {0: 0.1, 1: 0.7}}}, "exclude each other"),
        ({"schedule": {"k": {0: 4}}}, "`schedule`: estimator 'riskpo' does not read k"),
        ({"estimator": "rs_grpo", "schedule": {"tail_weight": {0: 0.5}}}, "'rs_grpo' does not read tail_weight"),
        ({"adaptive_slope": 0.0}, "`adaptive_slope` must be a finite number > 0"),
        ({"adaptive_lr": -1.0}, "`adaptive_lr` must be a finite number > 0"),
    ],
)
def test_adaptive_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        RiskConfig(**options)


def test_a_drifting_parameter_of_the_inner_objective_leaves_the_tracking_alone():
    drifting = {"inner": "entropic", "schedule": {"entropic_beta": {0: 1.0, 1: 3.0}}}
    config, state = RiskConfig.from_preset("prompt-mvar", drifting), RiskState()
    rewards_PG = (torch.rand(20, 8, generator=generator()) < torch.rand(20, 1, generator=generator(1))).double()
    first = risk_advantages(rewards_PG, config, state, generator(), progress=0.1).state
    second = risk_advantages(rewards_PG, config, first, generator(), progress=0.2)
    used = (second.metrics["risk/q_low"], second.metrics["risk/q_high"])
    assert used == first.quantiles_L, "of the step before, not of this step's own scores"


def test_the_largest_k_of_a_schedule_is_the_one_that_is_named():
    config = RiskConfig.from_preset("paper", {"estimator": "pkpo", "schedule": {"k": {0: 9, 1: 2}}})
    with pytest.raises(ConfigError, match="at least 9 responses per prompt are needed by estimator 'pkpo' with k=9"):
        config.check_step(10, 4)


def test_peers_anneal_their_k():
    config = RiskConfig.from_preset("paper", {"estimator": "pkpo", "schedule": {"k": {0: 4, 0.5: 1}}})
    assert config.responses_needed == 4
    rewards_PG = (torch.rand(10, 4, generator=generator()) < 0.5).double()

    def advantages(config, progress=0.0):
        return risk_advantages(rewards_PG, config, RiskState(), generator(), progress=progress).advantages_PG

    for progress, k in ((0.2, 4), (0.7, 1)):
        constant = RiskConfig.from_preset("paper", {"estimator": "pkpo", "k": k})
        assert torch.equal(advantages(config, progress), advantages(constant))
