"""The checks on a run's log: numbers just on either side of each threshold, and the recorded runs."""

import json
import math
import sys
from pathlib import Path

import pytest

from riskpo.diagnosis.finding import Finding, Skipped
from riskpo.diagnosis.log import RunLog, as_log
from riskpo.diagnosis.measures import MEASURES, THRESHOLDS, fall_of, left_of_reward, threshold
from riskpo.diagnosis.run import CHECKS, check_run

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))
TINY = 1e-6


def log(rows=20, settings=None, moved=None, **columns):
    """A log of constant columns, or of the lists given; reward .3 in every step."""
    columns = {"step": [float(n) for n in range(1, rows + 1)], "reward": 0.3, **columns}
    full = {name: value if isinstance(value, list) else [value] * rows for name, value in columns.items()}
    return RunLog({name.replace("__", "/"): values for name, values in full.items()}, settings or {}, moved or {})


def said(code, given):
    outcome = CHECKS[code](given)
    return outcome.level if isinstance(outcome, Finding) else outcome


# --- each check, on either side of its threshold ---


def ends(before, after, rows=20):
    return [before] * (rows // 2) + [after] * (rows - rows // 2)


@pytest.mark.parametrize(
    ("after", "level"), [(0.0, "error"), (0.4 * threshold("fallen") - TINY, "error"), (0.4 * threshold("fallen"), None)]
)
def test_divergence(after, level):
    """A fall from .4 without noise but for the jump itself: 1 of 19 differences."""
    assert said("divergence", log(200, reward=ends(0.4, after, 200))) == level


@pytest.mark.parametrize(("scatter", "told"), [(0.001, True), (0.1, False)])
def test_divergence_needs_more_than_noise(scatter, told):
    """From .15 to .05, with neighbouring steps 2 x scatter apart: a difference of two windows of five has the standard
    error sqrt(2) scatter sqrt(2/5) = .09 for .1, so that the fall is one of them."""
    rewards = [(0.15 if n < 10 else 0.05) + scatter * (-1) ** n for n in range(20)]
    assert (left_of_reward(log(reward=rewards)) is not None) == told


def test_a_constant_reward_is_no_fall():
    assert fall_of(log(reward=0.3)).errors == 0.0
    assert fall_of(log(reward=0.0)).errors == 0.0


def test_a_sparse_reward_is_no_fall():
    """Two right answers in a hundred steps, both early: the best stretch is luck."""
    rewards = [0.0] * 100
    rewards[3] = rewards[40] = 0.0125
    assert CHECKS["divergence"](log(100, reward=rewards)) is None


def test_divergence_says_what_the_estimator_has_to_do_with_it():
    settings = {"estimator": "riskpo", "baseline": "anchor", "learning_rate": 6e-4}
    found = CHECKS["divergence"](log(200, settings, reward=ends(0.4, 0.0, 200)))
    assert "take preset exact" in found.change
    assert "(it was 0.0006)" in found.change
    assert "around step" in found.evidence
    assert "preset" not in CHECKS["divergence"](log(200, reward=ends(0.4, 0.0, 200))).change


def test_rewards_are_shares_of_their_range():
    """From 0 to -1 in [-1, 1] is a fall from a half to nothing; from 0 to -.4 it is one to .3, above half of a half."""
    settings = {"reward_range": [-1.0, 1.0]}
    assert said("divergence", log(200, settings, reward=ends(0.0, -1.0, 200))) == "error"
    assert said("divergence", log(200, settings, reward=ends(0.0, -0.4, 200))) is None


@pytest.mark.parametrize(
    ("left", "reward", "level"),
    [
        (THRESHOLDS["entropy_left"][0] - TINY, 0.3, "warning"),
        (THRESHOLDS["entropy_left"][0] + TINY, 0.3, None),
        (0.0, THRESHOLDS["room"][0] - TINY, "warning"),
        (0.0, THRESHOLDS["room"][0] + TINY, None),  # low entropy at a high reward is what learning looks like
    ],
)
def test_entropy_collapse(left, reward, level):
    assert said("entropy_collapse", log(entropy=ends(0.7, 0.7 * left), reward=reward)) == level


def test_one_step_of_another_kind_is_no_beginning():
    """Entropy 5 in the first step, then steadily .4."""
    assert said("entropy_collapse", log(100, entropy=[5.0] + [0.4] * 99)) is None
    found = CHECKS["entropy_collapse"](log(100, entropy=[5.0] + [0.4] * 49 + [0.01] * 50))
    assert found.evidence.startswith("The entropy fell from 0.400 to 0.010 (2%)")


@pytest.mark.parametrize(("rise", "level"), [(0.012, None), (0.004, "warning"), (-0.1, "warning")])
def test_a_reward_that_still_rises_is_no_collapse(rise, level):
    """Neighbouring steps .01 apart: a difference of two windows of ten has the standard error .0032, twice it .0063."""
    rewards = [(0.3 if n < 75 else 0.3 + rise) + 0.005 * (-1) ** n for n in range(100)]
    assert said("entropy_collapse", log(100, entropy=ends(0.7, 0.001, 100), reward=rewards)) == level


@pytest.mark.parametrize(
    ("flat", "reward", "level"), [(3, 0.3, "warning"), (2, 0.3, None), (5, 0.79, "warning"), (5, 0.81, None)]
)
def test_dead_window(flat, reward, level):
    """Of the last five steps, so many have a slope just below .05."""
    slopes = [0.5] * 15 + [0.05 - TINY] * flat + [0.05] * (5 - flat)
    assert said("dead_window", log(risk__mean_slope=slopes, reward=reward)) == level


def uniform(wrong, right, **columns):
    return log(risk__frac_uniform_prompts_all_wrong=wrong, risk__frac_uniform_prompts_all_right=right, **columns)


@pytest.mark.parametrize(
    ("wrong", "right", "level"),
    [(0.8, 0.0, "warning"), (0.8 - TINY, 0.0, None), (0.0, 0.95, "note"), (0.0, 0.95 - TINY, None)],
)
def test_uniform_prompts(wrong, right, level):
    assert said("uniform_prompts", uniform(wrong, right, reward=ends(0.2, 0.3))) == level


def test_a_reward_that_never_changes_is_suspect():
    for wrong, right, reward in ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)):
        found = CHECKS["uniform_prompts"](uniform(wrong, right, reward=reward))
        assert found.level == "warning"
        assert "riskpo doctor rewards" in found.change


