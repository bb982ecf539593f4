"""The verifier for mathematics: statuses, real golds at their rates, faults, and what it must not do."""

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskpo.errors import ConfigError
from riskpo.rewards import math as module
from riskpo.rewards.answers.symbolic import judge
from riskpo.rewards.math import MathVerifier
from riskpo.rewards.verdict import Verifier

PATIENT = 20.0  # seconds: no test here waits for a hang but one


def rows_of(*golds):
    return [{"answer": gold} for gold in golds]


def test_is_a_verifier_that_can_be_pickled():
    verifier = MathVerifier("boxed", seconds=3.0, reasoning=None)
    assert isinstance(verifier, Verifier)
    assert (verifier.name, verifier.columns) == ("math", ("answer",))
    assert pickle.loads(pickle.dumps(verifier)) == verifier
    assert MathVerifier(column="gold").columns == ("gold",)


@pytest.mark.parametrize(
    "options",
    [{"convention": "bxed"}, {"seconds": 0.0}, {"workers": 0}, {"longest_answer": -1}, {"reasoning": ("<think>", "")}],
)
def test_refuses_options(options):
    with pytest.raises(ConfigError):
        MathVerifier(**options)


def test_one_verdict_for_each_in_order():
    completions = [r"\boxed{42}", "no", r"\boxed{\frac{2}{\sqrt2}}", r"\boxed{41}", r"\boxed{\frac{1}{}}", r"\boxed{1}"]
    golds = rows_of("42", "42", r"\sqrt{2}", "42", r"\sqrt{2}", r"\frac{1}{")
    verdicts = MathVerifier(seconds=PATIENT).verify(completions, golds)
    assert [v.status for v in verdicts] == ["correct", "no_answer", "correct", "wrong", "unparsable", "bad_gold"]
    assert [v.score for v in verdicts] == [1.0, 0.0, 1.0, 0.0, 0.0, None]
    assert [v.answer for v in verdicts] == ["42", None, r"\frac{2}{\sqrt2}", "41", r"\frac{1}{}", "1"]
    assert all(v.reason.endswith(".") or v.reason for v in verdicts)


def test_as_many_rows_as_completions():
    with pytest.raises(ValueError, match="2 completions and 1 rows"):
        MathVerifier(seconds=PATIENT).verify(["a", "b"], rows_of("1"))
    assert MathVerifier(seconds=PATIENT).verify([], []) == []


def test_check_gold_says_why():
    golds = ["42", r"\text{Friday}", "$221,$8$", r"\frac{1}{", None, "", 27.0, True, float("nan"), "a" * 3000]
    reasons = MathVerifier(seconds=PATIENT).check_gold(rows_of(*golds))
    assert [reason is None for reason in reasons] == [True, True, True, False, False, False, True, False, False, False]
    assert "NoneType" in reasons[4]
    assert "3000 characters" in reasons[9]
    (reason,) = MathVerifier(seconds=PATIENT).check_gold([{"question": "?"}])
    assert "'answer'" in reason
    (reason,) = MathVerifier(seconds=PATIENT).check_gold([{"answer": "1", "error": "small"}])
    assert "'error'" in reason


def test_a_gold_that_hangs_is_bad_and_nobodys_fault():
    row = {"answer": "5^{5^{5^{5^6}}}"}
    verifier = MathVerifier(seconds=1.0)
    (reason,) = verifier.check_gold([row])
    assert reason is not None
    (verdict,) = verifier.verify([r"\boxed{1}"], [row])
    assert (verdict.score, verdict.status) == (None, "bad_gold")


def test_columns_of_a_row():
    row = {"answer": "4.2", "error": "1e-1", "unit": "%", "is_multiple_answer": False}
    answers = [r"\boxed{4.25}", r"\boxed{4.3\%}", r"\boxed{4.5}", r"\boxed{\frac{21\sqrt{4}}{10}}"]
    assert [v.score for v in MathVerifier(seconds=PATIENT).verify(answers, [row] * 4)] == [1.0, 1.0, 0.0, 1.0]
    several = {"answer": "100,200", "is_multiple_answer": True}
    answers = [r"\boxed{200, 100}", r"\boxed{100200}", r"\boxed{100,200}"]
    assert [v.score for v in MathVerifier(seconds=PATIENT).verify(answers, [several] * 3)] == [1.0, 0.0, 1.0]
    assert [v.score for v in MathVerifier(seconds=PATIENT).verify(answers, rows_of(*["100,200"] * 3))] == [
        0.0,
        1.0,
        1.0,
    ]


def test_a_worked_solution_as_gold():
    golds = rows_of("6 times 7 is 42\n#### 42", r"So $\boxed{\frac12}$.", r"\boxed{4")
    verdicts = MathVerifier(seconds=PATIENT).verify([r"\boxed{42}", r"\boxed{0.5}", r"\boxed{4}"], golds)
    assert [v.score for v in verdicts] == [1.0, 1.0, None]


