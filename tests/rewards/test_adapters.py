"""Verifiers as TRL and verl call them: columns in, scores out, None apart from 0, a machinery that is down noticed."""

import asyncio
import math
import pickle
import threading

import pytest

from riskpo.errors import InfrastructureError
from riskpo.rewards.adapters import LOGGED, AsyncVerifierReward, ComputeScore, VerifierReward
from riskpo.rewards.verdict import Verdict, Verifier


class Twice:
    """Right = twice the gold number; the texts `down` and `hang` are judged as their names say."""

    name = "twice"
    columns = ("answer",)
    optional_columns = ("tolerance",)

    def check_gold(self, rows):
        return [None if str(row["answer"]).isdigit() else "no number" for row in rows]

    def verify(self, completions, rows):
        return [self._one(text, row) for text, row in zip(completions, rows, strict=True)]

    def _one(self, text, row):
        if text == "down":
            return Verdict(None, "infra_error", reason="the worker is gone.")
        if text == "hang":
            return Verdict(0.0, "timeout")
        if not str(row["answer"]).isdigit():
            return Verdict(None, "bad_gold")
        near = abs(int(text) - 2 * int(row["answer"])) <= row.get("tolerance", 0)
        return Verdict(1.0, "correct", text) if near else Verdict(0.0, "wrong", text, "not twice the gold.")


class Log:
    def __init__(self):
        self.columns, self.metrics = {}, {}

    def extra(self, name, values):
        self.columns[name] = values

    def metric(self, name, value):
        self.metrics[name] = value


def test_the_double_is_a_verifier():
    assert isinstance(Twice(), Verifier)


def test_scores_and_logs():
    log = Log()
    reward = VerifierReward(Twice())
    chat = [{"role": "assistant", "content": "4"}]
    scores = reward(
        completions=["2", "3", "hang", "8", chat],
        prompts=["p"] * 5,
        answer=["1", "1", "1", "x", 2],
        log_extra=log.extra,
        log_metric=log.metric,
        trainer_state=None,
    )
    assert scores == [1.0, 0.0, 0.0, None, 1.0]
    assert reward.__name__ == "twice"
    assert log.columns["verdict"] == ["correct", "wrong", "timeout", "bad_gold", "correct"]
    assert log.columns["verdict_answer"] == ["2", "3", None, None, "4"]
    assert log.columns["verdict_reason"][1] == "not twice the gold."
    assert log.metrics == {f"verdict/{name}": {"timeout": 0.2, "bad_gold": 0.2}.get(name, 0.0) for name in LOGGED}


def test_optional_columns_are_handed_over_where_they_are():
    reward = VerifierReward(Twice())
    assert reward(completions=["3"], answer=["1"], tolerance=[1]) == [1.0]
    assert reward(completions=["3"], answer=["1"], tolerance=None) == [0.0]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"needs the columns \['answer'\]; the data have \['question'\]"):
        VerifierReward(Twice())(completions=["1"], question=["?"], trainer_state=None)


@pytest.mark.parametrize("answer", ["1", ["1"], []])
def test_a_column_of_another_length_is_named(answer):
    with pytest.raises(ValueError, match=r"a list of 2 values, .* not so: \['answer'\]"):
        VerifierReward(Twice())(completions=["2", "2"], answer=answer)


def test_machinery_that_is_down_stops_the_training():
    reward = VerifierReward(Twice(), max_infra_errors=3, window=10)
    assert reward(completions=["down"] * 3, answer=["1"] * 3) == [None] * 3
    assert reward(completions=["2"] * 7, answer=["1"] * 7) == [1.0] * 7  # the three are in the window still
    assert reward(completions=["2"] * 2, answer=["1"] * 2) == [1.0] * 2  # two of them have left it
    assert reward(completions=["down"] * 2, answer=["1"] * 2) == [None] * 2
    with pytest.raises(InfrastructureError, match=r"4 of the last 10 .* 3 of 10 .* the worker is gone"):
        reward(completions=["down", "down"], answer=["1"] * 2)


def test_a_whole_batch_that_fails_stops_at_once():
    reward = VerifierReward(Twice())
    assert reward(completions=["down"] * 7, answer=["1"] * 7) == [None] * 7
    assert reward(completions=["down"] * 7 + ["2"], answer=["1"] * 8) == [None] * 7 + [1.0]
    with pytest.raises(InfrastructureError, match="22 of the last 23"):
        reward(completions=["down"] * 8, answer=["1"] * 8)


@pytest.mark.parametrize(("allowed", "window"), [(-1, 10), (10, 10), (1, 0)])
def test_thresholds_that_mean_nothing(allowed, window):
    with pytest.raises(ValueError, match="max_infra_errors"):
        VerifierReward(Twice(), max_infra_errors=allowed, window=window)


@pytest.mark.parametrize("kind", [VerifierReward, AsyncVerifierReward])
def test_pickles_with_what_it_has_seen(kind):
    reward = kind(Twice(), max_infra_errors=2, window=10)
    called = asyncio.run if kind is AsyncVerifierReward else (lambda scores: scores)
    called(reward(completions=["down", "down"], answer=["1", "1"]))
    again = pickle.loads(pickle.dumps(reward))
    assert again.__name__ == "twice"
    with pytest.raises(InfrastructureError):
        called(again(completions=["down"], answer=["1"]))


def test_awaited_off_the_main_thread():
    seen = []

    class Where(Twice):
        def _one(self, text, row):
            seen.append(threading.current_thread() is threading.main_thread())
            return super()._one(text, row)

    async def both():
        reward = AsyncVerifierReward(Where())
        return await asyncio.gather(
            reward(completions=["2"], answer=["1"]), reward(completions=["2"], answer=["3"], prompts=["p"])
        )

    assert asyncio.run(both()) == [[1.0], [0.0]]
    assert seen == [False, False]


def test_compute_score():
    score = pickle.loads(pickle.dumps(ComputeScore(Twice())))
    right = score(data_source="x", solution_str="3", ground_truth="1", extra_info={"tolerance": 1}, more=0)
    assert right == {"score": 1.0, "scored": True, "verdict": "correct", "verdict_answer": "3", "verdict_reason": ""}
    assert ComputeScore(Twice(), "tolerance")("x", "3", 1, {"answer": "1"})["score"] == 1.0
    unjudged = score("x", "down", "1")
    assert math.isnan(unjudged["score"])
    assert unjudged["scored"] is False
    assert unjudged["verdict"] == "infra_error"
