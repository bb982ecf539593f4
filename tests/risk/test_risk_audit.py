"""The audit: weights by difficulty against theory, a signal-to-noise ratio in closed form, replays, refusals."""

import dataclasses
import math

import pytest
import torch

from riskpo.errors import ConfigError, DataError
from riskpo.risk.advantages import risk_advantages
from riskpo.risk.audit import (
    BIN_EDGES,
    Effort,
    LoggedStep,
    audit,
    redrawn_gradients,
)
from riskpo.risk.config import RiskConfig
from riskpo.risk.diagnostics import signal_and_noise, sums_by_bin
from riskpo.risk.difficulty import PassRates
from riskpo.risk.measured import mean_over_steps, ratio_of_sums, signal_to_noise
from riskpo.risk.named import default_names, resolve
from riskpo.risk.peers import PEERS
from riskpo.risk.presets import PRESETS
from riskpo.risk.redraws import Population
from riskpo.risk.state import RiskState
from riskpo.rollouts.simulated import simulated_steps

NAN = math.nan
SMALL = Effort(populations=4, draws=4)


def matrix(rows):
    return torch.tensor(rows, dtype=torch.float64)


# --- weight by difficulty, p ~ U(0, 1) ---


def weights(name, populations=16, prompts=200, responses=10, draws=8):
    """Weights per bin at known pass rates; `sorted` knows them too."""
    (config,) = resolve([name]).values()
    source, ids = torch.Generator().manual_seed(0), [str(number) for number in range(prompts)]
    above_Nb, below_Nb = torch.zeros(2, populations, len(BIN_EDGES) - 1, dtype=torch.float64)
    for n in range(populations):
        rates_P = torch.rand(prompts, generator=source).double()
        population = Population.of_pass_rates(rates_P, responses)
        visits = PassRates().after(ids, rates_P[:, None].expand(-1, 1000), 1.0)
        warm_PG = population.draw(1, source)[0]
        state = risk_advantages(warm_PG, config, RiskState(pass_rates=visits), source, prompt_ids=ids).state
        state = dataclasses.replace(state, pass_rates=visits)
        gradients_DP = redrawn_gradients(population.draw(draws, source), population, config, state, ids, seed=n)
        above_Nb[n] = sums_by_bin(gradients_DP.mean(0), rates_P, BIN_EDGES)
        below_Nb[n] = sums_by_bin(population.variances_P, rates_P, BIN_EDGES)
    return [ratio_of_sums(above_Nb[:, b], below_Nb[:, b]) for b in range(len(BIN_EDGES) - 1)]


def assert_weights(measured, expected, tolerance=0.0):
    for weight, there in zip(measured, expected, strict=True):
        assert abs(weight.value - there) <= 4 * weight.error + tolerance * there
    assert max(weight.error for weight in measured[1:-1]) < 0.06


def test_dr_grpo_weighs_all_alike():
    """E[(r - mean)(r - p)] = p (1 - p) (1 - 1/G): nine tenths at G = 10, whatever p."""
    assert_weights(weights("dr_grpo"), [0.9] * 7)


@pytest.mark.parametrize("name", ["paper", "exact"])
def test_random_bundles_weigh_all_alike(name):
    """maths.md (10); the level depends on where the quantiles lie, so each bin is compared with the middle one."""
    measured = weights(name)
    assert_weights(measured, [measured[3].value] * 7)
    assert 0.7 < measured[3].value < 1.1


# An independent simulation of the same setting, two decimals.
FALLING = {
    "sorted": (1.32, 1.27, 1.11, 0.98, 0.77, 0.44, 0.10),
    "prompt-mvar": (1.46, 1.31, 1.10, 0.99, 0.80, 0.36, 0.04),
}


@pytest.mark.parametrize("name", FALLING)
def test_risk_over_prompts_falls_with_the_pass_rate(name):
    measured = weights(name)
    assert_weights(measured, FALLING[name], tolerance=0.05)
    values = [weight.value for weight in measured]
    assert values == sorted(values, reverse=True)
    assert values[0] > 4 * values[-1]