def test_equal_pairs_are_compared_once(monkeypatch):
    verifier, asked = MathVerifier(seconds=PATIENT), []
    mapped = MathVerifier._map

    def counted(self, pairs):
        asked.append(len(pairs))
        return mapped(self, pairs)

    monkeypatch.setattr(MathVerifier, "_map", counted)
    verifier.check_gold(rows_of(r"\sqrt{23}"))
    asked.clear()
    verdicts = verifier.verify([r"\boxed{23^{1/2}}"] * 64 + [r"\boxed{5}"] * 64, rows_of(*[r"\sqrt{23}"] * 128))
    assert [v.score for v in verdicts] == [1.0] * 64 + [0.0] * 64
    assert sum(asked) == 2


def test_verifiers_of_equal_options_share_their_workers():
    one = module._pool(2, 5.0, 2048)
    assert module._pool(2, 5.0, 2048) is one
    assert module._pool(2, 4.0, 2048) is not one


def test_no_computer_algebra_in_this_process():
    """Scoring, formulas included, loads neither SymPy nor torch here, and nothing that evaluates text."""
    code = (
        "import sys\nfrom riskpo.rewards.math import MathVerifier\n"
        r"print(MathVerifier(seconds=20.0).verify([r'\boxed{2^{1/2}}'], [{'answer': r'\sqrt{2}'}])[0].score)"
        "\nprint(*[n for n in ('sympy', 'math_verify', 'latex2sympy2_extended', 'torch', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1.0", ""]


def test_no_worker_is_infra_error_and_never_0(monkeypatch):
    monkeypatch.setattr(module, "_TASK", "riskpo.rewards.no_such_module:judge")
    verifier = MathVerifier(seconds=7.25)  # options of no other test: a pool of its own
    verdicts = verifier.verify([r"\boxed{3^{1/2}}", r"\boxed{7}"], rows_of(r"\sqrt{3}+0", "7"))
    assert [(v.score, v.status) for v in verdicts] == [(None, "infra_error"), (1.0, "correct")]
    assert "no_such_module" in verdicts[0].reason
    monkeypatch.undo()
    module._POOLS.pop((2, 7.25, 2048)).close()
    (verdict,) = verifier.verify([r"\boxed{3^{1/2}}"], rows_of(r"\sqrt{3}+0"))  # it was not remembered as a bad gold
    assert verdict.score == 1.0


# --- faults ---


def many_answers(count):
    """Formulas that no fast path takes, right and wrong ones, each different."""
    source = random.Random(5)
    answers, golds = [], []
    for number in range(count):
        a, b = source.randint(2, 999), number + 2
        golds.append(rf"{a}\sqrt{{{b}}}")
        answers.append(
            rf"\boxed{{\frac{{{2 * a}\sqrt{{{b}}}}}{{2}}}}" if number % 3 else rf"\boxed{{{a}\sqrt{{{b + 1}}}}}"
        )
    return answers, rows_of(*golds)


@pytest.mark.slow
def test_workers_killed_at_random_while_2000_answers_are_scored():
    """Every answer gets exactly one verdict: the same as undisturbed."""
    answers, rows = many_answers(2000)
    verifier = MathVerifier(seconds=PATIENT)
    expected = [1.0 if number % 3 else 0.0 for number in range(2000)]
    verifier.check_gold(rows)
    pool = module._pool(verifier.workers, verifier.seconds, verifier.memory_mb)
    done, killed, source = threading.Event(), [0], random.Random(11)

    def kill():
        while killed[0] < 15 and not done.wait(source.uniform(0.3, 0.9)):
            pids = pool.pids()
            if pids:
                try:
                    os.kill(source.choice(pids), signal.SIGKILL)
                    killed[0] += 1
                except ProcessLookupError:
                    pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        verdicts = verifier.verify(answers, rows)
    finally:
        done.set()
        killer.join()
    assert killed[0] >= 3
    assert [v.score for v in verdicts] == expected
    assert {v.status for v in verdicts} == {"correct", "wrong"}


# --- real golds ---

RATES = {
    "gsm8k_test.jsonl": ("gsm8k-strict", 1.0),
    "math500.jsonl": ("boxed", 1.0),
    "math_test.jsonl.gz": ("boxed", 0.9997),  # one solution states another answer
    "aime24.jsonl": (None, 1.0),
    "aime25.jsonl": (None, 1.0),
    "amc23.jsonl": (None, 1.0),
    "amc_22_23.jsonl": (None, 1.0),
    "olympiadbench_en_text.jsonl": (None, 1.0),
}


