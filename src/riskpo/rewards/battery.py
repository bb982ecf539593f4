"""Running the battery of attacks on a reward, and counting what slipped through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from riskpo.errors import RewardError
from riskpo.rewards.attacks import ANSWER_ATTACKS, CODE_ATTACKS, Attack, Target, canary
from riskpo.rewards.judge import PHRASES, Judge, Row, gold_text, is_code


@dataclass
class AttackResult:
    """What became of an attack.

    Args:
        attack: which.
        tried: completions.
        full, partial: how many had full marks, or a part of them.
        examples: row number (of the sample), completion and reason of some that scored.
        error: what the reward raised, if it did.
    """

    attack: Attack
    tried: int = 0
    full: int = 0
    partial: int = 0
    examples: list[tuple[int, str, str]] = field(default_factory=list)
    error: str = ""

    @property
    def slipped(self) -> bool:
        """Whether anything scored, or the reward broke."""
        return bool(self.full or self.partial or self.error)


def run_attacks(
    judge: Judge,
    rows: Sequence[Row],
    form: str,
    generator: Random,
    *,
    sample: int = 32,
    answer: str = "answer",
    progress: Callable[[str], None] | None = None,
) -> list[AttackResult]:
    """Runs the battery on a sample of the rows whose gold answer scores.

    Args:
        judge: the reward.
        rows: the data set.
        form: the form in which the reward reads answers, of `PHRASES`.
        generator: draws the sample.
        sample: rows that are attacked.
        answer: the column of gold answers.
        progress: called with each attack's name before it runs.

    Returns:
        One result for each attack, in their order; `tried` is 0 where no row offered what it needs.
    """
    targets = _targets(judge, rows, form, generator, sample, answer)
    results = []
    for attack in CODE_ATTACKS if rows and is_code(rows[0]) else ANSWER_ATTACKS:
        if progress is not None:
            progress(attack.name)
        results.append(_run(judge, attack, targets))
    return results


def _targets(
    judge: Judge, rows: Sequence[Row], form: str, generator: Random, sample: int, answer: str
) -> list[tuple[int, Target]]:
    phrase = PHRASES[form].format
    usable = [i for i, row in enumerate(rows) if row.get(answer) not in (None, "") or is_code(row)]
    chosen = sorted(generator.sample(usable, min(sample, len(usable))))
    found = []
    for index in chosen:
        row, gold = rows[index], gold_text(rows[index], answer) or ""
        if is_code(row):
            found.append((index + 1, Target(row, gold, (), phrase)))
            continue
        drawn = [str(rows[i][answer]) for i in generator.sample(usable, min(12, len(usable)))]
        different = list(dict.fromkeys(other for other in drawn if other != gold)) or [f"{gold}7"]
        judged = judge([phrase(other) for other in different], [row] * len(different))
        wrong = [other for other, said in zip(different, judged, strict=True) if said.score == 0.0]
        if wrong:
            found.append((index + 1, Target(row, gold, tuple(wrong[:3]), phrase)))
    return found


def _run(judge: Judge, attack: Attack, targets: Sequence[tuple[int, Target]]) -> AttackResult:
    built = [(number, target, attack.build(target)) for number, target in targets]
    made = [(number, target, text) for number, target, text in built if text is not None]
    result = AttackResult(attack, len(made))
    if not made:
        return result
    canary().unlink(missing_ok=True)
    texts, rows = [text for _, _, text in made], [target.row for _, target, _ in made]
    try:
        judged = judge(texts, rows)
    except RewardError as error:  # what would stop a training run is a finding here
        judged, result.error = [], str(error)
    if canary().exists():
        canary().unlink()
        result.error = "the completion was evaluated: it wrote a file."
    for (number, _, text), said in zip(made, judged, strict=False):
        if said.score is None or said.score <= 0.0:
            continue
        result.full += said.full
        result.partial += not said.full
        if len(result.examples) < 3:
            result.examples.append((number, text if len(text) <= 200 else text[:200] + "...", said.reason))
    return result