@pytest.mark.parametrize(("side", "reward"), [("wrong", 0.1), ("right", 0.9)])
def test_a_steady_reward_within_the_range_is_another_matter(side, reward):
    """Some response scored otherwise, in every step."""
    found = CHECKS["uniform_prompts"](uniform(*((0.85, 0.0) if side == "wrong" else (0.0, 0.96)), reward=reward))
    assert "ever scored otherwise" not in found.change


def test_the_ends_are_those_of_the_declared_range():
    found = CHECKS["uniform_prompts"](
        log(
            20,
            {"reward_range": [-1.0, 1.0]},
            reward=-1.0,
            risk__frac_uniform_prompts_all_wrong=1.0,
            risk__frac_uniform_prompts_all_right=0.0,
        )
    )
    assert "No response ever scored otherwise" in found.change


@pytest.mark.parametrize(
    ("norm", "clip", "reward", "level"),
    [
        (1e-4, 1.0, 0.3, "warning"),
        (1.01e-4, 1.0, 0.3, None),
        (1.01e-4, 2.0, 0.3, "warning"),
        (1e-4, None, 0.3, "warning"),
        (0.0, 1.0, 0.81, None),
    ],
)
def test_starved_gradients(norm, clip, reward, level):
    settings = {} if clip is None else {"max_grad_norm": clip}
    assert said("starved_gradients", log(20, settings, grad_norm=ends(1.0, norm), reward=reward)) == level


