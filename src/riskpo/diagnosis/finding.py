"""What a check can say: a finding with its numbers and what to change, or that it was skipped, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")  # the worst first
FAIL_ON = (*LEVELS, "skipped", "never")


@dataclass(frozen=True)
class Finding:
    """What was found.

    Args:
        level: `error`: what relies on it is broken; `warning`: probably a mistake; `note`: worth knowing.
        code: which check found it; the same in every version.
        evidence: what was seen, with numbers.
        change: what to change.
        documented: where it is explained: a page of the docs, and a heading.
        about: whom it is about where several were looked at (estimators); none: all of it.
    """

    level: Level
    code: str
    evidence: str
    change: str
    documented: str
    about: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Evidence and change, as one paragraph: an evidence without a full stop ends in a colon."""
        return f"{self.evidence}{'' if self.evidence[-1:] in '.!?' else ':'} {self.change}"


@dataclass(frozen=True)
class Skipped:
    """A check that could not be made.

    Args:
        check: its code.
        missing: the field or the thing that it would have needed.
    """

    check: str
    missing: str


Outcome = Finding | Skipped | None


@dataclass(frozen=True)
class Diagnosis:
    """What all checks of one kind said.

    Args:
        what: `env`, `config`, `data` or `run`.
        subject: what was looked at.
        checked: the codes of the checks that were made.
        findings: the worst first.
        skipped: the checks that could not be made.
        facts: what was seen, by name, in words.
    """

    what: str
    subject: str
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    facts: dict[str, str]

    @property
    def quiet(self) -> tuple[str, ...]:
        """The checks that were made and found nothing."""
        spoke = {finding.code for finding in self.findings}
        return tuple(code for code in self.checked if code not in spoke)

    @property
    def lacking(self) -> dict[str, list[str]]:
        """What was missing, and which checks were skipped for it."""
        missing: dict[str, list[str]] = {}
        for one in self.skipped:
            missing.setdefault(one.missing, []).append(one.check)
        return missing

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def diagnosis(
    what: str, subject: str, outcomes: Iterable[tuple[str, Outcome]], facts: dict[str, str] | None = None
) -> Diagnosis:
    """Puts the outcomes of checks, each with its code, together."""
    outcomes = list(outcomes)
    return Diagnosis(
        what,
        subject,
        tuple(dict.fromkeys(code for code, outcome in outcomes if not isinstance(outcome, Skipped))),
        worst_first(outcome for _, outcome in outcomes if isinstance(outcome, Finding)),
        tuple(outcome for _, outcome in outcomes if isinstance(outcome, Skipped)),
        facts or {},
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by level; in their own order within one."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


def fails(findings: Iterable[Finding], fail_on: str, skipped: Collection[Skipped] = ()) -> bool:
    """Whether a finding is at least as bad as `fail_on`, one of FAIL_ON; `skipped`: any finding, or a check skipped."""
    if fail_on == "never":
        return False
    if fail_on == "skipped":
        return bool(skipped) or any(True for _ in findings)
    bad = LEVELS[: LEVELS.index(fail_on) + 1]  # type: ignore[arg-type]
    return any(finding.level in bad for finding in findings)