# Of the unbiased standard deviation, or of the biased one, sqrt(10 / 9) times as much.
PEERS_THERE = {
    "rloo": (0.98, 1.00, 1.00, 1.00, 1.00, 1.00, 1.02),
    "grpo": (2.67, 2.28, 1.92, 1.80, 1.92, 2.27, 2.68),
    "rs_grpo": (1.60, 1.32, 0.97, 0.73, 0.57, 0.49, 0.42),
}


@pytest.mark.parametrize("name", PEERS_THERE)
def test_peers_follow_an_independent_simulation(name):
    if name not in PEERS:
        pytest.skip(f"{name} is not registered")
    assert_weights(weights(name), PEERS_THERE[name], tolerance=0.06)


# --- noise ---


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_signal_to_noise_in_closed_form(p):
    """dr_grpo, G = 2: a prompt's gradient is 1/4 when its responses differ, with probability d = 2 p (1 - p), else 0.
    Its mean is d/4, its variance d (1 - d) / 16; nine such prompts have a ratio of root d / (1 - d): 1 at p = 1/2.
    """
    population = Population.of_pass_rates(torch.full((9,), p), 2)
    rewards_DPG = population.draw(3000, torch.Generator().manual_seed(0))
    config = resolve(["dr_grpo"])["dr_grpo"]
    signal, noise = signal_and_noise(redrawn_gradients(rewards_DPG, population, config, RiskState(), "abcdefghi"))
    d = 2 * p * (1 - p)
    assert signal == pytest.approx(9 * d**2 / 16, rel=0.04)
    assert noise == pytest.approx(9 * d * (1 - d) / 16, rel=0.04)
    assert (signal / noise) ** 0.5 == pytest.approx((d / (1 - d)) ** 0.5, rel=0.03)


def test_signal_to_noise_of_sums_by_hand():
    """Signals 9 and 7 over noises 3 and 1: root of 16/4. Left out one: root of 7 and of 3, about their mean 2.188901:
    (.456851^2 + .456850^2) / 2 = .208712, whose root is .456850.
    """
    own = matrix([[9.0, 3.0], [7.0, 1.0]])
    measured = signal_to_noise(own)
    assert (measured.value, measured.error) == pytest.approx((2.0, 0.456850), abs=1e-6)
    assert signal_to_noise(own, matrix([[3.0, 3.0], [1.0, 1.0]])).value == pytest.approx(2.0)
    assert signal_to_noise(own, own) == dataclasses.replace(measured, value=1.0, error=0.0)


def test_only_populations_that_both_have_count():
    own, other = matrix([[4.0, 1.0], [100.0, 1.0]]), matrix([[1.0, 1.0], [NAN, NAN]])
    assert signal_to_noise(own, other).value == pytest.approx(2.0)
    assert math.isnan(signal_to_noise(matrix([[NAN, NAN]])).value)
    assert math.isnan(signal_to_noise(matrix([[0.0, 0.0]])).value)


def test_ratio_of_sums_by_hand():
    """(2 + 4) / (1 + 3) = 1.5; residuals .5 and -.5: root of (.25 + .25) x 2/1, over 4. Empty ones are left out."""
    measured = ratio_of_sums(matrix([2.0, 4.0, 9.0]), matrix([1.0, 3.0, 0.0]))
    assert (measured.value, measured.error) == pytest.approx((1.5, 0.25))
    assert math.isnan(ratio_of_sums(matrix([1.0]), matrix([0.0])).value)
    assert math.isnan(ratio_of_sums(matrix([1.0]), matrix([2.0])).error)


def test_mean_over_steps_by_hand():
    """1, 2, 6: mean 3, variance 7, error root of 7/3."""
    measured = mean_over_steps([1.0, 2.0, 6.0])
    assert (measured.value, measured.error) == pytest.approx((3.0, (7 / 3) ** 0.5))


# --- the whole ---


def logged(rewards, **changes):
    ids = tuple(str(number) for number in range(len(rewards)))
    return dataclasses.replace(LoggedStep(matrix(rewards), ids), **changes)


@pytest.fixture(scope="module")
def simulated():
    names = ["paper", "exact", "sorted", "prompt-mvar", "dr_grpo"]
    return audit(simulated_steps(0), resolve(names), (0.0, 1.0), effort=Effort(populations=12, draws=8))