@pytest.mark.parametrize(
    ("cut", "length", "level"),
    [(0.4 + TINY, 10.0, "warning"), (0.4 - TINY, 10.0, None), (0.1, 5.0 - TINY, "warning"), (0.1, 5.0, None)],
)
def test_length_drift(cut, length, level):
    """A tenth is cut at the beginning, at ten tokens; growth alone is no finding."""
    columns = {"completions__clipped_ratio": ends(0.1, cut), "completions__mean_length": ends(10.0, length)}
    assert said("length_drift", log(**columns)) == level
    columns["completions__mean_length"] = ends(10.0, 100.0)
    assert said("length_drift", log(**columns)) == (level if cut > 0.4 else None)


@pytest.mark.parametrize(
    ("reward", "level"),
    [
        ([0.33 + 0.0054 * n for n in range(100)], "note"),  # learned to be concise
        ([0.33 + 0.002 * n for n in range(100)], "note"),
        (0.85, "note"),
        (0.3, "warning"),
        ([0.6 - 0.003 * n for n in range(100)], "warning"),
    ],
)
def test_shorter_and_better_is_no_alarm(reward, level):
    lengths = [96.0 - 0.72 * n for n in range(100)]
    given = {"reward": reward, "completions__mean_length": lengths, "completions__clipped_ratio": 0.0}
    assert said("length_drift", log(100, **given)) == level


@pytest.mark.parametrize(
    ("cut", "reward", "level"), [(0.8, 0.3, "warning"), (0.8 - TINY, 0.3, None), (0.8, 0.81, None)]
)
def test_cut_from_the_first_step_on(cut, reward, level):
    assert said("length_drift", log(completions__clipped_ratio=cut, reward=reward)) == level
    columns = {"completions__clipped_ratio": cut, "completions__mean_length": 5.0}
    assert said("length_drift", log(**columns, reward=reward)) == level


@pytest.mark.parametrize(
    ("share", "level"), [(0.05 - TINY, None), (0.05 + TINY, "warning"), (0.5 - TINY, "warning"), (0.5 + TINY, "error")]
)
def test_verifier_errors(share, level):
    assert said("verifier_errors", log(risk__frac_unscorable=share)) == level
    assert said("verifier_errors", log(risk__frac_unscorable=ends(0.0, share))) == level  # a verifier that broke late


@pytest.mark.parametrize(("down", "up", "level"), [(2, 0, "note"), (1, 0, None), (0, 8, "note"), (0, 7, None)])
def test_sign_flips(down, up, level):
    moved = {"right": 200.0, "wrong": 800.0, "right_down": float(down), "wrong_up": float(up)}
    assert said("sign_flips", log(moved=moved)) == level


def test_sign_flips_without_a_right_response():
    found = CHECKS["sign_flips"](log(moved={"right": 0.0, "wrong": 10.0, "right_down": 0.0, "wrong_up": 1.0}))
    assert found.evidence == "Moved the wrong way within their prompt: 10% of 10 wrong responses up."


def test_not_finite():
    rows = [{"step": n, "reward": 0.1, "loss": None if n == 3 else 0.1, "grad_norm": 1.0} for n in range(12)]
    found = CHECKS["not_finite"](as_log(rows))
    assert (found.level, found.evidence) == ("error", "Not a finite number: loss in 1 of 12 logged steps.")
    del rows[3]["loss"], rows[4]["grad_norm"]  # what a row lacks is no bad number
    assert CHECKS["not_finite"](as_log(rows)) is None
    found = CHECKS["not_finite"](as_log([{**row, "loss": math.inf, "grad_norm": None} for row in rows]))
    assert found.evidence == "Not a finite number: loss in 12 of 12, grad_norm in 12 of 12 logged steps."


# --- what is missing ---


def test_a_log_of_the_reward_alone():
    found = check_run(log(), "a run")
    assert found.checked == ("not_finite", "divergence")
    assert {one.check for one in found.skipped} == {*CHECKS} - {"not_finite", "divergence"}
    assert all(one.missing for one in found.skipped)


