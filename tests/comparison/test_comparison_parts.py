"""Entries, learning rates, curves, and what is written down of a grid."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.comparison.bands import band
from riskpo.comparison.design import threads_of
from riskpo.comparison.entries import Entry, read_entries
from riskpo.comparison.grid import state_of
from riskpo.comparison.results import read_curve
from riskpo.comparison.tuning import choose, default_rates, read_rates
from riskpo.errors import ConfigError
from riskpo.reports.figures import smooth
from tests.comparison.driver import design

# --- entries ---


def test_names_and_options():
    assert read_entries("exact, grpo,two_level") == [
        Entry("exact", ("--preset", "exact")),
        Entry("grpo", ("--estimator", "grpo")),
        Entry("two_level", ("--estimator", "two_level")),
    ]
    text = (
        'b10:preset=exact;bundle-size=10,up:measure=custom;spectrum_levels=0.2 0.8,s:schedule={"k": {"0": 1, "1": 4}}'
    )
    assert [entry.flags for entry in read_entries(text)] == [
        ("--preset", "exact", "--bundle_size", "10"),
        ("--measure", "custom", "--spectrum_levels", "0.2", "0.8"),
        ("--schedule", '{"k": {"0": 1, "1": 4}}'),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exact", "takes at least two"),
        ("exact,grop", "unknown preset or estimator 'grop'. Did you mean 'grpo'?"),
        ("exact,exact", "names exact twice"),
        ("exact,Exact:preset=exact", "twice"),  # one folder on some file systems
        ("exact,a/b:preset=exact", "the label 'a/b'"),
        ("exact,a:preset", "expected label:option=value;option=value, got 'preset'"),
        ("exact,a:seed=3", "seed is of the whole comparison"),
        ("exact,a:model_name_or_path=b", "model_name_or_path is of the whole comparison"),
        ("exact,a:eval_prompts=3", "eval_prompts is of the whole comparison"),
        ("exact,a:max_completion_length=3", "max_completion_length is of the whole comparison"),
        ("exact,a:temperature=0.5", "temperature is of the whole comparison"),
        ("exact,comparison.md:preset=exact", "names that begin with comparison are the report's"),
        ("exact,a:preset='exact", "does not parse: No closing quotation"),
        ("exact,a:schedule={1", "braces or brackets do not match"),
    ],
)
def test_entries_that_cannot_be(text, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        read_entries(text)


@pytest.mark.parametrize(
    ("estimators", "asked", "message"),
    [
        ("exact,a:preset=exact;bundle_sise=10", {}, r"a: unknown option 'bundle_sise'\. Did you mean 'bundle_size'"),
        ("exact,a:preset=exact;risk_low=2", {}, "a: .*risk_low"),
        ("exact,a:bundle_size=50", {}, "a: .*cannot fill a bundle of 50"),
        ("exact,grpo", {"baseline": "gpro"}, "--baseline gpro is none of the entries: exact, grpo"),
        ("exact,grpo", {"seeds": 0}, "--seeds must be in"),
        ("exact,grpo", {"flags": ("--seed", "3")}, "--seed is given to each run by the comparison"),
        ("exact,grpo", {"flags": ("--eval_prompts", "0")}, "judges by held-out prompts"),
        ("exact,grpo", {"tune": False, "tune_steps": 3}, "--no-tune tries no learning rates"),
        (
            "exact,a:preset=exact;learning_rate=3e-3",
            {"rates": ("1", "2")},
            "a: learning_rate would be lost, as",
        ),
        ("exact,grpo", {"rates": ("1", "2"), "flags": ("--learning-rate=3",)}, "learning_rate would be lost"),
    ],
)
def test_designs_that_cannot_be(tmp_path, estimators, asked, message):
    with pytest.raises(ConfigError, match=message):
        design(tmp_path, estimators, **asked)
    assert not list(tmp_path.iterdir())


# --- learning rates ---


def test_rates():
    assert default_rates(6e-4) == ["0.0002", "0.0006", "0.0018"]
    assert read_rates("3e-4,1e-4") == ["0.0001", "0.0003"]
    for text, message in [("1e-4", "needs no trial"), ("1e-4,x", "numbers"), ("1e-4,0", "> 0"), ("1,1.0", "different")]:
        with pytest.raises(ConfigError, match=message):
            read_rates(text)


def test_the_best_rate():
    """Right samples of two questions with four samples each."""
    correct = {"1": ([1, 2], 4), "2": ([4, 2], 4), "3": ([3, 3], 4)}
    found = choose(["1", "2", "3"], correct)
    assert found.trials == {"1": 3 / 8, "2": 6 / 8, "3": 6 / 8}
    assert (found.chosen, found.at_edge) == ("2", None)  # the smaller of two that are alike
    assert choose(["1", "2"], correct).at_edge == "highest"
    assert choose(["2", "3"], correct).at_edge is None  # alike: nothing is said of an edge
    assert choose(["2", "3"], correct).alike == ("2", "3")
    assert choose(["1", "2"], correct).alike == ()
    waiting = choose(["1", "2", "5"], correct)
    assert (waiting.chosen, waiting.missing) == (None, ("5",))


def test_trials_have_prompts_of_their_own(tmp_path):
    """None of the prompts that a final cell is evaluated on, for a task with a split for it and for one without."""
    from riskpo.runs.arguments import plan_new
    from riskpo.runs.session import check

    def held_out(flags):
        recipe, *rest = flags
        return {row["prompt"] for row in check(plan_new(recipe, None, rest)).held_out}

    for flags, options in [
        ((), ("--eval_split", "tune")),
        (("--eval_split", "tune"), ("--eval_offset", "20")),
        (("--task", "multiplication", "--eval_prompts", "7", "--max_steps", "2"), ("--eval_offset", "7")),
    ]:
        wanted = design(tmp_path, flags=flags, rates=("0.1", "0.2"))
        assert wanted.tuning == options
        trial, final = (
            held_out(wanted.trials()[0].flags),
            held_out(wanted.finals({"exact": "0.1", "grpo": "0.2"})[0].flags),
        )
        assert len(trial) == len(final) == wanted.first.run.eval_prompts
        assert not trial & final


def test_a_task_without_prompts_for_trials(tmp_path):
    flags = ("--task", "multiplication", "--eval_prompts", "10", "--max_steps", "2")
    with pytest.raises(ConfigError, match=r"test of multiplication has 14 prompts.*--no-tune"):
        design(tmp_path, flags=flags)
    assert design(tmp_path, flags=flags, tune=False).trials() == []


def test_every_entry_has_as_many_trials(tmp_path):
    wanted = design(tmp_path, "exact,fast:preset=exact;learning_rate=3e-3,grpo", tune_steps=4, flags=("--eval_at", "6"))
    assert wanted.rates["fast"] == ["0.001", "0.003", "0.009"]
    trials = wanted.trials()
    assert [cell.entry for cell in trials] == ["exact", "fast", "grpo"] * 3
    assert {cell.seed for cell in trials} == {1000}
    assert trials[0].flags[-6:] == ("--eval_split", "tune", "--max_steps", "4", "--eval_at", "4")


def test_threads_are_divided():
    assert threads_of(1) >= threads_of(2) >= threads_of(1000) == 1


# --- curves ---


@given(st.integers(1, 5), st.integers(1, 40), st.sets(st.integers(1, 39), max_size=5), st.integers(0, 99))
def test_a_stop_does_not_change_a_curve(every, steps, stops, seed):
    """Rows are means over the steps since the last row; a stop in between makes one more row."""
    rng = random.Random(seed)
    values = [rng.random() for _ in range(steps)]

    def rows(logged):
        ends = [step for step in range(1, steps + 1) if step in logged]
        return [
            {"step": end, "reward": sum(values[begin:end]) / (end - begin)}
            for begin, end in itertools.pairwise([0, *ends])
        ]

    regular = set(range(every, steps + 1, every))
    whole, stopped = (read_curve(rows(logged), "reward", every) for logged in (regular, regular | stops))
    assert set(whole) <= set(stopped)
    for step, value in whole.items():
        assert stopped[step] == pytest.approx(value)


def test_rows_without_the_number_are_passed_over():
    rows = [
        {"step": 1, "entropy": 2.0},
        {"step": 2, "reward": 0.5},
        {"step": 3, "reward": None},
        {"step": 4, "reward": 1.0},
    ]
    assert read_curve(rows, "reward", 1) == {2: 0.5, 4: 1.0}


def test_band_by_hand():
    """Two runs: half = t(.975, 1) * s / sqrt(2) = 12.706205 * |a - b| / 2."""
    found = band([{1: 0.0, 2: 0.4, 3: 9.0}, {1: 0.2, 2: 0.4}])
    assert found["steps"] == [1, 2]
    assert found["mean"] == pytest.approx([0.1, 0.4])
    assert found["low"] == pytest.approx([0.1 - 1.2706205, 0.4], abs=1e-5)
    assert found["high"] == pytest.approx([0.1 + 1.2706205, 0.4], abs=1e-5)
    one = band([{step: float(step % 7) for step in range(1, 101)}])
    assert (one["low"], one["high"]) == ([], [])
    import numpy as np

    assert one["mean"] == pytest.approx(smooth(np.array([float(step % 7) for step in range(1, 101)])), rel=1e-5)
    assert band([])["steps"] == []


def test_a_band_ends_where_the_values_do():
    """Means .1 and .4 of values in [0, 1]: the interval of the first reaches below 0, and neither is above 1."""
    runs = [{1: 0.0, 2: 0.3}, {1: 0.2, 2: 0.5}]
    whole, cut = band(runs), band(runs, (0.0, 1.0))
    assert (min(whole["low"]) < 0.0, max(whole["high"]) > 1.0) == (True, True)
    assert (cut["low"], cut["high"][1], cut["mean"]) == ([0.0, 0.0], 1.0, whole["mean"])
    assert band(runs, (0.0, math.inf))["high"] == whole["high"]
    assert band([{1: -1.0}, {1: 0.2}], (0.0, 1.0)) == band([{1: -1.0}, {1: 0.2}])  # not in the range that was declared


# --- state ---


@pytest.mark.parametrize("there", list(itertools.product([False, True], repeat=3)))
def test_state_of_a_cell(tmp_path, there):
    """Done with summary and last evaluation, and in no other case."""
    names = ("config.yaml", "eval/after.json", "summary.json")
    for name, write in zip(names, there, strict=True):
        if write:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("{}")
    expected = "done" if there[1] and there[2] else "begun" if any(there) else "new"
    assert state_of(tmp_path) == expected
