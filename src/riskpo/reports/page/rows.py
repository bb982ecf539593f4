"""The table of completions: rows out of a run's files, and which of them a page can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from riskpo.errors import DataError
from riskpo.reports.page.drawing import Floats
from riskpo.reports.page.record import Record
from riskpo.rewards.verdict import UNSCORED
from riskpo.rollouts.files import MISSING, Table
from riskpo.rollouts.read import format_of, reward_columns, reward_of, step_of

MOST_TEXT = 20_000  # characters of a text; of a longer one its beginning and its end
_TAIL = 4_000
# Verdicts that a reader looks for in vain among right and wrong ones.
_PLAIN = {"correct", "wrong", "partial"}


@dataclass
class Rows:
    """Completions as columns of equal length.

    Args:
        run: number of the run.
        step: of the training.
        reward, advantage, logprob: NaN where there is none.
        prompt, answer, completion, verdict, found, reason, bundle: texts; "" where there is none. `answer` is the gold
            answer, `found` the one in the completion, as the verifier read it.
    """

    run: list[int]
    step: list[int]
    reward: list[float]
    advantage: list[float]
    logprob: list[float]
    prompt: list[str]
    answer: list[str]
    completion: list[str]
    verdict: list[str]
    found: list[str]
    reason: list[str]
    bundle: list[str]

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def none(cls) -> Rows:
        return cls(*([] for _ in range(12)))

    def chosen(self, places: Sequence[int]) -> Rows:
        """The rows at some places, in that order."""
        return Rows(**{name: [column[place] for place in places] for name, column in vars(self).items()})

    def extend(self, other: Rows) -> None:
        for name, column in vars(self).items():
            column.extend(getattr(other, name))


def reward_weights(record: Record, table: Table) -> dict[str, float]:
    """The reward columns of a run's completions with the weights that the run gave them.

    Raises:
        DataError: completions without any, or a number of them that the run's weights do not fit.
    """
    weights = reward_columns(table, "completions", None)
    given = None if record.own is None else record.own.reward_weights
    if given is None or all(weight == 1.0 for weight in given):
        return weights
    if len(given) != len(weights):
        raise DataError(
            f"{table.path} has {len(weights)} columns of numbers ({', '.join(weights)}), and the run weighed "
            f"{len(given)} rewards: which is which is not known."
        )
    return dict(zip(weights, given, strict=True))


def read_rows(record: Record, run: int, tables: Sequence[Table]) -> Rows:
    """All completions that a run has logged, out of its files as they were read.

    Raises:
        DataError: a file that is broken, or of another trainer; the message names file and row.
    """
    rows = Rows.none()
    for table in tables:
        if format_of(table) != "completions":
            raise DataError(
                f"{table.path} is no file of completions of a run: it lacks the columns prompt, completion, advantage. "
                "riskpo audit reads rollouts of other trainers."
            )
        rows.extend(_of_table(table, record, run))
    return rows


def _of_table(table: Table, record: Record, run: int) -> Rows:
    count = len(table.places)
    weights = reward_weights(record, table)
    rewards = [reward_of(table, row, weights) for row in range(count)]
    low, high = record.reward_ends
    verdicts = _texts(table, "verdict")
    return Rows(
        run=[run] * count,
        step=[step_of(table, row) for row in range(count)],
        reward=rewards,
        advantage=_numbers(table, "advantage"),
        logprob=_numbers(table, "logprob"),
        prompt=_texts(table, "prompt"),
        answer=_texts(table, "answer"),
        completion=_texts(table, "completion"),
        verdict=[given or _verdict(reward, low, high) for given, reward in zip(verdicts, rewards, strict=True)],
        found=_texts(table, "verdict_answer"),
        reason=_texts(table, "verdict_reason"),
        bundle=_texts(table, "bundle"),
    )


def _verdict(reward: float, low: float, high: float) -> str:
    """What a reward says by itself, for rewards that give no verdict."""
    slack = 1e-6 * (high - low)
    if math.isnan(reward):
        return "not judged"
    return "correct" if reward >= high - slack else "wrong" if reward <= low + slack else "partial"


def _numbers(table: Table, name: str) -> list[float]:
    values = table.columns.get(name)
    if values is None:
        return [math.nan] * len(table.places)
    numbers = []
    for row, value in enumerate(values):
        if value is None or value is MISSING:
            numbers.append(math.nan)
        elif isinstance(value, (bool, int, float)):
            numbers.append(float(value))
        else:
            raise DataError(f"{table.where(row)}: `{name}` must be a number or null, got {value!r:.80}.")
    return numbers


def _texts(table: Table, name: str) -> list[str]:
    values = table.columns.get(name)
    return [""] * len(table.places) if values is None else [text_of(value) for value in values]


def text_of(value: Any) -> str:
    """A prompt, completion or label as text: of a conversation its turns; cut in the middle where it is very long."""
    if value is None or value is MISSING:
        return ""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and value and all(isinstance(turn, dict) and "content" in turn for turn in value):
        turns = [(str(turn.get("role", "")), _content(turn["content"])) for turn in value]
        text = turns[0][1] if len(turns) == 1 else "\n\n".join(f"[{role}]\n{said}" for role, said in turns)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= MOST_TEXT:
        return text
    left = len(text) - MOST_TEXT
    return f"{text[: MOST_TEXT - _TAIL]}\n[… {left} of {len(text)} characters left out …]\n{text[-_TAIL:]}"


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return " ".join(str(part.get("text") or f"[{part.get('type', 'part')}]") for part in content)
    return json.dumps(content, ensure_ascii=False, default=str)


def groups_of(rows: Rows, run: int) -> dict[int, Tensor]:
    """For each step of a run the group of each prompt, in the order in which prompts come; where all rows say one."""
    found: dict[int, dict[str, int]] = {}
    bad: set[int] = set()
    for of, step, prompt, label in zip(rows.run, rows.step, rows.prompt, rows.bundle, strict=True):
        if of != run:
            continue
        group = label.split(".")[0]
        if label and not group.isdigit():
            bad.add(step)
        elif label:
            found.setdefault(step, {})[prompt] = int(group)
        else:
            found.setdefault(step, {}).setdefault(prompt, -1)
    return {
        step: torch.tensor(list(of.values())) for step, of in found.items() if step not in bad and max(of.values()) >= 0
    }


@dataclass(frozen=True)
class Sample:
    """Which rows a page shows.

    Args:
        places: in the order of the rows.
        failures, extremes, drawn: how many of them were taken as what.
        of: how many there are.
    """

    places: list[int]
    failures: int
    extremes: int
    drawn: int
    of: int


def sample_rows(rows: Rows, most: int, seed: int) -> Sample:
    """At most `most` rows: failures first, then extremes of each step, then others at random.

    Failures are verdicts besides right, wrong and partial: no answer, unparsable, timeouts, not judged; they take up
    half of the places at most. Extremes are, for each step of each run, the largest and smallest advantage, the longest
    and shortest completion and the least likely one; they take up half of what is left at most.
    """
    total = len(rows)
    if total <= most:
        return Sample(list(range(total)), 0, 0, 0, total)
    generator = np.random.default_rng(seed)
    failed = np.array([place for place, verdict in enumerate(rows.verdict) if _failed(verdict)], dtype=np.int64)
    failures = _some(failed, most // 2, generator)
    taken = np.zeros(total, dtype=bool)
    taken[failures] = True
    extremes = np.array([place for place in _extremes(rows) if not taken[place]], dtype=np.int64)
    extremes = _some(extremes, (most - len(failures)) // 2, generator)
    taken[extremes] = True
    drawn = _some(np.flatnonzero(~taken), most - len(failures) - len(extremes), generator)
    taken[drawn] = True
    return Sample(np.flatnonzero(taken).tolist(), len(failures), len(extremes), len(drawn), total)


def _failed(verdict: str) -> bool:
    return verdict in UNSCORED or verdict not in _PLAIN


def _some(places: Floats | Any, most: int, generator: np.random.Generator) -> Any:
    return places if len(places) <= most else np.sort(generator.choice(places, most, replace=False))


def _extremes(rows: Rows) -> list[int]:
    best: dict[tuple[int, int, str], tuple[float, int]] = {}
    for place, (run, step) in enumerate(zip(rows.run, rows.step, strict=True)):
        length = float(len(rows.completion[place]))
        scores = {
            "advantage": rows.advantage[place],
            "-advantage": -rows.advantage[place],
            "length": length,
            "-length": -length,
            "-logprob": -rows.logprob[place],
        }
        for name, score in scores.items():
            if not math.isnan(score) and score > best.get((run, step, name), (-math.inf, 0))[0]:
                best[(run, step, name)] = (score, place)
    return sorted({place for _, place in best.values()})
