"""Letters, option texts, numbers within a tolerance: hand-made cases, and the real questions with images."""

import json
import pickle
from pathlib import Path

import pytest

from riskpo.errors import ConfigError
from riskpo.rewards.choice import ChoiceVerifier
from riskpo.rewards.verdict import Verifier

DATA = Path(__file__).parents[3] / "shared" / "data"
METRES = {"answer": "B", "options": ["$11 \\mathrm{~m}$", "$12 \\mathrm{~m}$", "$13 \\mathrm{~m}$", "none of them"]}
ROOTS = {
    "answer": "5 \\sqrt { 3 }",
    "answer_letter": "C",
    "choices": ["5", "5 \\sqrt { 2 }", "5 \\sqrt { 3 }", "10"],
    "precise_value": [5.0, 7.0710678118654755, 8.660254037844386, 10.0],
}
RATIOS = {"answer": "D", "options": ["$\\frac{1}{2}$", "$\\sqrt{3}$", "0.25", "$2 \\sqrt{3}$", "another value"]}
LETTERS = {"answer": "C", "options": ["A", "C", "B", "D", "It depends."]}
FREE = {"answer": "4.8", "options": []}


@pytest.fixture(scope="module")
def verifier():
    return ChoiceVerifier()


def rows_of(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("row", "completion", "score", "status"),
    [
        # letters
        (METRES, r"\boxed{B}", 1.0, "correct"),
        (METRES, r"\boxed{\text{B}}", 1.0, "correct"),
        (METRES, r"\boxed{(B)}", 1.0, "correct"),
        (METRES, r"\boxed{\textbf{(B)}}", 1.0, "correct"),
        (METRES, r"\boxed{A}", 0.0, "wrong"),
        (METRES, "The answer is (B).", 1.0, "correct"),
        (METRES, "Answer: B", 1.0, "correct"),
        (METRES, "Answer: **B**", 1.0, "correct"),
        (METRES, "Answer: Option B", 1.0, "correct"),
        (METRES, "Long thoughts.\n\nB", 1.0, "correct"),
        (METRES, "(B).", 1.0, "correct"),
        (METRES, "Long thoughts about B", 0.0, "no_answer"),
        (METRES, r"\boxed{E}", 0.0, "wrong"),  # there is no such option
        (METRES, r"\boxed{A}\boxed{B}", 1.0, "correct"),  # the last one counts
        (METRES, r"\boxed{B}\boxed{A}", 0.0, "wrong"),
        # hedges
        (METRES, r"\boxed{A, B}", 0.0, "wrong"),
        (METRES, r"\boxed{B \text{ or } C}", 0.0, "wrong"),
        (METRES, r"\boxed{ABCD}", 0.0, "wrong"),
        (METRES, r"\boxed{\text{not } B}", 0.0, "wrong"),
        (METRES, r"<think>\boxed{B}</think>I do not know.", 0.0, "no_answer"),
        (METRES, r"<think>\boxed{B}", 0.0, "no_answer"),
        (METRES, r"\boxed{B", 0.0, "no_answer"),
        (METRES, "\\boxed{B\nB", 0.0, "no_answer"),  # a truncated box is no reason to look elsewhere
        # texts
        (METRES, r"\boxed{12 \mathrm{~m}}", 1.0, "correct"),
        (METRES, r"\boxed{12\text{ m}}", 1.0, "correct"),
        (METRES, r"\boxed{13 \mathrm{~m}}", 0.0, "wrong"),
        (METRES, r"\boxed{12}", 1.0, "correct"),
        (METRES, r"\boxed{none of them}", 0.0, "wrong"),
        (METRES, r"\boxed{24/2}", 1.0, "correct"),
        # letter and text
        (METRES, r"\boxed{B. 12 m}", 1.0, "correct"),
        (METRES, r"The answer is (B) $12 \mathrm{~m}$.", 1.0, "correct"),
        (METRES, r"\boxed{\text{(B) } 12\text{ m}}", 1.0, "correct"),
        (METRES, r"\boxed{B) 13 m}", 0.0, "wrong"),  # they disagree
        (METRES, r"\boxed{A) 12 m}", 0.0, "wrong"),
        # what is equal to the right option, and what is only near it
        (RATIOS, r"\boxed{\sqrt{12}}", 1.0, "correct"),
        (RATIOS, r"\boxed{3.46}", 0.0, "wrong"),
        (RATIOS, r"\boxed{\sqrt{3}}", 0.0, "wrong"),
        (RATIOS, r"\boxed{another value}", 0.0, "wrong"),
        # stated values
        (ROOTS, r"\boxed{8.66}", 1.0, "correct"),
        (ROOTS, r"\boxed{8.7}", 1.0, "correct"),
        (ROOTS, r"\boxed{8.5}", 0.0, "wrong"),
        (ROOTS, r"\boxed{7.07}", 0.0, "wrong"),
        (ROOTS, r"\boxed{5\sqrt{3}}", 1.0, "correct"),
        (ROOTS, r"\boxed{\sqrt{75}}", 1.0, "correct"),
        (ROOTS, r"\boxed{C}", 1.0, "correct"),
        # a letter is the letter, whatever the options' texts are
        (LETTERS, r"\boxed{C}", 1.0, "correct"),
        (LETTERS, r"\boxed{B}", 0.0, "wrong"),
        # without options
        (FREE, r"\boxed{\frac{24}{5}}", 1.0, "correct"),
        (FREE, r"\boxed{4.9}", 0.0, "wrong"),
        # strange
        (METRES, "", 0.0, "no_answer"),
        (METRES, r"\boxed{" + "B" * 3000 + "}", 0.0, "too_long"),
        (RATIOS, r"Answer: \frac{1}{2", 0.0, "unparsable"),
        (METRES, "\\boxed{\x00}", 0.0, None),
    ],
)
def test_by_hand(verifier, row, completion, score, status):
    (verdict,) = verifier.verify([completion], [row])
    assert verdict.score == score, verdict
    assert status is None or verdict.status == status, verdict


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"answer": "F", "options": ["1", "2"]}, "neither a letter nor the text of one of the 2 options"),
        ({"answer": None, "options": ["1", "2"]}, "neither a letter nor"),
        ({"answer": "1", "options": ["1", "1"]}, "neither a letter nor"),
        ({"answer": "1", "answer_letter": "Q", "options": ["1", "2"]}, "answer_letter 'Q' names none"),
        ({"answer": "A", "options": [str(n) for n in range(27)]}, "27 options are more than"),
        ({"answer": "A", "options": ["1", "2"], "precise_value": [1.0]}, "precise_value has 1 numbers for 2 options"),
        ({"answer": "A", "options": ["1", "2"], "precise_value": [1.0, float("nan")]}, "not finite"),
    ],
)
def test_gold_answers_that_cannot_be_used(verifier, row, reason):
    assert reason in verifier.check_gold([row])[0]
    (verdict,) = verifier.verify([r"\boxed{A}"], [row])
    assert (verdict.score, verdict.status) == (None, "bad_gold")
    assert reason in verdict.reason