@pytest.mark.parametrize("name", RATES)
def test_golds_are_right(data_rows, name):
    rows, (convention, rate) = data_rows(name), RATES[name]
    assert MathVerifier(seconds=PATIENT).check_gold(rows) == [None] * len(rows)
    verdicts = MathVerifier("boxed", seconds=PATIENT).verify([rf"\boxed{{{row['answer']}}}" for row in rows], rows)
    missed = [(row["id"], v.reason) for row, v in zip(rows, verdicts, strict=True) if v.score != 1.0]
    assert missed == []
    if convention is not None:
        verdicts = MathVerifier(convention, seconds=PATIENT).verify([row["solution"] for row in rows], rows)
        assert sum(v.score == 1.0 for v in verdicts) / len(rows) >= rate


@pytest.mark.parametrize("name", ["math500.jsonl", "olympiadbench_en_text.jsonl", "gsm8k_test.jsonl"])
def test_golds_of_other_problems_are_wrong(data_rows, name):
    """Equal texts apart, one shuffle accepts nothing but another spelling of the same value."""
    rows = data_rows(name)
    others = random.Random(3).sample(rows, len(rows))
    pairs = [(a, b) for a, b in zip(rows, others, strict=True) if a["answer"].strip() != b["answer"].strip()]
    verdicts = MathVerifier("boxed", seconds=PATIENT).verify(
        [rf"\boxed{{{b['answer']}}}" for _, b in pairs], [a for a, _ in pairs]
    )
    accepted = [(a["answer"], b["answer"]) for (a, b), v in zip(pairs, verdicts, strict=True) if v.score == 1.0]
    assert accepted == []


# --- the comparison in the workers, here in this process ---


@pytest.mark.parametrize("name", ["math500.jsonl", "olympiadbench_en_text.jsonl"])
def test_every_formula_is_equal_to_a_rewriting_and_not_to_one_more(data_rows, name):
    from riskpo.rewards.answers.equality import words
    from riskpo.rewards.answers.numbers import read_number
    from riskpo.rewards.answers.structure import Leaf, read

    tried = 0
    for row in data_rows(name):
        node = read(row["answer"])
        if not isinstance(node, Leaf) or read_number(node.text) or words(node.text) or "\\text" in node.text:
            continue
        tried += 1
        assert judge(row["answer"], rf"3 \cdot \frac{{{node.text}}}{{3}}", None, None, None)[0] == "equal", row["id"]
        assert judge(row["answer"], rf"{node.text} + \frac{{1}}{{1000}}", None, None, None)[0] == "different", row["id"]
    assert tried > 30


small = st.integers(-9, 9)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(small, min_size=3, max_size=3), st.lists(small, min_size=3, max_size=3))
def test_polynomials(first, second):
    """Equal coefficients and only those are equal, in whatever form the polynomial is written."""
    ordered = "{}x^2 + ({})x + ({})".format(*first)
    horner = r"x\left({}x + ({})\right) + ({})".format(*second)
    expected = "equal" if first == second else "different"
    assert judge(ordered, horner, None, None, None)[0] == expected
    assert judge(horner, ordered, None, None, None)[0] == expected
    assert judge(ordered, r"x\left({}x + ({})\right) + ({})".format(*first), None, None, None)[0] == "equal"


@settings(max_examples=60)
@given(st.permutations([1, 2, 3, 4, 5]), st.integers(1, 5), st.integers(6, 9))
def test_order_counts_in_tuples_alone(order, left_out, other):
    given_ = ", ".join(map(str, order))
    assert judge("1, 2, 3, 4, 5", given_, None, None, None)[0] == "equal"
    assert judge("1, 2, 3, 4, 5", rf"\{{{given_}\}}", None, None, None)[0] == "equal"
    in_order = "equal" if list(order) == [1, 2, 3, 4, 5] else "different"
    assert judge("(1, 2, 3, 4, 5)", f"({given_})", None, None, None)[0] == in_order
    fewer = ", ".join(str(number) for number in order if number != left_out)
    assert judge("1, 2, 3, 4, 5", fewer, None, None, None)[0] == "different"
    assert judge("1, 2, 3, 4, 5", f"{given_}, {other}", None, None, None)[0] == "different"
    assert judge("1, 2, 3, 4, 5", f"{fewer}, {other}", None, None, None)[0] == "different"


def test_time_of_a_batch_of_numbers_does_not_touch_the_workers(monkeypatch):
    monkeypatch.setattr(MathVerifier, "_map", lambda self, pairs: pytest.fail("asked the workers") if pairs else [])
    start = time.monotonic()
    verdicts = MathVerifier(seconds=PATIENT).verify(
        [rf"\boxed{{{n}}}" for n in range(5000)], rows_of(*map(str, range(5000)))
    )
    assert all(v.score == 1.0 for v in verdicts)
    assert time.monotonic() - start < 30
