"""The errors of the package. Each also inherits the standard class that a caller would expect to catch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# A message that lists more names than these hides the one that matters.
_MOST_NAMES = 30


class RiskPOError(Exception):
    """Base class of every error that this package raises on purpose."""


class ConfigError(RiskPOError, ValueError):
    """An option, or a combination of options, that cannot be run."""


class DataError(RiskPOError, ValueError):
    """A data set that cannot be trained on: missing columns, empty or duplicate prompts, too few rows."""


class RewardError(RiskPOError, ValueError):
    """Rewards of the wrong shape, type or range."""


class InfrastructureError(RiskPOError, RuntimeError):
    """What judges completions is down: too many could not be judged through no fault of theirs."""


class RunExistsError(RiskPOError, FileExistsError):
    """The folder of a run is taken: two runs never share one."""


class ResumeError(RiskPOError, RuntimeError):
    """A run that cannot be resumed exactly."""


class EngineError(RiskPOError, RuntimeError):
    """The training engine does not behave as this package relies on (usually: an incompatible version)."""


class SandboxError(RiskPOError, RuntimeError):
    """No sandbox for model-written programs, or one that does not protect; the message holds the way out."""


class BadTestsError(RiskPOError, ValueError):
    """The tests of a row that cannot be used: absent, malformed, or several right outputs and no checker."""


class SessionEnded(RiskPOError, RuntimeError):
    """A program in a session gave no answer and never will.

    Args:
        status: why, one of the statuses of `riskpo.rewards.sandbox.Execution`; "exited" = it ended by itself with
            exit code 0.
        detail: a sentence for a person who wonders.
    """

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail

    def __reduce__(self) -> tuple[type[SessionEnded], tuple[str, str]]:
        return type(self), (self.status, self.detail)


class WorkerError(RiskPOError, RuntimeError):
    """Worker processes that cannot be started or kept; the message holds their own traceback where there is one."""


class MissingExtraError(RiskPOError, ImportError):
    """An optional dependency is absent; the message holds the exact install command."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'`{package}` is not installed. Install it with: pip install "riskpo[{extra}]"')


def unknown_name(kind: str, given: object, allowed: Iterable[str]) -> str:
    """The message for a misspelt name: what was given, the nearest right one, and all that are allowed."""
    names = sorted(allowed)
    near = difflib.get_close_matches(str(given), names, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = f" Allowed: {', '.join(names)}." if len(names) <= _MOST_NAMES else ""
    return f"unknown {kind} {given!r}.{hint}{listed}"
