"""The pieces of experiments/staleness.py: laws and bounds by hand, by brute force, and against the tracker itself."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from riskpo.risk import RiskConfig, RiskState, risk_advantages

sys.path.append(str(Path(__file__).resolve().parents[2]))

from experiments import staleness
from experiments import staleness_theory as theory
from experiments.staleness_theory import Staleness

STEP = RiskConfig.from_preset("paper")
SMOOTH = RiskConfig.from_preset("exact", {"ties": "continuous"})


def test_the_drift_has_the_ends_and_the_steepness_it_is_asked_for():
    means_T = theory.drift(3001)
    assert means_T[0] == pytest.approx(0.17)
    assert means_T[-1] == pytest.approx(0.9)
    assert np.diff(means_T).max() / np.diff(means_T).mean() == pytest.approx(3.0, abs=1e-3)
    assert theory.shock(30, at=20).tolist()[19:26] == pytest.approx([0.3, 0.3, 0.375, 0.45, 0.525, 0.6, 0.6])


def test_ages_by_hand():
    means_T = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert Staleness(2, 2).rollout_means(means_T) == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.3, 0.4])
    assert Staleness(0, 1).rollout_means(means_T) == pytest.approx([0.1, 0.15, 0.25, 0.35, 0.45, 0.55])
    # Two updates from one version; with the batch before under way when the weights come.
    assert Staleness(0, 0, cycle=2).rollout_means(means_T) == pytest.approx([0.1, 0.1, 0.3, 0.3, 0.5, 0.5])
    assert Staleness(2, 2, cycle=2).rollout_means(means_T) == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.3, 0.3])


def test_quantiles_by_hand():
    # Binomial(5, .4): .078, .259, .346, .230, ..; F = .078, .337, .683, .913.
    assert theory.true_quantiles(np.array([0.4]), STEP)[0] == pytest.approx([1.0, 3.0])
    low, high = 1 + (0.2 - 0.07776) / 0.2592 - 0.5, 3 + (0.8 - 0.68256) / 0.2304 - 0.5
    assert theory.true_quantiles(np.array([0.4]), SMOOTH)[0] == pytest.approx([low, high])
    assert theory.below(0.4, low, SMOOTH) == pytest.approx(0.2)
    assert theory.below(0.4, 2.0, STEP) == pytest.approx(0.33696)


def test_the_tracker_without_noise_is_the_engines():
    """The law of a step in which every bundle has its expected share: risk_advantages' own tracking, on the law."""
    means_T = theory.drift(40)
    free_TL = theory.noise_free(means_T, SMOOTH)
    tracker, q = SMOOTH.tracker, theory.true_quantiles(means_T[:1], SMOOTH)[0]
    assert free_TL[0] == pytest.approx(q)
    assert free_TL[1] == pytest.approx(q)  # the first step makes no update
    share_L = np.array([theory.below(means_T[1], point, SMOOTH) for point in q])
    assert free_TL[2] == pytest.approx(q + 0.1 * (np.array([0.2, 0.8]) - share_L))
    assert tracker.step_size == pytest.approx(0.1)
    # Many prompts, no staleness: what is tracked in the state comes near it.
    source, rng, state = torch.Generator().manual_seed(0), np.random.default_rng(0), RiskState()
    for mean in means_T:
        rates_P = theory.pass_rates(np.full(20_000, mean), rng)
        rewards_PG = torch.from_numpy((rng.random((20_000, 4)) < rates_P[:, None]).astype(float))
        used, state = state.quantiles_L, risk_advantages(rewards_PG, SMOOTH, state, source).state
    assert used == pytest.approx(free_TL[-1], abs=0.03)


@pytest.mark.parametrize("config", [STEP, SMOOTH], ids=["step", "continuous"])
def test_variance_of_a_share_by_brute_force(config):
    """All outcomes of one group of B = 2 prompts with G = 2 responses, p equally likely .2 and .7."""
    config = dataclasses.replace(config, bundle_size=2)
    mean, square = 0.45, (0.04 + 0.49) / 2
    points_N = np.array([0.6, 1.3])
    first, second = np.zeros(2), np.zeros(2)
    for p, q in itertools.product((0.2, 0.7), repeat=2):
        for rewards in itertools.product((0, 1), repeat=4):
            right = zip(rewards, (p, p, q, q), strict=True)
            chance = 0.25 * np.prod([r * rate + (1 - r) * (1 - rate) for r, rate in right])
            scores = np.array([rewards[0] + rewards[2], rewards[1] + rewards[3]])
            above_NS = points_N[:, None] - scores
            shares = above_NS > 0 if config.ties == "step" else np.clip(above_NS + 0.5, 0, 1)
            first, second = first + chance * shares.mean(1), second + chance * shares.mean(1) ** 2
    found = theory.share_variances(mean, square, points_N, config, 2, 2)
    assert found == pytest.approx(second - first**2)
    assert theory.share_variances(mean, square, points_N, config, 20, 2) == pytest.approx(found / 10)
    # 5 prompts: 3 groups, of which the last borrows: 9 / 5 groups' worth.
    assert theory.share_variances(mean, square, points_N, config, 5, 2) == pytest.approx(found * 5 / 9)


