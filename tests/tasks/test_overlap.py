"""Repeats, conflicts and overlaps: by hand, against brute force, and the known numbers of the real data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.tasks.base import Item
from riskpo.tasks.clean import clean, decontaminate
from riskpo.tasks.defects import DEFECTS, defects_of
from riskpo.tasks.loading import Loaded, load
from riskpo.tasks.overlap import Benchmark, fingerprint, group, mark, same_gold
from riskpo.tasks.registry import DATA_TASKS
from riskpo.tasks.survey import load_benchmarks, survey

LONG = "a train leaves the station at noon and travels north at sixty miles per hour until it stops for water"


def items(*pairs):
    return tuple(Item(question, answer, str(number)) for number, (question, answer) in enumerate(pairs))


def loaded(*pairs, task="math"):
    return Loaded(DATA_TASKS[task], "train", items(*pairs), "plain", {})


# --- repeats and conflicts ---


def test_groups_by_hand():
    groups = group(items(("a b", "1"), ("ab", "1.0"), ("c", "2"), ("a\nb", "3"), ("d", r"\frac12"), (" d", "0.5")))
    assert (groups.distinct, groups.repeats, groups.conflicts) == (3, (1, 3, 5), ((0, 1, 3),))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("27", "27.0", True),
        (r"\frac13", r"\frac{1}{3}", True),
        (r"x + 1", "x+1", True),
        ("1,234", "1234", True),
        ("17", "177", False),
        ("x", "y", False),
        (None, None, True),
        (None, "1", False),
    ],
)
def test_equal_golds(one, other, same):
    assert same_gold(one, other) == same_gold(other, one) == same


def test_other_programs_for_the_same_tests_are_no_conflict():
    rows = [Item("q", program, program, {"test_list": ["assert f()"]}) for program in ("a", "b")]
    assert group(rows).conflicts == ()


def test_the_same_text_with_another_image_is_another_question():
    rows = [Item("Find x.", gold, gold, image=f"{gold}.png") for gold in "12"]
    assert group(rows).distinct == 2


# --- overlaps ---


def by_brute_force(text, other, words):
    """Shared runs of words of two texts, and the number of runs of the shorter, from lists of lists."""

    def runs(words_of):
        return {tuple(words_of[start : start + words]) for start in range(len(words_of) - words + 1)}

    one, two = runs(text.split()), runs(other.split())
    return len(one & two), min(len(one), len(two))


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.lists(st.sampled_from("abc"), min_size=1, max_size=12)
)
def test_runs_against_brute_force(one, other):
    text, asked = " ".join(one), " ".join(other)
    benchmark = Benchmark("b", items((asked, "1")), words=3)
    shared, shorter = by_brute_force(text, asked, 3)
    own = mark(Item(text, "1"), 3)
    assert benchmark.touches(own) == (shared > 0)
    assert benchmark.overlaps(own) == (shared > 0 and shared >= shorter / 2)
    assert benchmark.holds(own) == (one == other or "".join(one) == "".join(other))


def test_overlaps_by_hand():
    """19 words have 7 runs of 13: with one word changed at the end 6 are shared; cut in the middle none."""
    benchmark = Benchmark("b", items((LONG, "1")))
    changed = LONG.replace("water", "coal")
    assert benchmark.overlaps(mark(Item(changed, "1")))
    assert benchmark.overlaps(mark(Item(f"Solve this. {LONG.upper()}!", "1")))
    assert not benchmark.holds(mark(Item(changed, "1")))
    middle = LONG.replace("travels", "goes")
    assert not benchmark.touches(mark(Item(middle, "1")))
    short = "what is one and one"
    assert not Benchmark("b", items((short, "2"))).overlaps(mark(Item(short, "2")))


def test_a_common_phrase_is_no_overlap():
    phrase = "where m and n are relatively prime positive integers find the value of m plus n"
    one = "The probability that a fair coin falls heads at least four times in nine throws is m over n " + phrase
    other = "A point is chosen in a square of side seven and its distance to a corner has the mean m over n " + phrase
    benchmark = Benchmark("b", items((one, "1")))
    assert benchmark.touches(mark(Item(other, "1")))
    assert not benchmark.overlaps(mark(Item(other, "1")))


# --- cleaning ---


def test_cleaning_by_hand():
    cleaned = clean(loaded(("a", "1"), ("a ", "1"), ("b", "1"), ("b", "2"), ("b", "1"), ("c", "3")))
    assert [item.question for item in cleaned.loaded.items] == ["a", "c"]
    assert list(cleaned.dropped.values()) == [0, 3, 1]
    assert cleaned.in_words == "left out 4 of 6 rows: 3 of questions with conflicting golds, 1 that repeat another"


def test_decontamination_by_hand():
    benchmark = Benchmark("b/test", items(("a", "9"), (LONG, "9")))
    cleaned = decontaminate(loaded(("a\n", "1"), (LONG + " and coal", "1"), ("c", "3")), [benchmark])
    assert [item.question for item in cleaned.loaded.items] == ["c"]
    assert {what: count for what, count in cleaned.dropped.items() if count} == {
        "also in b/test": 1,
        "nearly in b/test (13-word runs)": 1,
    }


# --- the real data ---


@pytest.fixture(scope="module")
def dapo(data):
    return load(DATA_TASKS["dapo-math-17k"], data_dir=data)


@pytest.fixture(scope="module")
def benchmarks(data):
    return load_benchmarks("text", data)


def test_the_known_numbers_of_dapo(dapo, benchmarks, data):
    """Blanks ignored. Of OlympiadBench only every second problem is here, so two of the four that it shares."""
    pairs, missing = benchmarks
    assert missing == ["minerva/test", "livecodebench/test"]
    train = load(DATA_TASKS["math"], "train", data_dir=data)
    found = survey(dapo, [*pairs, (train, Benchmark("math/train", train.items, 13))])
    assert (found.rows, found.exact, found.distinct, len(found.conflicts)) == (17917, 17290, 16921, 15)
    assert ("dapo-05785", "dapo-10267") in found.conflicts
    asked = {one.benchmark: one.asked for one in found.overlaps}
    assert asked == {
        "math/train": 1732,
        "math/test": 972,
        "math500/test": 4,
        "amc/test": 12,
        "olympiadbench/half": 2,
        "aime24/test": 0,
        "aime25/test": 0,
        "gsm8k/test": 0,
        "humaneval/test": 0,
        "mbpp/test": 0,
    }
    rows = {one.benchmark: (one.same, one.near) for one in found.overlaps}
    assert rows["math/test"] == (1003, 470)
    assert rows["aime24/test"] == (0, 1)
    assert len(found.defects) == 13


def test_every_known_row_of_dapo_is_there(dapo):
    known = {defect.row: defect for defect in DEFECTS if defect.task == "dapo-math-17k"}
    there = {item.source_id: item for item in dapo.items}
    assert len(known) == 13
    for row, defect in known.items():
        assert (fingerprint(there[row].question), there[row].answer) == (defect.question, defect.gold)


def test_golds_beyond_the_floats(dapo):
    """All of them are known to be wrong."""
    beyond = {item.source_id for item in dapo.items if abs(int(item.answer)) > 2**53}
    assert beyond == {defect.row for defect in DEFECTS if "2^53" in defect.reason}


def test_contradictions_with_maths(dapo, data):
    """Every question that MATH has with another gold is listed, but for one where only the unit is missing."""
    golds = {}
    for split in ("train", "test"):
        for item in load(DATA_TASKS["math"], split, data_dir=data).items:
            golds[fingerprint(item.question)] = item.answer
    against = {
        item.source_id
        for item in dapo.items
        if (gold := golds.get(fingerprint(item.question))) is not None and not same_gold(gold, item.answer)
    }
    listed = {defect.row for defect in DEFECTS if "contradicts MATH" in defect.reason}
    assert against == {*listed, "dapo-05909"}


def test_a_clean_dapo(dapo, benchmarks):
    """13 known wrong golds; nine questions whose conflict they do not settle; of every other question one row."""
    cleaned = clean(dapo)
    assert list(cleaned.dropped.values()) == [13, 18, 981]
    assert len(cleaned.loaded.items) == 16905 == 16921 - 9 - 7  # seven wrong golds have no right copy
    again = clean(cleaned.loaded)
    assert sum(again.dropped.values()) == 0
    pure = decontaminate(dapo, [benchmark for _, benchmark in benchmarks[0]])
    assert pure.dropped["also in math/test"] == 971  # 972, and one of them has a known wrong gold
    assert pure.loaded.items == tuple(item for item in pure.loaded.items if not benchmarks[0][1][1].holds(mark(item)))


def test_the_two_questions_of_both_splits_of_maths(data):
    train, test = (load(DATA_TASKS["math"], split, data_dir=data) for split in ("train", "test"))
    benchmark = Benchmark("math/test", test.items)
    assert [item.source_id for item in train.items if benchmark.holds(mark(item))] == [
        "math-train-02704",
        "math-train-05575",
    ]
    assert [len(group(part.items).conflicts) for part in (train, test)] == [0, 0]


def test_maths_500_lies_in_the_test_split(data):
    benchmark = Benchmark("math/test", load(DATA_TASKS["math"], "test", data_dir=data).items)
    assert all(benchmark.holds(mark(item)) for item in load(DATA_TASKS["math500"], data_dir=data).items)


def test_known_rows_are_found_in_any_copy():
    """By question and gold, whatever the row is called."""
    assert ("80d291a4747edc25", "-1") in defects_of("dapo-math-17k")
    assert defects_of("gsm8k") == {}
