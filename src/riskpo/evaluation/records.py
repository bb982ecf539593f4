"""What became of every sample of an evaluation, on disk as soon as it is known; a killed one goes on where it was."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from riskpo.errors import ResumeError
from riskpo.evaluation.batches import Batch


@dataclass(frozen=True, slots=True)
class Record:
    """One sample.

    Args:
        batch: the number of the batch that it was sampled in.
        question: its question's name, which does not depend on what else was asked.
        sample: its number among the question's samples.
        completion: the text.
        tokens: how many were sampled.
        truncated: whether it was cut at the longest length.
        score: None where it could not be judged.
        status, answer, reason: of the verdict.
    """

    batch: int
    question: str
    sample: int
    completion: str
    tokens: int
    truncated: bool
    score: float | None
    status: str
    answer: str | None
    reason: str


class RecordFile:
    """The records of one task: a JSON object a line, whole batches only.

    Args:
        path: of the file; what is there already is read.
        batches: the plan that the records belong to.
        questions: the names of the questions, in the plan's numbering.

    Raises:
        ResumeError: the file holds something else than records of this plan.
    """

    def __init__(self, path: Path, batches: Sequence[Batch], questions: Sequence[str]) -> None:
        self.path = path
        self._questions = list(questions)
        self._expected = {batch.number: _samples(batch, questions) for batch in batches}
        self.done: set[int] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._take_up()

    def append(self, records: Sequence[Record]) -> None:
        """Writes a batch; it is on the disk when this returns."""
        number = records[0].batch
        if number in self.done or {(r.question, r.sample) for r in records} != self._expected[number]:
            raise ValueError(
                f"batch {number} is there already, or these are not its {len(self._expected[number])} records."
            )
        text = "".join(_line(record) for record in records)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.done.add(number)

    def read(self) -> Iterator[Record]:
        """All records, in the order in which they were written."""
        return read_records(self.path)

    def _take_up(self) -> None:
        """Keeps the whole batches of an earlier attempt. The last one may be torn where that was killed."""
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        found: dict[int, list[tuple[Record, str]]] = defaultdict(list)
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                record = Record(**json.loads(line))
            except (ValueError, TypeError) as error:
                if number == len(lines):  # no newline after it: the write was cut
                    continue
                raise ResumeError(f"{self.path}, line {number} is no record of an evaluation ({error}).") from error
            found[record.batch].append((record, line))
        whole = []
        for number, pairs in found.items():
            samples = [(record.question, record.sample) for record, _ in pairs]
            expected = self._expected.get(number)
            if expected is None or not set(samples) <= expected or len(set(samples)) != len(samples):
                raise ResumeError(
                    f"{self.path} holds samples of another plan (batch {number}): other questions, samples, batch size "
                    "or seed. Evaluate into another folder."
                )
            if set(samples) == expected:
                whole += [line for _, line in pairs]
                self.done.add(number)
        kept = "".join(line + "\n" for line in whole)
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        scratch.write_text(kept, encoding="utf-8")
        os.replace(scratch, self.path)


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file that is complete."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Record(**json.loads(line))


def _samples(batch: Batch, questions: Sequence[str]) -> set[tuple[str, int]]:
    return {(questions[part.question], part.first + offset) for part in batch.parts for offset in range(part.count)}


def _line(record: Record) -> str:
    values: dict[str, Any] = asdict(record)
    # Lone surrogates, which a damaged tokenizer can give, are no UTF-8: escaped, every text can be written.
    return json.dumps(values, ensure_ascii=True) + "\n"