def test_what_the_paper_does_and_better_does_not(simulated):
    paper, exact = simulated.estimators["paper"], simulated.estimators["exact"]
    assert paper.on_uniform > 0.1
    assert paper.flips["right_down"] > 0.05
    assert paper.flips["wrong_positive"] == 0.0  # the anchor's signal is never positive
    assert exact.on_uniform == 0.0
    assert set(exact.flips.values()) == {0.0}
    assert exact.snr.value > 1.3 * paper.snr.value
    assert exact.snr_ratios["paper"].value == pytest.approx(exact.snr.value / paper.snr.value)


def test_weights_of_a_log(simulated):
    """The bins where the log has most of its prompts."""
    for name, falls in (("dr_grpo", False), ("exact", False), ("sorted", True), ("prompt-mvar", True)):
        weight_b = simulated.estimators[name].weight_b
        if falls:
            assert weight_b[1].value - weight_b[4].value > 3 * math.hypot(weight_b[1].error, weight_b[4].error)
        else:
            assert abs(weight_b[1].value - weight_b[4].value) < 4 * math.hypot(weight_b[1].error, weight_b[4].error)
    assert simulated.estimators["dr_grpo"].mean_weight.value == pytest.approx(7 / 8, abs=0.02)


def test_states_are_replayed(simulated):
    """All prompts come back in every step, so `sorted` knows them all from the second on."""
    assert simulated.estimators["sorted"].unseen == 0.0
    assert simulated.estimators["exact"].unseen is None
    assert simulated.estimators["dr_grpo"].flat_windows is None
    assert simulated.estimators["paper"].flat_windows == 0.0


def test_entropy_of_the_mean_objective_is_its_own(simulated):
    entropy = simulated.estimators["dr_grpo"].entropy
    assert entropy["corr_logp_advantage"].value == pytest.approx(entropy["corr_logp_mean_advantage"].value)
    assert entropy["difference"].value == pytest.approx(0.0, abs=1e-12)


def test_the_seed_decides():
    steps, configs = simulated_steps(0, steps=2, prompts=10), resolve(["paper", "dr_grpo"])
    first, again, other = (audit(steps, configs, (0.0, 1.0), seed=s, effort=SMALL) for s in (3, 3, 4))
    assert first == again
    assert first.estimators["paper"].snr != other.estimators["paper"].snr


def test_one_estimator_does_not_move_another():
    """All see the same redraws, whoever else is asked."""
    steps = simulated_steps(0, steps=2, prompts=10)
    alone = audit(steps, resolve(["dr_grpo"]), (0.0, 1.0), effort=SMALL)
    beside = audit(steps, resolve(["paper", "exact", "dr_grpo"]), (0.0, 1.0), effort=SMALL)
    assert alone.estimators["dr_grpo"].weight_b == beside.estimators["dr_grpo"].weight_b


def test_degenerate_windows():
    """One bundle of forty scores 1, the others 0: both quantiles start at 0, where the signal is flat. The first step
    makes no update, the second adds .1 (.2 - 0) and .1 (.8 - 0): in the third the slope is 39/40 (1.5 x .02 + .06).
    """
    rewards_PG = torch.zeros(50, 4, dtype=torch.float64)
    rewards_PG[0, 0] = 1.0
    steps = [LoggedStep(rewards_PG, tuple(map(str, range(50))), None, step) for step in range(3)]
    paper = audit(steps, resolve(["paper"]), (0.0, 1.0), effort=SMALL).estimators["paper"]
    assert paper.tied_quantiles == pytest.approx(2 / 3)
    assert paper.flat_windows == pytest.approx(2 / 3)


def test_what_does_not_apply_is_skipped_with_the_reason():
    """Three prompts fill no bundle of five; graded rewards lie off the grid of exact pairing."""
    graded = [logged([[0.3, 0.7], [0.2, 1.0], [0.0, 0.1]])]
    result = audit(graded, resolve(["paper", "prompt-mvar", "dr_grpo"]), (0.0, 1.0), effort=SMALL)
    assert list(result.estimators) == ["dr_grpo"]
    assert "3 prompts in a step cannot fill a bundle of 5" in result.skipped["paper"]
    assert "not on the declared grid" in result.skipped["prompt-mvar"]
    assert "reward_step" in result.skipped["prompt-mvar"]


def test_too_few_responses_for_k():
    result = audit([logged([[1, 0], [0, 0]])], resolve(["two-level", "dr_grpo"]), (0.0, 1.0), effort=SMALL)
    assert "at least 4 responses per prompt" in result.skipped["two-level"]


