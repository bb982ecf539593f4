"""A data set's gold answers under a reward: does each score 1, and which are duplicates, in conflict, or asked for
in another form than the reward reads?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from riskpo.rewards.judge import PHRASES, Judge, Row, gold_text, phrase_of, prompt_text

# What a prompt says when it asks for an answer in one of the forms.
_ASKS: dict[str, re.Pattern[str]] = {
    "boxed": re.compile(r"\\boxed\b"),
    "hashes": re.compile(r"####"),
    "answer line": re.compile(r"[\"'`]?Answer:", re.IGNORECASE),
    "fenced": re.compile(r"```"),
}
_SAMPLED = 64  # rows that the forms are tried on


@dataclass(frozen=True)
class Miss:
    """A gold answer without full marks.

    Args:
        row: its number in the file, from 1.
        gold: the answer.
        status, reason: what the reward says of it.
    """

    row: int
    gold: str
    status: str
    reason: str


@dataclass
class GoldAudit:
    """What was found.

    Args:
        rows: how many there are.
        form: the form in which the gold answers were phrased: of `PHRASES`.
        forms: for each form the share of (sampled) gold answers with full marks.
        asked: for each form how many prompts ask for it.
        accepted: gold answers with full marks.
        misses: those without.
        duplicates: groups of row numbers with the same prompt, blanks apart, and gold answers that agree.
        conflicts: such groups whose gold answers do not.
    """

    rows: int
    form: str
    forms: dict[str, float]
    asked: dict[str, int]
    accepted: int = 0
    misses: list[Miss] = field(default_factory=list)
    duplicates: list[list[int]] = field(default_factory=list)
    conflicts: list[list[int]] = field(default_factory=list)


def audit_gold(judge: Judge, rows: Sequence[Row], answer: str = "answer") -> GoldAudit:
    """Judges every gold answer of a data set.

    Args:
        judge: the reward.
        rows: the data set, with `prompt` or `question`, and the gold answers.
        answer: the column of gold answers that can be written as a completion.

    Returns:
        What was found. Rows without an answer there are misses.
    """
    golds = [gold_text(row, answer) for row in rows]
    usable = [index for index, gold in enumerate(golds) if gold is not None]
    step = max(len(usable) // _SAMPLED, 1)
    sample = usable[::step][:_SAMPLED]
    form, forms = phrase_of(judge, [rows[i] for i in sample], [str(golds[i]) for i in sample])
    prompts = [prompt_text(row) for row in rows]
    asked = {name: sum(bool(pattern.search(prompt)) for prompt in prompts) for name, pattern in _ASKS.items()}
    found = GoldAudit(len(rows), form, forms, asked)
    judged = judge([PHRASES[form].format(golds[i]) for i in usable], [rows[i] for i in usable])
    by_row = dict(zip(usable, judged, strict=True))
    for index, gold in enumerate(golds):
        judgement = by_row.get(index)
        if judgement is not None and judgement.full:
            found.accepted += 1
        elif judgement is None:
            found.misses.append(Miss(index + 1, "", "no gold", f"the column {answer!r} is empty."))
        else:
            found.misses.append(Miss(index + 1, str(gold), judgement.status, judgement.reason))
    _compare_repeats(judge, rows, golds, prompts, found)
    return found


def _compare_repeats(
    judge: Judge, rows: Sequence[Row], golds: Sequence[str | None], prompts: Sequence[str], found: GoldAudit
) -> None:
    """Sorts the groups of rows with one prompt into duplicates and conflicts."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        if prompt.strip():
            groups["".join(prompt.split())].append(index)
    for group in groups.values():
        if len(group) == 1:
            continue
        first, others = group[0], [index for index in group[1:] if golds[index] != golds[group[0]]]
        told = [PHRASES[found.form].format(golds[index]) for index in others]
        agree = all(judgement.full for judgement in judge(told, [rows[first]] * len(others)))
        (found.duplicates if agree else found.conflicts).append([index + 1 for index in group])
