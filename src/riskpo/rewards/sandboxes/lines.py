"""A session: lines to a running program and lines back, until one of the two has enough."""

from __future__ import annotations

import time

from riskpo.errors import SessionEnded
from riskpo.rewards.sandbox import Execution, Limits
from riskpo.rewards.sandboxes.supervise import Supervised


class LineSession:
    """The session of every sandbox that starts processes itself.

    Args:
        child: the started program, or how it failed to start.
        limits: of the whole session.
    """

    def __init__(self, child: Supervised | Execution, limits: Limits) -> None:
        self._child, self._limits = child, limits
        self._ended: SessionEnded | None = None
        if isinstance(child, Execution):
            self._ended = SessionEnded(child.status, child.detail)

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """See `riskpo.rewards.sandbox.Session`."""
        if b"\n" in line:
            raise ValueError(f"a line with a line's end in it: {line[:60]!r}.")
        child = self._child
        if isinstance(child, Execution) or self._ended:
            raise self._ended or SessionEnded("infra_error", "")
        found: list[bytes] = []

        def answered() -> bool:
            answer = child.take_line()
            found.extend([] if answer is None else [answer])
            return bool(found)

        assert child.started is not None
        child.send(line + b"\n")
        end = child.started + self._limits.wall_seconds
        event = child.pump(min(time.monotonic() + seconds, end), answered)
        if event == "stopped":
            return found[0]
        ended = child.conclude(event, time.monotonic() - child.started)
        self._ended = SessionEnded(ended.status, ended.detail or "ended by itself, without an answer.")
        if event == "ended" and ended.status != "infra_error" and answered():  # printed, and then ended at once
            return found[0]
        raise self._ended

    def close(self) -> None:
        """Kills the program where it still runs."""
        if not isinstance(self._child, Execution):
            self._child.finish()
            self._ended = self._ended or SessionEnded("exited", "the session was closed.")