def test_a_short_last_step_is_left_out_for_those_who_need_more():
    steps = [*simulated_steps(0, steps=2, prompts=10), logged([[1, 0, 0, 0, 0, 0, 0, 1]], step=3)]
    result = audit(steps, resolve(["paper", "dr_grpo"]), (0.0, 1.0), effort=SMALL)
    assert (result.estimators["paper"].steps, result.estimators["dr_grpo"].steps) == (2, 3)
    assert result.estimators["paper"].refused.startswith("step 3: 1 prompts in a step")
    assert math.isfinite(result.estimators["paper"].snr_ratios["dr_grpo"].value)


def test_uneven_groups_and_unscorable_responses():
    steps = [logged([[1, 0, NAN], [0, 0, 1], [NAN, NAN, NAN], [1, 1, 0], [0, 1, 0], [1, 0, 0]])] * 2
    result = audit(steps, resolve(["paper", "exact", "dr_grpo"]), (0.0, 1.0), effort=SMALL)
    assert result.rows == 2 * 14
    assert all(math.isfinite(estimator.snr.value) for estimator in result.estimators.values())


def test_graded_rewards_between_minus_one_and_one():
    """dr_grpo's weight is (G - 1)/G of the gradient of the expected reward, whatever the rewards."""
    source = torch.Generator().manual_seed(0)
    steps = [logged((2 * torch.rand(30, 5, generator=source).double() - 1).tolist())]
    options = {"reward_range": (-1.0, 1.0)}
    result = audit(steps, resolve(["dr_grpo"], options), (-1.0, 1.0), effort=Effort(populations=8, draws=8))
    weight = result.estimators["dr_grpo"].mean_weight
    assert abs(weight.value - 0.8) < 4 * weight.error < 0.1


def test_all_wrong_is_no_crash():
    result = audit([logged([[0, 0, 0]] * 6)], resolve(["paper", "exact", "dr_grpo"]), (0.0, 1.0), effort=SMALL)
    assert result.uniform == {"all_right": 0.0, "all_wrong": 1.0, "uniform": 1.0}
    assert math.isnan(result.estimators["dr_grpo"].on_uniform)  # it spends nothing at all


def test_large_logs_are_cut_to_the_effort():
    steps = [logged([[1, 0]] * 30, step=number) for number in range(20)]
    effort = Effort(populations=3, draws=20, prompts=10, replayed=5, rows=3 * 20 * 9)
    told = []
    result = audit(steps, resolve(["dr_grpo"]), (0.0, 1.0), effort=effort, say=lambda *what: told.append(what))
    assert (result.steps, result.replayed, result.prompts, result.redrawn_prompts) == (20, 5, 30, 10)
    assert result.draws == 9  # 10 prompts x 2 responses x 3 populations x 9 draws is all that 540 rows allow
    assert sum(result.visits_b) == 30
    assert {what for what, _, _ in told} == {"replaying dr_grpo", "redrawing for dr_grpo"}


def test_no_steps():
    with pytest.raises(DataError, match="no step"):
        audit([], resolve(["dr_grpo"]), (0.0, 1.0))


# --- names ---


def test_names():
    assert set(default_names()) == {*PRESETS, *PEERS} - {"recommended"}
    assert PRESETS["recommended"] == PRESETS["two-level"]  # shown once, under the name that says what it is
    configs = resolve(["sorted", "two_level", "dr_grpo"], {"reward_range": (-1.0, 1.0), "reward_step": 1.0})
    assert configs["sorted"] == RiskConfig.from_preset("sorted", {"reward_range": (-1.0, 1.0), "reward_step": 1.0})
    assert (configs["two_level"].bundle_size, configs["two_level"].baseline) == (1, "loo")
    assert configs["dr_grpo"].reward_step is None  # it reads none
    assert all(config.reward_range == (-1.0, 1.0) for config in configs.values())


@pytest.mark.parametrize(("name", "near"), [("sortd", "sorted"), ("dr_gpo", "dr_grpo")])
def test_unknown_name(name, near):
    with pytest.raises(ConfigError, match=f"unknown preset or estimator '{name}'. Did you mean '{near}'"):
        resolve([name])
