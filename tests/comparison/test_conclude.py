"""Intervals, tests and sentences: by hand, by tables of sample sizes, and by brute force."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.comparison.conclude import conclude, detectable_difference, entry_interval, paired_runs, seeds_needed
from riskpo.comparison.results import RunResult
from riskpo.evaluation.ttest import t_test_power

SAMPLES = 10


def run(seed, *correct):
    """A run whose right samples of ten a question are given."""
    return RunResult(seed, correct, SAMPLES, 0.5, 0.0, correct, {}, {})


def runs(*scores):
    """Runs of seeds 0, 1, ... with two questions, whose mean pass@1 is given in twentieths."""
    return [run(seed, total // 2, total - total // 2) for seed, total in enumerate(scores)]


# --- numbers ---


def test_the_interval_over_seeds_by_hand():
    """.5, .6, .7: mean .6, s = .1, t(.975, 2) = 4.302653."""
    found = entry_interval(runs(10, 12, 14), 1)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half), abs=1e-6)
    assert (found.source, found.units) == ("runs", 3)


def test_one_run_is_known_over_questions():
    found = entry_interval(runs(10), 1)
    assert (found.source, found.units, found.mean) == ("questions", 2, 0.5)


def test_the_paired_t_test_by_hand():
    """.02, .03, .07: mean .04, s^2 = .0007, t^2 = 6.857143; with 2 degrees P(|T| <= t) = t / sqrt(2 + t^2)."""
    found = paired_runs([0.02, 0.03, 0.07])
    half = 4.302653 * math.sqrt(0.0007 / 3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.04, 0.04 - half, 0.04 + half), abs=1e-6)
    assert found.p == pytest.approx(1 - math.sqrt(6.857143 / 8.857143), abs=1e-6)
    assert found.spread == pytest.approx(math.sqrt(0.0007))


def test_pairing_takes_out_what_seeds_share():
    """Seeds differ by .2, the entries by .05 in each but for a little: the difference is known well."""
    found = paired_runs([0.05, 0.06, 0.04])
    assert found.high - found.low < 0.06


@given(st.lists(st.integers(-10, 10), min_size=2, max_size=12))
def test_p_and_interval_agree(differences):
    """p < 0.05 where the interval leaves 0 out, and nowhere else."""
    found = paired_runs([difference / 20 for difference in differences])
    if found.low is None:
        assert (found.p, len(set(differences))) == (None, 1)
    else:
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize(
    ("difference", "spread", "needed"),
    # The number of pairs for a two-sided paired t test at 5 % and power 80 %, as tables have it.
    [(2.0, 1.0, 5), (1.5, 1.0, 6), (1.0, 1.0, 10), (0.8, 1.0, 15), (0.5, 1.0, 34), (0.05, 0.1, 34), (0.2, 1.0, 199)],
)
def test_seeds_needed_as_in_tables(difference, spread, needed):
    assert seeds_needed(difference, spread, 1) == needed
    assert seeds_needed(-difference, spread, 1) == needed


@given(st.floats(0.3, 3.0), st.integers(1, 5))
def test_seeds_needed_by_counting_up(effect, comparisons):
    found = seeds_needed(effect, 1.0, comparisons)
    alpha = 0.05 / comparisons
    counted = next(n for n in range(2, 20_000) if t_test_power(effect * math.sqrt(n), n - 1, alpha) >= 0.8)
    assert found == counted


@given(st.integers(2, 60), st.floats(0.01, 0.3), st.integers(1, 4))
def test_what_is_detectable_needs_as_many_seeds(seeds, spread, comparisons):
    found = detectable_difference(spread, seeds, comparisons)
    assert seeds_needed(found * 1.0001, spread, comparisons) == seeds
    assert seeds_needed(found * 0.9999, spread, comparisons) == seeds + 1


def test_beyond_a_million_seeds_nothing_is_promised():
    assert seeds_needed(1e-6, 1.0, 1) is None


@pytest.mark.parametrize("seeds", [3, 5, 34])
def test_the_power_that_is_promised(seeds):
    """So many seeds find what is called detectable in four of five simulated comparisons, few seeds too."""
    rng, shift = random.Random(seeds), detectable_difference(0.1, seeds, 1)
    found = sum(paired_runs([rng.gauss(shift, 0.1) for _ in range(seeds)]).p <= 0.05 for _ in range(4000))
    assert abs(found / 4000 - 0.8) < 4 * math.sqrt(0.16 / 4000)


# --- outcomes ---


def test_holm_over_the_entries():
    """Raw p .02 and .04: one comparison each would call both, two call the first (.04), and the second by .04."""
    base = runs(10, 10, 10, 10, 10, 10)
    found = conclude({"base": base, "a": runs(12, 13, 11, 12, 14, 11), "b": runs(11, 11, 10, 11, 10, 12)}, "base", [1])
    (a, b) = found["pass@1"]
    assert a.p < b.p
    assert a.p_holm == pytest.approx(2 * a.p)
    assert b.p_holm == pytest.approx(max(b.p, 2 * a.p))
    assert a.outcome == "better"
    alone = conclude({"base": base, "b": runs(11, 11, 10, 11, 10, 12)}, "base", [1])["pass@1"][0]
    assert alone.p_holm == alone.p == b.p


def test_a_correction_can_take_a_conclusion_back():
    base = runs(10, 10, 10, 10)
    close = runs(11, 12, 12, 13)  # p = .0163
    alone = conclude({"base": base, "close": close}, "base", [1])["pass@1"][0]
    noise = {f"n{i}": runs(9, 11, 10 + i, 10 - i) for i in range(1, 4)}
    among = conclude({"base": base, "close": close, **noise}, "base", [1])["pass@1"][0]
    assert alone.p == among.p == pytest.approx(0.0163, abs=1e-4)
    assert (alone.outcome, among.outcome) == ("better", "not distinguishable")
    assert among.p_holm == pytest.approx(4 * alone.p)
    assert among.low > 0.0
    assert among.more_seeds >= 1


@given(st.lists(st.integers(0, 20), min_size=2, max_size=6), st.data())
def test_more_seeds_are_needed_wherever_nothing_is_concluded(first, data):
    second = data.draw(st.lists(st.integers(0, 20), min_size=len(first), max_size=len(first)))
    third = data.draw(st.lists(st.integers(0, 20), min_size=len(first), max_size=len(first)))
    found = conclude({"a": runs(*first), "b": runs(*second), "c": runs(*third)}, "a", [1])["pass@1"]
    for one in found:
        if (
            one.outcome == "not distinguishable"
            and one.low is not None
            and one.difference
            and one.more_seeds is not None
        ):
            assert one.more_seeds >= 1


def test_worse_is_better_the_other_way_round():
    a, b = runs(10, 11, 10, 12), runs(14, 15, 15, 16)
    forwards = conclude({"a": a, "b": b}, "a", [1])["pass@1"][0]
    backwards = conclude({"a": a, "b": b}, "b", [1])["pass@1"][0]
    assert (forwards.outcome, backwards.outcome) == ("better", "worse")
    assert (forwards.low, forwards.high) == pytest.approx((-backwards.high, -backwards.low))


def test_the_order_of_the_runs_does_not_matter():
    a, b = runs(10, 11, 9, 12), runs(14, 10, 15, 16)
    assert conclude({"a": a, "b": b}, "a", [1, 4]) == conclude({"a": a[::-1], "b": b[2:] + b[:2]}, "a", [1, 4])


def test_only_shared_seeds_are_paired():
    a, b = runs(10, 11, 9, 0), runs(12, 14, 11)
    (found,) = conclude({"a": a, "b": b}, "a", [1])["pass@1"]
    assert found.units == 3
    assert found.difference == pytest.approx((2 + 3 + 2) / 3 / 20)


# --- sentences ---


def test_what_is_said_of_a_difference():
    (found,) = conclude({"a": runs(10, 11, 10, 12), "b": runs(14, 15, 15, 16)}, "a", [1])["pass@1"]
    assert found.sentence == (
        "b is better than a by pass@1 with 4 seeds: +21.2 points (95 % over seeds +17.3 to +25.2), p = 4e-04; paired t "
        "test."
    )


def test_what_is_said_of_none():
    (found,) = conclude({"a": runs(10, 11, 9, 10), "b": runs(12, 10, 10, 11)}, "a", [1])["pass@1"]
    assert found.outcome == "not distinguishable"
    assert "b and a are not distinguishable by pass@1 with 4 seeds: +3.7 points" in found.sentence
    needed = seeds_needed(found.difference, paired_runs([0.1, -0.05, 0.05, 0.05]).spread, 1) - 4
    assert found.more_seeds == needed
    assert (
        f"About {needed} more seeds would be needed to find a difference of this size with 80 % power" in found.sentence
    )
    assert "A true difference of " in found.sentence


def test_equal_differences_have_no_spread():
    (found,) = conclude({"a": runs(10, 11), "b": runs(12, 13)}, "a", [1])["pass@1"]
    assert (found.low, found.p, found.p_holm, found.outcome) == (None, None, None, "not distinguishable")
    assert "+10.0 points in each of 2 seeds, so the spread over seeds cannot be told, and no test is" in found.sentence


def test_what_cannot_be_tested_counts_in_the_correction():
    found = conclude({"a": runs(10, 11), "b": runs(12, 13), "c": runs(12, 14)}, "a", [1])["pass@1"]
    assert [one.p_holm for one in found] == [None, pytest.approx(2 * found[1].p)]


def test_one_more_seed_is_no_plural():
    """Differences of 4 and 6 twentieths: T = 5, below 12.7 with 2 seeds; a third finds that with power 80 %."""
    (found,) = conclude({"a": runs(10, 10), "b": runs(14, 16)}, "a", [1])["pass@1"]
    assert (found.outcome, found.more_seeds) == ("not distinguishable", 1)
    assert "About 1 more seed would be needed to find" in found.sentence
    (found,) = conclude({"a": runs(10, 10), "b": runs(12, 16)}, "a", [1])["pass@1"]
    assert f"About {found.more_seeds} more seeds would be needed to find" in found.sentence


def test_one_seed_says_nothing_of_seeds():
    """Twelve questions, all of them better: over questions it is clear, and the sentence says over what."""
    a, b = [run(0, *[2] * 12)], [run(0, *[7, 8, 9] * 4)]
    (found,) = conclude({"a": a, "b": b}, "a", [1])["pass@1"]
    assert (found.over, found.units, found.outcome, found.more_seeds) == ("questions", 12, "better", None)
    assert found.p == pytest.approx(2 / 2**12)
    assert "b is better than a by pass@1 with one seed" in found.sentence
    assert found.sentence.endswith("One seed knows nothing of other seeds: training again may turn it round.")


def test_nothing_to_compare_yet():
    (found,) = conclude({"a": runs(10), "b": [run(1, 5, 5)]}, "a", [1])["pass@1"]
    assert (found.outcome, found.p_holm) == ("not compared", None)
    assert found.sentence == "b and a cannot be compared yet: no seed is finished for both."