def test_second_moment_is_the_betas():
    rates_P = theory.pass_rates(np.full(400_000, 0.3), np.random.default_rng(0))
    assert rates_P.mean() == pytest.approx(0.3, abs=2e-3)
    assert (rates_P**2).mean() == pytest.approx(theory.second_moment(np.array([0.3]))[0], abs=2e-3)


def test_a_slow_drift_lags_by_v_over_h_f():
    means_T = np.linspace(0.50, 0.53, 2000)
    true_TL, free_TL = theory.true_quantiles(means_T, SMOOTH), theory.noise_free(means_T, SMOOTH)
    for level in range(2):
        v = true_TL[-1, level] - true_TL[-2, level]
        f = theory.least_slope(means_T[-1], true_TL[-1, level], 0.0, SMOOTH)
        assert true_TL[-1, level] - free_TL[-1, level] == pytest.approx(v / (0.1 * f), rel=0.03)


def test_the_least_slope_is_the_least():
    for mean, quantile, reach in [(0.4, 1.2, 0.9), (0.8, 3.6, 2.0), (0.2, -0.2, 0.1)]:
        at = theory.below(mean, quantile, SMOOTH)
        ends = np.linspace(-reach, reach, 2002)  # an even number: not 0 itself
        slopes = [(theory.below(mean, quantile + end, SMOOTH) - at) / end for end in ends]
        assert theory.least_slope(mean, quantile, reach, SMOOTH) == pytest.approx(min(slopes), abs=1e-3)


