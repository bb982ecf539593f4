"""Evaluating a model on a task: sample, judge, record; again and again until every batch of the plan is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpo.errors import DataError, RewardError
from riskpo.evaluation.backends import Backend, Completion, Request, Sampling
from riskpo.evaluation.batches import Batch, plan_batches
from riskpo.evaluation.records import Record, RecordFile
from riskpo.rewards.judge import Judge, Judgement

_AHEAD = 2  # batches that may wait for their verdicts while the next one is sampled


@dataclass(frozen=True)
class Question:
    """A question of a task.

    Args:
        name: unique within the task, the same in every evaluation.
        row: `prompt` (a text or a conversation) and the columns that the reward needs.
        images: pictures for the places that the conversation leaves for them.
    """

    name: str
    row: Mapping[str, Any]
    images: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is.

    Args:
        done, total: samples.
        tokens: sampled since this attempt began.
        seconds: since then.
        remaining: seconds that the rest will take at this pace; None before the first batch.
    """

    done: int
    total: int
    tokens: int
    seconds: float
    remaining: float | None


def evaluate_task(
    backend: Backend,
    questions: Sequence[Question],
    judge: Judge,
    sampling: Sampling,
    *,
    samples: int,
    batch_size: int,
    seed: int,
    path: Path,
    progress: Callable[[Progress], None] | None = None,
) -> RecordFile:
    """Samples every question and judges the completions. What an earlier attempt has recorded is not done again.

    The records are those of an uninterrupted evaluation, in another order perhaps: each batch has a seed of its own.
    Verdicts are reached in a thread while the next batch is sampled.

    Args:
        backend: what samples.
        questions: what is asked.
        judge: the reward.
        sampling: how completions are drawn.
        samples: of each question.
        batch_size: sequences in a batch, at most.
        seed: of the sampling.
        path: of the task's records.
        progress: called after each batch.

    Raises:
        DataError: no questions, or two of one name.
        ResumeError: the records there belong to another plan.
    """
    names = [question.name for question in questions]
    if not names or len(set(names)) != len(names):
        raise DataError(f"{len(names)} questions with {len(set(names))} different names: each needs its own.")
    lengths = backend.lengths([Request(question.row["prompt"], samples, question.images) for question in questions])
    plan = plan_batches(lengths, samples, batch_size, seed)
    records = RecordFile(path, plan, names)
    clock = _Clock(plan, records.done, progress)
    waiting: list[tuple[Batch, list[Completion], Future[list[Judgement]]]] = []

    def settle(most: int) -> None:
        while len(waiting) > most:
            batch, completions, verdicts = waiting.pop(0)
            records.append(_records(batch, questions, completions, verdicts.result()))
            clock.tick(batch, completions)

    with ThreadPoolExecutor(1, thread_name_prefix="verdicts") as thread:
        for batch in plan:
            if batch.number in records.done:
                continue
            requests = [
                Request(questions[part.question].row["prompt"], part.count, questions[part.question].images)
                for part in batch.parts
            ]
            sampled = backend.sample(requests, sampling, batch.seed)
            completions = [completion for many in sampled for completion in many]
            rows = [questions[part.question].row for part in batch.parts for _ in range(part.count)]
            texts = [completion.text for completion in completions]
            waiting.append((batch, completions, thread.submit(judge, texts, rows)))
            settle(_AHEAD)
        settle(0)
    return records


def _records(
    batch: Batch, questions: Sequence[Question], completions: Sequence[Completion], verdicts: Sequence[Judgement]
) -> list[Record]:
    samples = [
        (questions[part.question].name, part.first + offset) for part in batch.parts for offset in range(part.count)
    ]
    for (name, sample), verdict in zip(samples, verdicts, strict=True):
        if verdict.score is not None and not 0.0 <= verdict.score <= 1.0:
            raise RewardError(
                f"the reward gave {verdict.score:g} to sample {sample} of question {name}: an evaluation takes scores "
                "in [0, 1], 1 being right, or None."
            )
    return [
        Record(
            batch.number,
            name,
            sample,
            completion.text,
            completion.tokens,
            completion.truncated,
            verdict.score,
            verdict.status,
            verdict.answer,
            verdict.reason,
        )
        for (name, sample), completion, verdict in zip(samples, completions, verdicts, strict=True)
    ]


class _Clock:
    """Counts samples and tokens, and estimates what is left by the pace of this attempt."""

    def __init__(self, plan: Sequence[Batch], done: set[int], report: Callable[[Progress], None] | None) -> None:
        self.report = report
        self.total = sum(batch.sequences for batch in plan)
        self.done = sum(batch.sequences for batch in plan if batch.number in done)
        self.begun, self.before, self.tokens = time.monotonic(), self.done, 0
        if report is not None:
            report(Progress(self.done, self.total, 0, 0.0, None))

    def tick(self, batch: Batch, completions: Sequence[Completion]) -> None:
        self.done += batch.sequences
        self.tokens += sum(completion.tokens for completion in completions)
        if self.report is not None:
            seconds = time.monotonic() - self.begun
            left = seconds / (self.done - self.before) * (self.total - self.done)
            self.report(Progress(self.done, self.total, self.tokens, seconds, left))
