"""An evaluation that is killed and started again is the one that was not; what is on disk is whole."""

import dataclasses
import json

import pytest

from riskpo.errors import DataError, ResumeError, RewardError
from riskpo.evaluation.backends import Completion, Sampling
from riskpo.evaluation.batches import plan_batches
from riskpo.evaluation.records import RecordFile
from riskpo.evaluation.runner import Question, evaluate_task
from riskpo.rewards.judge import Judge

QUESTIONS = [Question(f"q{n}", {"prompt": "x" * (n + 1), "answer": str(n)}) for n in range(7)]


class Seeded:
    """Says numbers that follow from prompt and seed; counts what it was asked; may break down."""

    name = "seeded"

    def __init__(self, breaks_after=10**9):
        self.batches, self.breaks_after = 0, breaks_after

    def describe(self):
        return {"backend": "seeded"}

    def lengths(self, requests):
        return [len(request.prompt) for request in requests]

    def sample(self, requests, sampling, seed):
        if self.batches >= self.breaks_after:
            raise KeyboardInterrupt
        self.batches += 1
        return [
            [Completion(str((seed // 7**n + len(request.prompt)) % 8), n + 1, n == 2) for n in range(request.count)]
            for request in requests
        ]


def judged(completions, answer, **_):
    """`7` cannot be judged."""
    return [None if text == "7" else float(text == gold) for text, gold in zip(completions, answer, strict=True)]


def run(path, backend=None, **changed):
    options = {"samples": 3, "batch_size": 4, "seed": 5, "questions": QUESTIONS, **changed}
    questions = options.pop("questions")
    return evaluate_task(backend or Seeded(), questions, Judge(judged, "r"), Sampling(), path=path, **options)


def by_sample(records):
    return sorted((record for record in records.read()), key=lambda record: (record.question, record.sample))


def test_every_sample_is_recorded_and_judged(tmp_path):
    found = by_sample(run(tmp_path / "a.jsonl"))
    assert [(record.question, record.sample) for record in found] == [(q.name, n) for q in QUESTIONS for n in range(3)]
    for record in found:
        gold = record.question.removeprefix("q")
        assert record.score == (None if record.completion == "7" else float(record.completion == gold))
        assert (record.tokens, record.truncated) == (record.sample + 1, record.sample == 2)
    assert {record.score for record in found} == {None, 0.0, 1.0}


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_killed_and_started_again(tmp_path, after):
    """Whatever was under way is lost, whatever was recorded is kept and not sampled again."""
    whole = by_sample(run(tmp_path / "whole.jsonl"))
    path = tmp_path / "killed.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, Seeded(breaks_after=after))
    kept = len(path.read_text().splitlines()) if path.exists() else 0
    backend = Seeded()
    again = run(path, backend)
    assert by_sample(again) == whole
    assert backend.batches == 7 - kept // 3  # batches of one question: 3 of 4 places
    assert kept // 3 >= after - 2


def test_a_torn_line_and_a_torn_batch_are_done_again(tmp_path):
    path = tmp_path / "a.jsonl"
    whole = by_sample(run(path))
    lines = path.read_text().splitlines(keepends=True)
    for kept in (lines[:4], [*lines[:4], lines[4][:30]], [*lines[:5], "{"], lines[:1]):
        path.write_text("".join(kept))
        assert by_sample(run(path)) == whole


def test_a_complete_one_samples_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    run(path)
    backend = Seeded(breaks_after=0)
    assert len(by_sample(run(path, backend))) == 21


@pytest.mark.parametrize(
    "changed",
    [
        {"samples": 2},
        {"seed": 6, "batch_size": 100},
        {"questions": QUESTIONS[:3]},
        {"questions": [dataclasses.replace(QUESTIONS[0], name="z")]},
    ],
)
def test_another_plan_is_refused(tmp_path, changed):
    path = tmp_path / "a.jsonl"
    run(path)
    before = path.read_text()
    with pytest.raises(ResumeError, match="another plan"):
        run(path, **changed)
    assert path.read_text() == before


def test_what_is_no_record_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    run(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "{}\n", *lines[1:]]))
    with pytest.raises(ResumeError, match="line 2 is no record"):
        run(path)


def test_a_batch_is_written_once_and_whole(tmp_path):
    plan = plan_batches([1, 1], 2, 2, 0)
    records = RecordFile(tmp_path / "a.jsonl", plan, ["a", "b"])
    other = run(
        tmp_path / "b.jsonl", questions=[Question("a", {"prompt": "x", "answer": "1"})], samples=2, batch_size=2
    )
    first = list(other.read())
    with pytest.raises(ValueError, match="batch 0 is there already, or"):
        records.append(first[:1])
    records.append(first)
    with pytest.raises(ValueError, match="batch 0 is there already, or"):
        records.append(first)


def test_texts_of_any_kind_come_back(tmp_path):
    class Odd(Seeded):
        texts = ("\u2028\u0085\ud800", "\x00\n\r", "é")

        def sample(self, requests, sampling, seed):
            return [[Completion(text, 1, False) for text in self.texts] for _ in requests]

    path = tmp_path / "a.jsonl"
    run(path, Odd())
    found = by_sample(run(path, Odd(breaks_after=0)))
    assert tuple(record.completion for record in found[:3]) == Odd.texts
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_questions_need_names_of_their_own(tmp_path):
    with pytest.raises(DataError, match="2 questions with 1 different names"):
        run(tmp_path / "a.jsonl", questions=[QUESTIONS[0], QUESTIONS[0]])
    with pytest.raises(DataError, match="0 questions"):
        run(tmp_path / "a.jsonl", questions=[])


@pytest.mark.parametrize("score", [2.0, -0.5, float("nan")])
def test_scores_out_of_range_stop_before_they_are_recorded(tmp_path, score):
    path = tmp_path / "a.jsonl"
    with pytest.raises(RewardError, match=r"sample 0 of question q6: an evaluation takes scores in \[0, 1\]"):
        evaluate_task(
            Seeded(),
            QUESTIONS,
            Judge(lambda completions, **_: [score] * len(completions), "r"),
            Sampling(),
            samples=3,
            batch_size=4,
            seed=5,
            path=path,
        )
    assert not path.exists()


def test_progress(tmp_path):
    seen = []
    path = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(path, Seeded(breaks_after=5))
    run(path, progress=seen.append)
    assert seen[0].done == 9
    assert seen[0].remaining is None
    assert [progress.done for progress in seen] == [9, 12, 15, 18, 21]
    assert (seen[-1].total, seen[-1].remaining) == (21, 0.0)
    assert seen[-1].tokens == 4 * (1 + 2 + 3)
