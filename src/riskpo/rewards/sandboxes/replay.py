"""A session for a sandbox that has none: every exchange runs the program anew on all lines so far.

The program sees the same lines in the same order, so its state is that of a session that lasts, unless it depends on
time or chance. n exchanges cost n runs.
"""

from __future__ import annotations

from dataclasses import replace

from riskpo.errors import SessionEnded
from riskpo.rewards.sandbox import Limits, Sandbox


class Replay:
    """Answers lines with lines, as `riskpo.rewards.sandbox.Session` does."""

    def __init__(self, sandbox: Sandbox, program: str, limits: Limits) -> None:
        self._sandbox, self._program, self._limits = sandbox, program, limits
        self._lines: list[bytes] = []

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """The last line of a run on all lines so far, within `seconds` for all of it.

        Raises:
            SessionEnded: the program did not answer every line.
        """
        self._lines.append(line)
        limits = replace(self._limits, wall_seconds=min(self._limits.wall_seconds, seconds))
        done = self._sandbox.run(self._program, b"".join(line + b"\n" for line in self._lines), limits=limits)
        answers = done.stdout.split(b"\n")
        if done.status != "exited" or len(answers) <= len(self._lines):
            raise SessionEnded(done.status, done.detail)
        return answers[len(self._lines) - 1]
