"""What the audit of gold answers and the battery of attacks say of a reward and a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from riskpo.diagnosis.finding import Finding, Level, worst_first
from riskpo.errors import DataError
from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.battery import AttackResult
from riskpo.rewards.gold_audit import GoldAudit
from riskpo.tasks.files import load_rows

PAGE = "docs/rewards.md#before-a-run-the-doctor"
_SHOWN = 8  # rows named in a sentence


def reward_findings(gold: GoldAudit, attacks: Sequence[AttackResult], reward: str) -> tuple[Finding, ...]:
    """The findings on a reward and a data set, the worst first."""
    return worst_first([*_gold_findings(gold, reward), *_form_findings(gold, reward), *_attack_findings(attacks)])


def named_rows(rows: Sequence[int]) -> str:
    """Rows in words: the first few by their numbers."""
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"row{'s' * (len(rows) > 1)} {shown}{', ...' * (len(rows) > _SHOWN)}"


def _gold_findings(gold: GoldAudit, reward: str) -> list[Finding]:
    found = []
    missed = len(gold.misses)
    if missed:
        level: Level = "error" if missed > gold.rows / 2 else "warning"
        rows = named_rows([miss.row for miss in gold.misses])
        evidence = (
            f"{missed} of {gold.rows} gold answers do not score 1 as an answer ({rows}): no response to them can."
        )
        change = (
            "Take another reward, or another column (--answer)." if level == "error" else "Mend or drop those rows."
        )
        found.append(Finding(level, "gold", evidence, change, PAGE))
    if gold.conflicts:
        groups = "; ".join(named_rows(group) for group in gold.conflicts[:_SHOWN])
        evidence = (
            f"{len(gold.conflicts)} questions stand there with gold answers that contradict each other ({groups})."
        )
        change = f"At least one of each is wrong under {reward}: drop them."
        found.append(Finding("warning", "conflict", evidence, change, PAGE))
    if gold.duplicates:
        copies = sum(len(group) - 1 for group in gold.duplicates)
        first = named_rows(gold.duplicates[0])
        evidence = f"Copies of other rows' questions, with equal answers: {copies} (the first: {first})."
        change = "They weigh double; estimators that keep history per prompt see them as one. Drop them."
        found.append(Finding("note", "duplicate", evidence, change, PAGE))
    return found


def _form_findings(gold: GoldAudit, reward: str) -> list[Finding]:
    found = []
    for form, count in gold.asked.items():
        share = gold.forms[form]
        if count >= max(1, gold.rows / 100) and share < 0.5 * gold.forms[gold.form]:
            evidence = (
                f"{count} of {gold.rows} prompts speak of the form {form!r}, but {reward} reads only {share:.0%} of "
                f"the gold answers in it (in the form {gold.form!r}: {gold.forms[gold.form]:.0%})."
            )
            found.append(Finding("error", "form", evidence, "Change the prompts or the reward's convention.", PAGE))
    # That a program is fenced goes without saying; benchmarks of code do not ask for it.
    if (
        not any(gold.asked.values())
        and gold.form not in ("bare", "fenced")
        and gold.forms["bare"] < 0.5 * gold.forms[gold.form]
    ):
        evidence = (
            f"{reward} reads answers in the form {gold.form!r} and hardly without ({gold.forms['bare']:.0%} of the "
            "gold answers), and no prompt asks for it: a model that does not know scores 0 on what it gets right."
        )
        found.append(Finding("warning", "form", evidence, "Say it in the prompt.", PAGE))
    return found


def _attack_findings(attacks: Sequence[AttackResult]) -> list[Finding]:
    found = []
    for result in attacks:
        what = f"Attack {result.attack.name!r} ({result.attack.what})"
        if result.error:
            change = "Mend the reward: a completion must never break it."
            found.append(Finding("error", "attack", f"{what} broke the reward: {result.error}", change, PAGE))
        elif result.slipped:
            got = f"{result.full} full marks" if result.full else f"{result.partial} partial scores"
            evidence = (
                f"{what}: {got} in {result.tried} tries. A policy that is optimised against this reward will find it."
            )
            change = "Close it, or take a built-in verifier."
            found.append(Finding("error" if result.full else "warning", "attack", evidence, change, PAGE))
    return found


def rows_to_judge(source: str, reward: Any, name: str, answer: str, first: int = 0) -> list[dict[str, Any]]:
    """The rows that a reward is tried on.

    Args:
        source: a file, or a hub id.
        reward: as `riskpo.runs.rewards.load_reward` gives it; name: what it is called.
        answer: the column of gold answers.
        first: so many rows only; 0: all.

    Raises:
        DataError: columns that are missing, or golds that the reward can use none of.
    """
    data = load_rows(source)
    names = data.column_names
    if "prompt" not in names and "question" not in names:
        raise DataError(f"{source} has neither the column prompt nor question; it has {', '.join(names)}.")
    needed = reward.verifier.columns if isinstance(reward, VerifierReward) else (answer,)
    missing = [column for column in needed if column not in names]
    if missing:
        raise DataError(f"reward {name} needs the columns {missing}; {source} has {', '.join(names)}.")
    rows: list[dict[str, Any]] = data.select(range(min(first, len(data)))).to_list() if first else data.to_list()
    if isinstance(reward, VerifierReward):
        problems = reward.verifier.check_gold(rows)
        if all(problem is not None for problem in problems):
            raise DataError(
                f"reward {name} can use none of the {len(rows)} rows of {source}; of the first: {problems[0]}"
            )
    return rows