@pytest.mark.parametrize("quantile_lr", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("means_T", [theory.drift(150), theory.shock(150), theory.still(50)], ids=["d", "s", "0"])
def test_the_lag_stays_within_its_bound(means_T, quantile_lr):
    smooth = dataclasses.replace(SMOOTH, quantile_lr=quantile_lr)
    lag_TL = np.abs(theory.noise_free(means_T, smooth) - theory.true_quantiles(means_T, smooth))
    assert (lag_TL <= theory.lag_bounds(means_T, smooth) + 1e-9).all()
    step = dataclasses.replace(STEP, quantile_lr=quantile_lr)
    lag_TL = np.abs(theory.noise_free(means_T, step) - theory.true_quantiles(means_T, step))[1:]
    assert (lag_TL.mean(0) <= theory.mean_lag_bound(means_T, step)).all()


def test_a_climb_takes_the_square_root():
    """F falls by c a step at the point that is left: h c n^2 / 2 = spacing + h (1 - s), by hand for c from the law."""
    means_T = theory.drift(3000)
    jump, arrival, arrived = theory.climb_bounds(means_T, STEP)[0][1]  # q_low from 1 to 2, where the drift is even
    c = (theory.below(means_T[jump], 1.5, STEP) - theory.below(means_T[jump + 50], 1.5, STEP)) / 50
    assert arrived
    assert arrival - jump == pytest.approx(np.sqrt(2 * (1 + 0.1 * 0.8) / (0.1 * c)), rel=0.1)
    with pytest.raises(ValueError, match="do not fall"):
        theory.climb_bounds(means_T[::-1], STEP)


def test_known_quantiles_leave_the_advantages_alone():
    """Where what is tracked is the truth, nothing is off; where it is elsewhere, something is."""
    setting, means_T = staleness.Setting(SMOOTH, 40, 4), theory.still(25)
    rates = list(staleness.stale_rates(means_T, Staleness(0, 0), setting.prompts, np.random.default_rng(0)))
    first = staleness.simulate(SMOOTH, theory.true_quantiles(means_T, SMOOTH), rates, 4, *staleness.sources(1))
    own = staleness.simulate(SMOOTH, first.quantiles_TL, rates, 4, *staleness.sources(1))
    np.testing.assert_array_equal(own.quantiles_TL, first.quantiles_TL)
    assert own.difference == 0.0
    assert own.cosine == pytest.approx(1.0)
    assert first.difference > 0.0
    assert first.cosine < 1.0


def test_parts_add_up_to_at_least_the_error():
    setting, means_T = staleness.Setting(STEP, 40, 4), theory.drift(40)
    found = staleness.measure(setting, means_T, Staleness(0, 4), range(2))
    parts = found["parts"]
    whole = parts["staleness"] + parts["lag"] + parts["start"]["mean"] + parts["noise"]["mean"]
    assert found["error"]["mean"] <= whole + 1e-3
    assert parts["staleness"] <= found["bounds"]["staleness"]
    assert parts["lag"] <= found["bounds"]["lag"]


def test_batches_are_spent_share_by_share():
    means_T, sync = theory.drift(12), staleness.Sync(4, 1, easy_first=True)
    ages = Staleness(4, 4, cycle=4)
    shares = list(staleness.batched_rates(means_T, ages, sync, np.random.default_rng(0)))
    assert [len(share) for share in shares] == [staleness.BATCH // 4] * 12
    for start in (0, 4, 8):
        batch_P = np.concatenate(shares[start : start + 4])
        assert (np.diff(batch_P) <= 0).all()


def test_what_was_measured_stays_within_the_bounds():
    """The committed result: parts within bounds, and what docs say of them."""
    content = json.loads(staleness.RESULT.read_text(encoding="utf-8"))
    assert content["setting"]["seeds"] >= 10
    for cell in content["cells"].values():
        for part in ("staleness", "lag"):
            assert cell["parts"][part] <= cell["bounds"][part] + 1e-3
        if "noise_rms" in cell["bounds"]:
            assert cell["parts"]["noise_rms"] <= cell["bounds"]["noise_rms"]
            assert cell["error"]["mean"] <= sum(cell["bounds"].values())


def test_the_docs_numbers_are_the_measured():
    page = " ".join((Path(__file__).resolve().parents[2] / "docs" / staleness.PAGE).read_text(encoding="utf-8").split())
    content = json.loads(staleness.RESULT.read_text(encoding="utf-8"))
    ages = {(row["steps"], row["ties"], row["quantile_lr"]): row["lag_age"] for row in content["paces"]}
    here = {steps: [round(ages[steps, ties, 0.02]) for ties in ("step", "continuous")] for steps in (100, 300, 1000)}
    said = "({} and {} where the whole rise takes 100 updates, {} and {} at 300, {} and {} at 1000, ties `step`"
    assert said.format(*here[100], *here[300], *here[1000]) in page
    assert (
        f"above about {round(ages[300, 'continuous', 0.1])} (`continuous`) or {round(ages[300, 'step', 0.1])}" in page
    )
    slow = [round(ages[3000, "continuous", lr]) for lr in (0.02, 0.1)]
    assert "1/(h f) is about {} updates at `quantile_lr` .02 and {} at .1".format(*slow) in page
    cells = content["cells"]
    for name, cell in cells.items():
        setting, scenario, age = name.split("; ")
        share = cell["parts"]["lag"] / max(cell["bounds"]["lag"], 1e-9)
        if "512" in setting and scenario != "still":
            assert (0.75 < share < 0.85) if "continuous" in setting else (0.44 < share < 0.66)
        if scenario == "drift" and age in ("4", "16"):
            ratio = cell["parts"]["lag"] / cell["parts"]["staleness"]
            assert ratio > 10 if age == "4" else 2.5 < ratio < 3.5
    assert content["rates"]["paper; 0.1; drift; 0"]["parts"]["noise"]["mean"] == pytest.approx(1.0, abs=0.3)


def test_what_the_docs_say_of_recorded_runs():
    """Of the grid's runs of `exact` on chain-long: ends, and the fastest 100 steps by the mean."""
    results = staleness.RESULT.parent / "estimators" / "chain-long"
    runs = [json.loads(path.read_text())["metrics"] for path in sorted(results.glob("exact_seed*.json"))]
    reward_RT = np.array([run["reward"] for run in runs])
    start, end = reward_RT[:, :10].mean(), reward_RT[:, -20:].mean()
    steep = []
    for run in reward_RT:
        smooth = np.convolve(run, np.full(20, 1 / 20), "valid")
        mean_rate = (run[-20:].mean() - run[:10].mean()) / len(run)
        steep.append((smooth[20:] - smooth[:-20]).max() / 20 / mean_rate)
    assert (round(start, 2), round(end, 2), round(np.mean(steep), 1)) == (0.12, 0.87, 2.9)