def test_order_is_kept_in_mixed_batches(verifier):
    rows = [METRES, FREE, RATIOS, ROOTS, METRES]
    texts = [r"\boxed{B}", r"\boxed{4.8}", r"\boxed{\sqrt{12}}", r"\boxed{A}", r"\boxed{C}"]
    assert [verdict.score for verdict in verifier.verify(texts, rows)] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert verifier.check_gold(rows) == [None] * 5


def test_is_a_verifier_that_pickles(verifier):
    assert isinstance(verifier, Verifier)
    again = pickle.loads(pickle.dumps(verifier))
    assert again.verify([r"\boxed{B}"], [METRES])[0].score == 1.0
    # A convention without a box there is none of: the last line is the letter alone.
    boxed = ChoiceVerifier("boxed").verify(["Answer: B", "Well.\nB"], [METRES] * 2)
    assert [verdict.status for verdict in boxed] == ["no_answer", "correct"]


def test_conventions():
    assert ChoiceVerifier("boxed").name == "choice:boxed"
    with pytest.raises(ConfigError, match="convention"):
        ChoiceVerifier("bxed")
    with pytest.raises(ValueError, match="tolerance"):
        ChoiceVerifier(tolerance=1.0)


@pytest.mark.parametrize("name", ["geometry3k_sample.jsonl", "mathvision_geometry_sample.jsonl"])
def test_real_questions(verifier, name):
    """Every gold answer by its letter and by its text; every other option, and no two options' texts are one."""
    rows = rows_of(name)
    assert verifier.check_gold(rows) == [None] * len(rows)
    texts, asked, expected = [], [], []
    for row in rows:
        options = row.get("options") or row.get("choices") or []
        gold = row.get("answer_letter") or row["answer"]
        if not options:
            texts += [f"\\boxed{{{row['answer']}}}", f"\\boxed{{{row['answer']}1}}"]
            asked, expected = [*asked, row, row], [*expected, 1.0, 0.0]
            continue
        for place, option in enumerate(options):
            letter = "ABCDE"[place]
            texts.append(f"\\boxed{{{letter}}}")
            asked, expected = [*asked, row], [*expected, float(letter == gold)]
            if not (len(option) == 1 and option.isalpha()):
                texts.append(f"The answer is ({letter}) {option}")
                asked, expected = [*asked, row], [*expected, float(letter == gold)]
                texts.append(f"\\boxed{{{option}}}")
                asked, expected = [*asked, row], [*expected, float(letter == gold)]
    verdicts = verifier.verify(texts, asked)
    wrong = [
        (row["id"], text, verdict)
        for row, text, verdict, score in zip(asked, texts, verdicts, expected, strict=True)
        if verdict.score != score
    ]
    assert wrong == []
