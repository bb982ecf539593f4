"""The questions of an evaluation: those of a task, or of a file of one's own, and the reward that judges answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from riskpo.errors import DataError
from riskpo.evaluation.runner import Question
from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.judge import Judge

_LISTED = 5  # questions that are named


@dataclass(frozen=True)
class QuestionSet:
    """Questions that are reported together.

    Args:
        name: the task's.
        questions: what is asked.
        judge: the reward.
        about: what else the score depends on and a table should say: split, template, where the rows came from.
    """

    name: str
    questions: tuple[Question, ...]
    judge: Judge
    about: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As plain JSON values, with a fingerprint of the questions."""
        digest = hashlib.blake2b(digest_size=8)
        for question in self.questions:
            row = {key: value for key, value in question.row.items() if not key.startswith("image")}
            digest.update(json.dumps([question.name, row], sort_keys=True, default=str).encode() + b"\n")
        return {
            "task": self.name,
            "scorer": self.judge.name,
            "asked": len(self.questions),
            "fingerprint": digest.hexdigest(),
            **self.about,
        }


def question_set(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    judge: Judge,
    *,
    limit: int = 0,
    limit_seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> QuestionSet:
    """Rows as questions.

    Args:
        name: of the set.
        rows: with `prompt` and the columns that the reward needs; `prompt_id` names a question, else a fingerprint of
            its prompt does. An `image` (or list of `images`) goes to the model.
        judge: the reward.
        limit: ask so many of them only, drawn at random; 0 = all.
        limit_seed: of that draw.
        about: see `QuestionSet`.

    Raises:
        DataError: no rows, no prompt in one, two rows of one name, or gold answers that cannot be used.
    """
    if not rows:
        raise DataError(f"{name}: there are no questions.")
    without = [number for number, row in enumerate(rows, 1) if not row.get("prompt")]
    if without:
        raise DataError(f"{name}: row {without[0]} has no prompt.")
    chosen = list(rows)
    if 0 < limit < len(chosen):
        places = sorted(Random(limit_seed).sample(range(len(chosen)), limit))
        chosen = [chosen[place] for place in places]
    questions = tuple(Question(_name(row), row, _images(row)) for row in chosen)
    about = {**(about or {}), "notes": [*(about or {}).get("notes", []), *_bad_golds(name, questions, judge)]}
    names = [question.name for question in questions]
    if len(set(names)) != len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise DataError(f"{name}: two questions are named {twice!r}: add a column prompt_id, or drop repeats.")
    extra = {"limit": limit, "limit_seed": limit_seed} if limit else {}
    return QuestionSet(name, questions, judge, {**about, **extra})


def _bad_golds(name: str, questions: Sequence[Question], judge: Judge) -> list[str]:
    """A line about gold answers that the scorer cannot use, before any model is loaded."""
    if not isinstance(judge.reward, VerifierReward):
        return []
    reasons = judge.reward.verifier.check_gold([question.row for question in questions])
    bad = [(question.name, why) for question, why in zip(questions, reasons, strict=True) if why]
    if len(bad) == len(questions):
        raise DataError(f"{name}: scorer {judge.name} can use none of the {len(bad)} gold answers: {bad[0][1]}")
    if not bad:
        return []
    listed = ", ".join(one for one, _ in bad[:_LISTED]) + (", ..." if len(bad) > _LISTED else "")
    return [
        f"{len(bad)} of {len(questions)} gold answers cannot be used by scorer {judge.name}, so that answers to them "
        f"are not judged: {listed} ({bad[0][1].rstrip('.')})"
    ]


def _name(row: Mapping[str, Any]) -> str:
    given = row.get("prompt_id", row.get("id"))
    if given is not None:
        return str(given)
    text = json.dumps(row["prompt"], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _images(row: Mapping[str, Any]) -> tuple[Any, ...]:
    images = row.get("images")
    if images is None:
        images = [] if row.get("image") is None else [row["image"]]
    return tuple(images)
