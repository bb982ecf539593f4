"""What the doctor found, as tables, lines and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from riskpo.diagnosis.finding import Diagnosis, Finding
from riskpo.rewards.battery import AttackResult
from riskpo.rewards.gold_audit import GoldAudit

SCHEMA = 1
_SHOWN = 8  # rows named in a table


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """What was seen, what was found, and what could not be checked."""
    _say(f"{found.what}: {found.subject}", console)
    for name, value in found.facts.items():
        _say(f"  {name}: {value}", console)
    print_findings(found.findings, console)
    if found.quiet:
        _say(f"nothing found by: {', '.join(found.quiet)}", console)
    for what, checks in found.lacking.items():
        _say(f"SKIPPED {', '.join(checks)}: needs {what}", console)


def print_findings(findings: Iterable[Finding], console: Console) -> None:
    """A line each."""
    findings = list(findings)
    _say("findings:" if findings else "findings: none.", console)
    for finding in findings:
        _say(f"- {finding.level}, {finding.code}: {finding.text} ({finding.documented})", console)


def diagnosis_json(found: Diagnosis) -> dict[str, Any]:
    """Everything that was found, as plain values."""
    import riskpo

    return {"schema": SCHEMA, "riskpo": riskpo.__version__, **found.as_json()}


def _say(line: str, console: Console) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


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
    print_findings(findings, console)


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


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
