"""The released code's estimator against recorded outputs of that code, sums by hand, and a loop over responses."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError, RewardError
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.released import RELEASED, Released, released_advantages

NAN = math.nan
PRESETS = {name.replace("_", "-"): released for name, released in RELEASED.items()}


def matrix(text):
    return torch.tensor([[float(number) for number in line.split()] for line in text.strip().splitlines()])


def coins(prompts, responses, seed=0, unscorable=0.0):
    """0/1 rewards of prompts of all difficulties; some are NaN."""
    source = torch.Generator().manual_seed(seed)
    rewards_PG = (torch.rand(prompts, responses, generator=source) < torch.rand(prompts, 1, generator=source)).float()
    return rewards_PG.masked_fill(torch.rand(prompts, responses, generator=source) < unscorable, NAN)


# --- recorded outputs of the released function ---


def test_all_recorded_cases():
    """24 cases: three presets, short last groups, B = 1, tracked and mixed quantiles, graded rewards."""
    folders = [folder for parent in Path(__file__).parents if (folder := parent / "shared" / "golden").is_dir()]
    if not folders:
        pytest.skip("the recorded outputs of the released code lie in ../shared/golden, which is not here")
    lines = (folders[0] / "reference_advantages.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 24
    for case in map(json.loads, lines):
        settings = dict(case["config"])
        assert settings.pop("use_mean_as_baseline") is False  # no case turns it on: `Released` does not know it
        released = Released(bundle_size=case["bundle_size"], **settings)
        q_track = None if case["q_track"] is None else torch.tensor(case["q_track"])
        advantages_PG = released_advantages(torch.tensor(case["rewards"]), released, q_track)
        torch.testing.assert_close(
            advantages_PG,
            torch.tensor(case["advantages"]),
            rtol=1e-4,
            atol=1e-6,
            msg=lambda difference, case=case: f"{case['id']}: {difference}",
        )


# Some of them here, cut to the groups that show something (groups do not see each other).
RECORDED = {
    "partial last group, upper tail": (
        Released(
            bundle_size=3,
            credit_assign_mode="std",
            use_q_track_mode="mix",
            norm_adv_by_std_in_grpo=False,
            use_mixing_risk_measure=False,
            risk_seeking_upper_tail=True,
            natural_baseline_adv=True,
        ),
        None,
        """
        1 1 1 0 1 1 0 1
        0 0 0 1 1 1 0 1
        0 0 0 0 1 1 0 0
        0 0 0 0 0 0 0 0
        0 0 0 0 0 0 1 0
        """,
        """
        -2.304255 -2.304255 -2.304255 -2.304255 2.592278 2.592278 -2.304255 -0.8640953
        -1.995544 -1.995544 -1.995544 -1.995544 2.24498 2.24498 -1.995544 -0.7483287
        -2.304255 -2.304255 -2.304255 -2.304255 2.592278 2.592278 -2.304255 -0.8640953
        0 0 0 0 0 0 2.999982 0
        0 0 0 0 0 0 8.485215 0
        """,
    ),
    # A sum of 0.0014 over the second bundle: its wrong response gets +60, its best one -60.
    "sum-mean, sum near zero, graded": (
        Released(),
        None,
        """
        0 0 0 0 0.147 0 0.347 0.587 0.259 0.152 0 0 0 0 0.988 0.223
        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        0.979 0.686 0 0.402 0.252 0.52 0 0.978 0.682 0.517 0.223 0.923 0.682 0.157 0.393 0.902
        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        """,
        """
        -0.552747 60.13386 -0.5792262 0.04913517 0.005969712 0.2634717 0 0.4544593 0.3184639 0.4464962 -0.30637 \
            -0.6235299 15.71021 -0.4110278 1.126583 0.1178658
        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        1.506711 -59.62216 -1.777751 0.03388382 0.07252094 -0.002339295 0 0.4995044 0.5781412 0.03954235 -0.5358925 \
            1.492965 -15.20455 -0.8795357 -0.1726196 0.8360979
        0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
        """,
    ),
    # The prompts' means sum to 2: in float32 the third bundle's sum is 1.5e-8, not 0, and all the same takes 1/n.
    "sum-mean, sum of nothing but rounding, tracked quantiles": (
        Released(),
        [1.469, 3.139],
        """
        1 0 1 1 1
        1 0 1 0 1
        0 0 0 0 0
        1 0 0 1 0
        0 1 0 0 0
        """,
        """
        0.2886872 -1.591829 0.100126 0.100126 0.100126
        0.5773744 -1.193871 0.100126 0.100126 0.100126
        0 0 0.100126 0.100126 0.100126
        0.8660617 -0.7959143 0.100126 0.100126 0.100126
        -0.2886872 1.591829 0.100126 0.100126 0.100126
        """,
    ),
    # Tracked quantiles and a group of equal scores: the division by 1e-6.
    "B = 1, tracked quantiles": (
        dataclasses.replace(RELEASED["released_risk_seeking"], bundle_size=1),
        [0.142, 0.564],
        """
        0 0 0 0 0
        0 1 0 1 0
        1 1 0 1 1
        """,
        """
        -281332.59 -281332.59 -281332.59 -281332.59 -281332.59
        -0.93777269 4.359962 -0.93777269 4.359962 -0.93777269
        6.539938 6.539938 -1.4066581 6.539938 6.539938
        """,
    ),
    "score": (
        Released(quantile_up=0.9, credit_assign_mode="score", natural_baseline_adv=True),
        [1.831, 4.277],
        """
        0 0 0 0 0
        0 0 1 0 0
        1 0 0 0 0
        0 0 0 0 0
        0 0 0 1 1
        """,
        """
        -13.049775 -23.112007 -13.049775 -13.049775 -13.049775
        -13.049775 -23.112007 -4.349925 -13.049775 -13.049775
        -4.349925 -23.112007 -13.049775 -13.049775 -13.049775
        -13.049775 -23.112007 -13.049775 -13.049775 -13.049775
        -13.049775 -23.112007 -13.049775 -4.349925 -4.349925
        """,
    ),
}


@pytest.mark.parametrize("case", RECORDED)
def test_recorded(case):
    released, q_track, rewards, expected = RECORDED[case]
    q_track = None if q_track is None else torch.tensor(q_track)
    advantages_PG = released_advantages(matrix(rewards), released, q_track)
    assert advantages_PG.dtype == torch.float32
    torch.testing.assert_close(advantages_PG, matrix(expected), rtol=1e-4, atol=1e-6)


# --- by hand ---
# Two prompts [0, 1]: scores 0 and 2, quantiles at 1/4 and 3/4 linear: 1/2 and 3/2, standard deviation sqrt(2).
# Mixing, no constant: S = 0: (1.5 * -(1/2) / (1/4) + 0) / 2.5 = -1.2;  S = 2: (0 + (3/2 - 1/2) / (1/2)) / 2.5 = 0.8.
# With the constant q_a - q_b = -1 in the middle's numerator, -2 after division: (-3 - 2) / 2.5 = -2 and 0.
# Upper tail with the constant: S = 0: (0 - 2) / 2.5 = -0.8;  S = 2: (1.5 * (1/2) / (1/4) + 2 - 2) / 2.5 = 1.2.
# Credit: score 1.5 and 0.5; each prompt's standard deviation is sqrt(1/2); sum-mean: (-1/2) / (-1) and (1/2) / 1.

BY_HAND = Released(0.25, 0.75, 2, "uniform", norm_adv_by_std_in_grpo=False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (-1.2, 0.8)),
        ({"norm_adv_by_std_in_grpo": True}, (-1.2 / 2**0.5, 0.8 / 2**0.5)),
        ({"natural_baseline_adv": True}, (-2.0, 0.0)),
        ({"w_mix": 0.0}, (0.0, 2.0)),
        (
            {"use_mixing_risk_measure": False, "risk_seeking_upper_tail": True, "natural_baseline_adv": True},
            (-0.8, 1.2),
        ),
        ({"credit_assign_mode": "score"}, (-1.8, 0.4)),
        ({"credit_assign_mode": "std"}, (-1.2 * 2**0.5, 0.8 * 2**0.5)),
        ({"credit_assign_mode": "sum-mean"}, (-0.6, 0.4)),
    ],
)
def test_by_hand(options, expected):
    advantages_PG = released_advantages(matrix("0 1\n0 1"), dataclasses.replace(BY_HAND, **options))
    for row in advantages_PG.tolist():
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_quantile_modes_by_hand():
    """Tracked (0, 1) instead of (1/2, 3/2): S = 0: 0, S = 2: 2 / 2.5 = .8; the mean of both is (1/4, 5/4)."""
    rewards_PG, q_track = matrix("0 1\n0 1"), torch.tensor([0.0, 1.0])
    expected = {"track": (0.0, 0.8), "batch": (-1.2, 0.8), "mix": (-0.6, 0.8)}
    for mode, (low, high) in expected.items():
        released = dataclasses.replace(BY_HAND, use_q_track_mode=mode)
        with_tracked = released_advantages(rewards_PG, released, q_track)[0].tolist()
        assert with_tracked == pytest.approx((low, high), rel=1e-5, abs=1e-6)
        without = released_advantages(rewards_PG, released)[0].tolist()
        assert without == pytest.approx(expected["batch"], rel=1e-5)


def test_credit_std_leaves_a_prompt_without_spread_alone():
    """[0, .001] has a standard deviation of .0007, not above .001: divided by 1; [0, .002] by .0014."""
    uniform, divided = (dataclasses.replace(BY_HAND, credit_assign_mode=mode) for mode in ("uniform", "std"))
    rewards_PG = matrix("0 0.001\n0 0.002")
    shares_PG = released_advantages(rewards_PG, divided) / released_advantages(rewards_PG, uniform)
    assert shares_PG[0].tolist() == pytest.approx([1.0, 1.0], rel=1e-5)
    assert shares_PG[1].tolist() == pytest.approx([1 / (0.002 / 2**0.5 + 1e-6)] * 2, rel=1e-4)


# --- a response at a time ---


def one_by_one(rewards, released, q_track):
    """The released function as its formulas say, in double precision; NaN rewards by the documented rule."""
    advantages = [[0.0] * len(row) for row in rewards]
    for start in range(0, len(rewards), released.bundle_size):
        members = range(start, min(start + released.bundle_size, len(rewards)))
        scorable = {i: [r for r in rewards[i] if not math.isnan(r)] for i in members}
        partners = {i: complete(rewards[i]) for i in members}
        scores = [sum(partners[i][j] for i in members) for j in range(len(rewards[start]))]
        low, high = two_quantiles(scores, released, q_track)
        for j, score in enumerate(scores):
            signal = one_signal(score, low, high, released)
            if released.norm_adv_by_std_in_grpo:
                signal /= unbiased_std(scores) + 1e-6
            total = sum(partners[i][j] - mean(scorable[i]) for i in members)
            for i in members:
                r = rewards[i][j]
                if math.isnan(r):
                    continue
                elif released.credit_assign_mode == "uniform":
                    credit = 1.0
                elif released.credit_assign_mode == "score":
                    credit = 0.5 if r > 0 else 1.5
                elif released.credit_assign_mode == "std":
                    spread = unbiased_std(scorable[i])
                    credit = 1 / ((1.0 if spread <= 1e-3 else spread) + 1e-6)
                else:
                    credit = (r - mean(scorable[i])) / total if abs(total) > 1e-6 else 1 / len(members)
                advantages[i][j] = signal * credit
    return advantages


def complete(row):
    stand_ins = [r for r in row if not math.isnan(r)]
    completed, used = [], 0
    for r in row:
        if math.isnan(r):
            r, used = stand_ins[used % len(stand_ins)], used + 1
        completed.append(r)
    return completed


def one_signal(score, low, high, released):
    a, b = released.quantile_down, released.quantile_up
    middle = max(score - low, 0) - max(score - high, 0)
    if released.natural_baseline_adv:
        middle += low - high
    middle /= b - a + 1e-6
    if released.use_mixing_risk_measure:
        return (released.w_mix * -max(low - score, 0) / (a + 1e-6) + middle) / (released.w_mix + 1)
    return (released.upper_weight * max(score - high, 0) / (1 - b + 1e-6) + middle) / (released.upper_weight + 1)


def two_quantiles(scores, released, q_track):
    own = [linear_quantile(scores, level) for level in (released.quantile_down, released.quantile_up)]
    if q_track is None or released.use_q_track_mode == "batch":
        return own
    return q_track if released.use_q_track_mode == "track" else [(q + o) / 2 for q, o in zip(q_track, own, strict=True)]


def linear_quantile(values, level):
    ordered, position = sorted(values), level * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def mean(values):
    return sum(values) / len(values)


def unbiased_std(values):
    squares = sum((value - mean(values)) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0


@st.composite
def steps(draw, unscorable):
    """Rewards on a grid that float32 represents exactly, so that both sides take the same branches."""
    prompts, responses = draw(st.integers(1, 11)), draw(st.integers(2, 8))
    values = draw(st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 0.25, 0.5, 1.0)]))
    one = st.sampled_from((*values, NAN) if unscorable else values)
    row = st.lists(one, min_size=responses, max_size=responses).filter(lambda row: not all(map(math.isnan, row)))
    rewards = draw(st.lists(row, min_size=prompts, max_size=prompts))
    seeking = draw(st.booleans())
    low, high = draw(st.sampled_from([(0.2, 0.8), (0.2, 0.9), (0.1, 0.35)]))
    released = Released(
        low,
        high,
        draw(st.integers(1, 6)),
        draw(st.sampled_from(["uniform", "score", "std", "sum-mean"])),
        draw(st.sampled_from(["track", "batch", "mix"])),
        draw(st.booleans()),
        not seeking,
        seeking,
        draw(st.sampled_from([0.0, 0.5, 1.5])),
        draw(st.sampled_from([0.0, 1.5])),
        draw(st.booleans()),
    )
    q_track = draw(st.sampled_from([None, [0.5, 1.75], [-1.25, 3.0]]))
    return rewards, released, q_track


def check_one_by_one(step):
    rewards, released, q_track = step
    tracked = None if q_track is None else torch.tensor(q_track)
    advantages_PG = released_advantages(torch.tensor(rewards), released, tracked)
    expected_PG = torch.tensor(one_by_one(rewards, released, q_track))
    torch.testing.assert_close(advantages_PG, expected_PG, rtol=1e-4, atol=1e-5)


@given(steps(unscorable=False))
def test_equals_a_loop_over_responses(step):
    check_one_by_one(step)


@given(steps(unscorable=True))
def test_equals_a_loop_over_responses_where_some_are_unscorable(step):
    check_one_by_one(step)


# --- unscorable rewards ---


def test_stand_ins_by_hand():
    """Bundle 1 takes prompt 0's first scorable response, bundle 3 its second: scores 1 + 1, 1 + 0, 0 + 0, 0 + 1.

    With levels .25 and .75 the quantiles are .75 and 1.25. No constant, no scaling: S = 2 and S = 1 give
    (.5 / .5) / 2.5 = .4 and (.25 / .5) / 2.5 = .2, S = 0 gives 1.5 * -(.75 / .25) / 2.5 = -1.8.
    """
    rewards_PG = torch.tensor([[1.0, NAN, 0.0, NAN], [1.0, 0.0, 0.0, 1.0]])
    advantages_PG = released_advantages(rewards_PG, BY_HAND)
    assert advantages_PG[0].tolist() == pytest.approx([0.4, 0.0, -1.8, 0.0], rel=1e-5)
    assert advantages_PG[1].tolist() == pytest.approx([0.4, 0.2, -1.8, 0.2], rel=1e-5)


@pytest.mark.parametrize("released", RELEASED.values(), ids=RELEASED)
def test_unscorable_responses_get_zero_and_leave_other_groups_alone(released):
    without_PG = coins(23, 6)
    rewards_PG = without_PG.clone()
    rewards_PG[6:9, 1:5] = NAN
    rewards_PG[21, :5] = NAN  # in the short last group; one scorable response is left
    advantages_PG = released_advantages(rewards_PG, released)
    assert (advantages_PG[rewards_PG.isnan()] == 0).all()
    assert advantages_PG.isfinite().all()
    untouched_P = torch.tensor([*range(5), *range(10, 20)])
    assert torch.equal(advantages_PG[untouched_P], released_advantages(without_PG, released)[untouched_P])


# --- through the entry point ---


def step(preset, rewards_PG, overrides=None, state=RiskState()):  # noqa: B008  (frozen)
    config = RiskConfig.from_preset(preset, overrides)
    return risk_advantages(rewards_PG, config, state, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_the_released_settings(preset):
    config, released = RiskConfig.from_preset(preset), PRESETS[preset]
    assert (config.risk_low, config.risk_high) == (released.quantile_down, released.quantile_up)
    assert config.bundle_size == released.bundle_size
    rewards_PG = coins(22, 10)
    advantages_PG = step(preset, rewards_PG).advantages_PG
    assert torch.equal(advantages_PG, released_advantages(rewards_PG, released).double())
    assert advantages_PG.abs().max() > 1.0


def test_the_three_presets_differ():
    hard, easy, seeking = (step(preset, coins(20, 10)).advantages_PG for preset in PRESETS)
    assert not torch.allclose(hard, easy)
    assert not torch.allclose(easy, seeking)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_use_the_quantiles_of_the_group_alone(preset):
    """As run: tracked quantiles never reach the advantage, whatever the mode says."""
    rewards_PG = coins(22, 10)
    assert PRESETS[preset].use_q_track_mode == "track"
    of_batch = dataclasses.replace(PRESETS[preset], use_q_track_mode="batch")
    tracked = RiskState((0.5, 4.5), steps=3)
    after = step(preset, rewards_PG, state=tracked)
    assert torch.equal(after.advantages_PG, released_advantages(rewards_PG, of_batch).double())
    assert after.state == dataclasses.replace(tracked, steps=4)


def test_overrides_reach_the_released_function():
    rewards_PG = coins(12, 6)
    advantages_PG = step("released-easy", rewards_PG, {"bundle_size": 3, "risk_high": 0.7}).advantages_PG
    released = dataclasses.replace(RELEASED["released_easy"], bundle_size=3, quantile_up=0.7)
    assert torch.equal(advantages_PG, released_advantages(rewards_PG, released).double())


def test_hard_preset_does_not_see_the_unit_of_rewards():
    """Its signal is divided by the scores' spread and shared by proportions: +-1, as released, and 0/1 are the same."""
    signed = step("released-hard", 2 * coins(20, 10) - 1, {"reward_range": (-1.0, 1.0)}).advantages_PG
    torch.testing.assert_close(signed, step("released-hard", coins(20, 10)).advantages_PG, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_with_unscorable_rewards(preset):
    rewards_PG = coins(23, 6, unscorable=0.3)
    rewards_PG[4] = NAN  # takes no part: the prompts after it move up
    after = step(preset, rewards_PG)
    assert (after.advantages_PG[rewards_PG.isnan()] == 0).all()
    assert after.advantages_PG.isfinite().all()
    kept_P = torch.arange(23) != 4
    assert torch.equal(after.advantages_PG[kept_P], released_advantages(rewards_PG[kept_P], PRESETS[preset]).double())


# --- errors ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"credit_assign_mode": "sum_mean"}, "Did you mean 'sum-mean'"),
        ({"use_q_track_mode": "tracked"}, "Did you mean 'track'"),
        ({"quantile_down": 0.8}, "0 < quantile_down < quantile_up < 1, got 0.8 and 0.8"),
        ({"quantile_up": 1.0}, "got 0.2 and 1.0"),
        ({"bundle_size": 0}, "at least 1, got 0"),
        ({"w_mix": -1.0}, "must be >= 0, got -1.0"),
        ({"risk_seeking_upper_tail": True}, "got True for both"),
        ({"use_mixing_risk_measure": False}, "got False for both"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        Released(**settings)


@pytest.mark.parametrize(
    ("rewards", "q_track", "message"),
    [
        (torch.ones(6), None, r"got shape \(6,\)"),
        (torch.ones(6, 1), None, "two or more responses"),
        (torch.ones(0, 4), None, r"got shape \(0, 4\)"),
        (torch.tensor([[0.0, math.inf]]), None, "infinite"),
        (torch.tensor([[0.0, 1.0], [NAN, NAN]]), None, "prompt 1 has no scorable response"),
        (torch.ones(6, 4), torch.ones(3), "two finite quantiles"),
        (torch.ones(6, 4), torch.tensor([NAN, 1.0]), "two finite quantiles"),
    ],
)
def test_rewards_that_cannot_be_used(rewards, q_track, message):
    with pytest.raises(RewardError, match=message):
        released_advantages(rewards, Released(), q_track)