def test_a_run_that_has_just_begun():
    found = check_run(log(9, reward=[0.5] * 4 + [0.0] * 5), "a run")
    assert not found.findings
    assert found.checked == ("not_finite",)
    few = "10 logged steps with a reward (there are 9)"
    assert {*found.skipped} == {Skipped(code, few) for code in CHECKS if code != "not_finite"}
    (broken,) = check_run(log(9, reward=[0.5] * 8 + [math.nan]), "a run").findings
    assert broken.evidence == "Not a finite number: reward in 1 of 9 logged steps."


# --- numbers that are none, rewards outside their range ---


def test_rewards_that_became_no_numbers():
    """From row 20 of 100 on nothing is finite: the end is the end, not the middle, and says nothing."""
    found = check_run(log(100, reward=[0.3] * 20 + [math.nan] * 80, entropy=[0.6] * 20 + [math.nan] * 80), "a run")
    (finding,) = found.findings
    assert (finding.level, finding.code) == ("error", "not_finite")
    assert finding.evidence == "Not a finite number: reward in 80 of 100, entropy in 80 of 100 logged steps."
    assert Skipped("divergence", "finite values of reward at the beginning and at the end") in found.skipped
    assert found.facts == {
        "logged steps": "100",
        "reward": "0.3 at the beginning, not finite at the end",
        "entropy": "0.6 at the beginning, not finite at the end",
    }


def test_a_reward_that_never_was_a_number():
    found = check_run(log(reward=math.nan, risk__frac_unscorable=1.0), "a run")
    assert [finding.code for finding in found.findings] == ["not_finite", "verifier_errors"]
    assert "riskpo doctor rewards" in found.findings[0].change


def test_single_steps_without_a_number_hide_no_fall():
    rewards = ends(0.4, 0.0, 200)
    rewards[5] = rewards[150] = math.nan
    codes = [finding.code for finding in check_run(log(200, reward=rewards), "a run").findings]
    assert codes == ["not_finite", "divergence"]


@pytest.mark.parametrize("reward", [ends(0.0, -1.0, 200), [3.0 + 0.01 * n for n in range(200)]])
def test_rewards_outside_their_range(reward):
    """No share of [0, 1]: what reads shares says so; with the right range it speaks."""
    found = check_run(log(200, reward=reward, grad_norm=0.0, risk__frac_unscorable=0.2), "a run")
    assert [finding.code for finding in found.findings] == ["verifier_errors"]
    missing = {one.check: one.missing for one in found.skipped}
    assert missing["divergence"].startswith("rewards within a known reward_range, else [0, 1] (logged means go from ")
    assert missing["starved_gradients"] == missing["divergence"]
    found = check_run(log(200, {"reward_range": [-1.0, 5.0]}, reward=reward, grad_norm=0.0), "a run")
    assert "divergence" in found.checked


def test_a_fall_from_the_lowest_reward_is_none():
    assert left_of_reward(log(200, reward=ends(0.0, -1.0, 200))) is None


def test_every_threshold_has_its_reason_and_its_row():
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    for name, (value, why) in THRESHOLDS.items():
        assert math.isfinite(value)
        assert len(why) > 20
        assert f"`{name}`" in page, name
    for code in CHECKS:
        assert f"| `{code}` |" in page, code
    assert MEASURES.keys() <= THRESHOLDS.keys()


# --- recorded runs ---


def test_the_committed_table_is_what_the_doctor_says():
    from experiments import doctor_confusion as script

    runs = list(script.recorded())
    written = json.loads(script.PATH.read_text(encoding="utf-8"))
    even, odd = ([run for run in runs if run.seed % 2 == parity] for parity in (0, 1))
    assert script.thresholds(even) == written["thresholds"]
    assert script.confusion(odd) == written["confusion"]


def test_recorded_healthy_and_sick_runs_are_told_apart():
    """On the seeds that set no threshold: no false alarm, and each kind gets its finding."""
    from experiments import doctor_confusion as script

    written = json.loads(script.PATH.read_text(encoding="utf-8"))["confusion"]
    assert sum(one["runs"] for kind, one in written.items() if script.EXPECTED[kind][0] is None) >= 30
    assert all(one["runs"] == 2 for kind, one in written.items() if not kind.startswith("grid"))
    for kind, one in written.items():
        assert one["false_alarms"] == one["missed"] == 0, kind
