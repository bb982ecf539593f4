"""What the doctor found, as findings, tables and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from riskpo.rewards.battery import AttackResult
from riskpo.rewards.gold_audit import GoldAudit

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_SHOWN = 8  # rows named in a table or a sentence


@dataclass(frozen=True)
class Finding:
    """What is wrong, how badly, with its numbers, and what to change."""

    level: Level
    kind: str
    text: str


def reward_findings(gold: GoldAudit, attacks: Sequence[AttackResult], reward: str) -> list[Finding]:
    """The findings on a reward and a data set, the worst first."""
    found = [*_gold_findings(gold, reward), *_form_findings(gold, reward), *_attack_findings(attacks)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def _gold_findings(gold: GoldAudit, reward: str) -> list[Finding]:
    found = []
    missed = len(gold.misses)
    if missed:
        level: Level = "error" if missed > gold.rows / 2 else "warning"
        rows = _named([miss.row for miss in gold.misses])
        text = (
            f"{missed} of {gold.rows} gold answers do not score 1 as an answer ({rows}): no response to them can. "
            + ("Take another reward, or another column (--answer)." if level == "error" else "Mend or drop those rows.")
        )
        found.append(Finding(level, "gold", text))
    if gold.conflicts:
        groups = "; ".join(_named(group) for group in gold.conflicts[:_SHOWN])
        text = f"{len(gold.conflicts)} questions stand there with gold answers that contradict each other ({groups}). "
        found.append(Finding("warning", "conflict", text + f"At least one of each is wrong under {reward}: drop them."))
    if gold.duplicates:
        copies = sum(len(group) - 1 for group in gold.duplicates)
        text = (
            f"copies of other rows' questions, with equal answers: {copies} (the first: {_named(gold.duplicates[0])}). "
            "They weigh double; estimators that keep history per prompt see them as one."
        )
        found.append(Finding("note", "duplicate", text))
    return found


def _form_findings(gold: GoldAudit, reward: str) -> list[Finding]:
    found = []
    for form, count in gold.asked.items():
        share = gold.forms[form]
        if count >= max(1, gold.rows / 100) and share < 0.5 * gold.forms[gold.form]:
            text = (
                f"{count} of {gold.rows} prompts speak of the form {form!r}, but {reward} reads only {share:.0%} of "
                f"the gold answers in it (in the form {gold.form!r}: {gold.forms[gold.form]:.0%}). Change the prompts "
                "or the reward's convention."
            )
            found.append(Finding("error", "form", text))
    # That a program is fenced goes without saying; benchmarks of code do not ask for it.
    if (
        not any(gold.asked.values())
        and gold.form not in ("bare", "fenced")
        and gold.forms["bare"] < 0.5 * gold.forms[gold.form]
    ):
        text = (
            f"{reward} reads answers in the form {gold.form!r} and hardly without ({gold.forms['bare']:.0%} of the "
            "gold answers), and no prompt asks for it: a model that does not know scores 0 on what it gets right. Say "
            "it in the prompt."
        )
        found.append(Finding("warning", "form", text))
    return found


def _attack_findings(attacks: Sequence[AttackResult]) -> list[Finding]:
    found = []
    for result in attacks:
        if result.error:
            text = f"attack {result.attack.name!r} ({result.attack.what}) broke the reward: {result.error}"
            found.append(Finding("error", "attack", text))
        elif result.slipped:
            got = f"{result.full} full marks" if result.full else f"{result.partial} partial scores"
            text = (
                f"attack {result.attack.name!r} ({result.attack.what}): {got} in {result.tried} tries. A policy that "
                "is optimised against this reward will find it."
            )
            found.append(Finding("error" if result.full else "warning", "attack", text))
    return found


def print_rewards(
    gold: GoldAudit, attacks: Sequence[AttackResult], findings: Sequence[Finding], console: Console
) -> None:
    """Tables and findings."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    say(f"gold answers, written in the form {gold.form!r}: {gold.accepted} of {gold.rows} score 1")
    if gold.misses:
        table = Table("row", "gold answer", "status", "reason", box=box.SIMPLE)
        for miss in gold.misses[:_SHOWN]:
            table.add_row(str(miss.row), escape(_short(miss.gold)), miss.status, escape(_short(miss.reason)))
        console.print(table)
        if len(gold.misses) > _SHOWN:
            say(f"... and {len(gold.misses) - _SHOWN} more (--json lists all)")
    table = Table("form", "gold answers read in it", "prompts that speak of it", box=box.SIMPLE)
    for form, share in gold.forms.items():
        table.add_row(form, f"{share:.0%}", str(gold.asked.get(form, "-")))
    console.print(table)
    table = Table("attack", "what it is", "tries", "full", "part", box=box.SIMPLE)
    for result in attacks:
        scores = [result.tried or "-", result.full or "-", result.partial or "-"]
        style = "bold" if result.slipped else ""
        table.add_row(escape(result.attack.name), escape(result.attack.what), *map(str, scores), style=style)
    console.print(table)
    for result in attacks:
        for row, completion, reason in result.examples[:1]:
            say(f"{result.attack.name}, row {row}: {completion!r} scored. {reason}")
    say("findings:" if findings else "findings: none.")
    for finding in findings:
        say(f"- {finding.level}: {finding.text}")


def as_json(gold: GoldAudit, attacks: Sequence[AttackResult], findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything that was found."""
    return {
        "gold": dataclasses.asdict(gold),
        "attacks": [
            {
                "name": result.attack.name,
                "what": result.attack.what,
                "tried": result.tried,
                "full": result.full,
                "partial": result.partial,
                "error": result.error,
                "examples": [list(example) for example in result.examples],
            }
            for result in attacks
        ],
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def _named(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:_SHOWN]))
    return f"row{'s' * (len(rows) > 1)} {shown}{', ...' * (len(rows) > _SHOWN)}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
