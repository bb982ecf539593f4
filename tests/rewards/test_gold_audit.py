"""The audit of gold answers: forms, misses, duplicates and conflicts, by hand-made rows."""

import pytest

from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.gold_audit import audit_gold
from riskpo.rewards.judge import PHRASES, Judge, gold_text, phrase_of, prompt_text
from riskpo.rewards.match import exact_match, numeric_match
from riskpo.rewards.verdict import Verdict


class Doubled:
    """Right = `Answer: ` and twice the gold number."""

    name, columns, optional_columns = "doubled", ("answer",), ()

    def check_gold(self, rows):
        return [None if str(row["answer"]).isdigit() else "no number." for row in rows]

    def verify(self, completions, rows):
        return [self._one(text, row["answer"]) for text, row in zip(completions, rows, strict=True)]

    def _one(self, text, gold):
        if not str(gold).isdigit():
            return Verdict(None, "bad_gold", reason="no number.")
        right = text.endswith(f"Answer: {gold}")
        return Verdict(1.0, "correct") if right else Verdict(0.0, "wrong", reason="not that.")


@pytest.mark.parametrize(
    ("reward", "form", "shares"),
    [
        (exact_match, "bare", {"bare": 1.0, "boxed": 0.0}),
        (numeric_match, "bare", {"bare": 1.0, "boxed": 1.0}),
        (VerifierReward(Doubled()), "answer line", {"bare": 0.0, "answer line": 1.0}),
    ],
)
def test_the_form_is_found_out(reward, form, shares):
    rows = [{"prompt": "?", "answer": str(n)} for n in range(5)]
    found, all_shares = phrase_of(Judge(reward, "r"), rows, [row["answer"] for row in rows])
    assert found == form
    assert set(all_shares) == set(PHRASES)
    assert shares.items() <= all_shares.items()


def test_gold_answers_of_every_kind():
    rows = [
        {"prompt": "2 + 2? End with Answer: N", "answer": "4"},
        {"prompt": "2  +  2?\nEnd with Answer: N", "answer": "4"},  # the same, blanks apart
        {"prompt": "3 + 3? End with Answer: N", "answer": "6"},
        {"prompt": "3 + 3? End with Answer: N", "answer": "7"},  # in conflict
        {"prompt": "4 + 4? \\boxed{}", "answer": "eight"},
        {"prompt": "5 + 5?", "answer": None},
        {"prompt": "", "answer": "1"},
        {"prompt": "", "answer": "2"},  # no prompt is no repetition
    ]
    found = audit_gold(Judge(VerifierReward(Doubled()), "doubled"), rows)
    assert (found.rows, found.form, found.accepted) == (8, "answer line", 6)
    assert [(miss.row, miss.gold, miss.status) for miss in found.misses] == [
        (5, "eight", "bad_gold"),
        (6, "", "no gold"),
    ]
    assert found.misses[0].reason == "no number."
    assert found.duplicates == [[1, 2]]
    assert found.conflicts == [[3, 4]]
    assert found.asked == {"boxed": 1, "hashes": 0, "answer line": 4, "fenced": 0}


def test_answers_that_differ_in_writing_only_are_duplicates():
    rows = [{"prompt": "a", "answer": "1000"}, {"prompt": "a", "answer": "1,000.0"}]
    found = audit_gold(Judge(numeric_match, "numeric"), rows)
    assert (found.duplicates, found.conflicts) == ([[1, 2]], [])


def test_the_column_of_answers_can_be_another():
    rows = [{"question": "a", "final": "7", "answer": "see final"}]
    assert (
        audit_gold(
            Judge(
                lambda completions, final, **_: [float(c == f) for c, f in zip(completions, final, strict=True)], "r"
            ),
            rows,
            "final",
        ).accepted
        == 1
    )


def test_conversations_and_functions():
    chat = [{"role": "system", "content": "Answer:"}, {"role": "user", "content": [{"type": "text", "text": "2?"}]}]
    assert prompt_text({"prompt": chat}) == "Answer:\n2?"
    assert prompt_text({}) == ""

    def chatty(completions, **_):
        return [float(completion[0]["content"] == "7") for completion in completions]

    assert audit_gold(Judge(chatty, "r"), [{"prompt": chat, "answer": "7"}]).accepted == 1

    async def awaited(completions, **_):
        return [1.0 for _ in completions]

    assert audit_gold(Judge(awaited, "r"), [{"prompt": "a", "answer": "7"}]).accepted == 1


def test_a_body_gets_its_head():
    row = {"question": "def f(x):\n", "answer": "    return x\n", "entry_point": "f", "test": "..."}
    assert gold_text(row, "answer") == "def f(x):\n    return x\n"
    assert gold_text({**row, "answer": "def f(x): return x"}, "answer") == "def f(x): return x"
    assert gold_text({"answer": None}, "answer") is None
