"""The candidate as the trusted side of a function test sees it: functions whose calls are answered from the sandbox.

What comes back is a value of exact built-in types, an exception of a built-in type, or the end of the candidate. The
end travels through test code as an exception that `except Exception` does not catch, and it is remembered besides, so
that test code which swallows everything still cannot pass.
"""

from __future__ import annotations

import builtins
import functools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from riskpo.errors import BadTestsError, SandboxError, SessionEnded
from riskpo.rewards.programs import codec
from riskpo.rewards.programs.codec import CodecError, UncarriedTypeError, decode, encode
from riskpo.rewards.programs.report import Budget
from riskpo.rewards.sandbox import Sandbox, Session
from riskpo.rewards.sandboxes.replay import Replay
from riskpo.rewards.verdict import STATUSES, Status

_MESSAGES = 32  # outputs as large as a program may print once: a session has one for each call
_START_SECONDS = 5.0  # for the interpreter and the sandbox to start, on top of a call's own time


class Stopped(BaseException):
    """The candidate cannot answer this call: why, as a status, and in a sentence."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(status, reason)
        self.status: Status = status
        self.reason = reason


class Candidate:
    """A candidate's functions, in one sandbox after another: where it ended one, the next call starts anew.

    Args:
        sandbox: where it runs.
        sources: run one after the other in one namespace; the last is the candidate's program.
        names: the functions that it must define.
        budget: time and other limits.
    """

    def __init__(self, sandbox: Sandbox, sources: Sequence[str], names: Sequence[str], budget: Budget) -> None:
        self._sandbox, self._sources, self._names, self._budget = sandbox, list(sources), list(names), budget
        seconds = budget.total_seconds + _START_SECONDS
        output = _MESSAGES * budget.limits.output_bytes
        self._limits = replace(budget.limits, wall_seconds=seconds, cpu_seconds=seconds, output_bytes=output)
        self._left = budget.total_seconds  # seconds
        self._open = ExitStack()
        self._session: Session | None = None
        self._final: Stopped | None = None  # it cannot be loaded, or the time is up: no call will be answered any more
        self._returned = False  # anything at all, so that arguments may hold it
        self.calls = 0
        self.stops = 0
        self.raised: BaseException | None = None  # the last exception of its own
        self.broken: Stopped | None = None  # the sandbox failed: whatever the tests say, nothing was judged

    def __enter__(self) -> Candidate:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def function(self, name: str) -> Callable[..., Any]:
        """A function that test code can call like the candidate's."""

        def proxy(*arguments: Any, **named: Any) -> Any:
            return self.call(name, arguments, named)

        proxy.__name__ = proxy.__qualname__ = name
        return proxy

    def call(self, name: str, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Calls one of its functions, and updates the arguments that it changed.

        Raises:
            Stopped: it has no answer.
            BadTestsError: an argument of a type that cannot be carried.
            Exception: what the candidate raised, as the nearest built-in type.
        """
        self.calls += 1
        try:
            request = encode(["call", name, [encode(argument) for argument in arguments], named])
        except CodecError as error:
            if isinstance(error, UncarriedTypeError) or not self._returned:
                raise BadTestsError(f"the test hands over {error}, which cannot be carried into the sandbox") from None
            # Too much of what it returned before.
            raise self._stop("wrong", f"an argument of {name} cannot be carried: {error}") from None
        if self._session is None:
            self._load()
        kind, *parts = self._exchange(request, 0.0)
        self._returned = True
        if kind == "value" and len(parts) == 2:
            _update(arguments, parts[1])
            return parts[0]
        if kind == "uncarried" and len(parts) == 1:
            raise self._stop("wrong", f"{name} returned {str(parts[0])[:200]}, which cannot be compared")
        raise self._raised(kind, parts)

    def _load(self) -> None:
        """Starts it. What goes wrong here goes wrong every time, and is final."""
        if self._final is not None:
            raise self._final
        try:
            self._open.close()
            try:
                self._session = self._open.enter_context(self._sandbox.session(_program(), limits=self._limits))
            except SandboxError:  # a sandbox without sessions
                self._session = Replay(self._sandbox, _program(), self._limits)
            kind, *parts = self._exchange(encode(["load", self._sources, self._names]), _START_SECONDS)
            if kind == "loaded":
                return
            text = str(parts[0])[:300] if parts else ""
            if kind == "syntax":
                raise self._stop("compile_error", text)
            if kind == "missing":
                raise self._stop("wrong", f"the program does not define {text}")
            error = self._raised(kind, parts)
            if isinstance(error, Stopped):
                raise error
            raise self._stop(failure_of(error), f"the program itself raised {type(error).__name__}: {error}")
        except Stopped as stopped:
            self._final = stopped
            raise

    def _exchange(self, request: str, extra: float) -> list[Any]:
        assert self._session is not None
        if self._left <= 0:
            self._final = self._stop("timeout", f"{self._budget.total_seconds:g} s for all tests are used up")
            raise self._final
        seconds = min(self._budget.test_seconds, self._left) + extra
        begun = time.monotonic()
        try:
            answer = decode(self._session.exchange(request.encode("ascii"), seconds))
        except SessionEnded as ended:
            raise self._ended(ended) from None
        except CodecError as error:
            raise self._stop("wrong", f"its answer is {error}") from None
        finally:
            self._left -= time.monotonic() - begun
        if not isinstance(answer, list) or not answer:
            raise self._stop("wrong", "its answer is no message")
        return answer

    def _ended(self, ended: SessionEnded) -> Stopped:
        if ended.status == "exited":
            return self._stop("wrong", "the program ended itself before it returned")
        status: Status = next((known for known in STATUSES if known == ended.status), "infra_error")
        return self._stop("runtime_error" if status == "compile_error" else status, ended.detail)

    def _stop(self, status: Status, reason: str) -> Stopped:
        """Counts the stop and closes the sandbox."""
        self.stops += 1
        self._session = None
        self._open.close()
        stopped = Stopped(status, reason)
        if status == "infra_error":
            self._final = self.broken = stopped
        return stopped

    def _raised(self, kind: object, parts: Sequence[Any]) -> BaseException:
        if kind != "raised" or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            return self._stop("wrong", "its answer is no message")
        name, text = parts
        known = getattr(builtins, name, None)
        if not (isinstance(known, type) and issubclass(known, Exception)):  # SystemExit, KeyboardInterrupt
            return self._stop("wrong", f"the program left with {name[:60]}")
        try:
            self.raised = known(text)
        except TypeError:  # UnicodeDecodeError wants five arguments
            self.raised = RuntimeError(f"{name}: {text}")
        return self.raised


def failure_of(error: BaseException) -> Status:
    """The status of a candidate whose exception nothing caught."""
    return "memory" if isinstance(error, MemoryError) else "runtime_error"


def _update(arguments: Sequence[Any], changed: Any) -> None:
    """Lets the caller see what the call did to lists, dicts, sets and byte arrays that it was given."""
    if not isinstance(changed, dict):
        return
    for position, new in changed.items():
        if (
            type(position) is not int
            or not 0 <= position < len(arguments)
            or type(new) is not type(arguments[position])
        ):
            continue
        old = arguments[position]
        if isinstance(old, (list, bytearray)):
            old[:] = new
        elif isinstance(old, (dict, set)):
            old.clear()
            old.update(new)


@functools.cache
def _program() -> str:
    """The text that runs in the sandbox: the codec under its own name, then the driver."""
    folder = Path(codec.__file__).parent
    sources = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in ("codec", "driver")}
    return "\n".join(
        [
            f"import sys, types\nCODEC = {codec.__name__!r}",
            "for name in ('riskpo', 'riskpo.rewards', 'riskpo.rewards.programs', CODEC):",
            "    sys.modules[name] = types.ModuleType(name)",
            f"exec(compile({sources['codec']!r}, 'codec.py', 'exec'), sys.modules[CODEC].__dict__)",
            "driver = types.ModuleType('driver')",
            f"exec(compile({sources['driver']!r}, 'driver.py', 'exec'), driver.__dict__)",
            "driver.serve()",
        ]
    )
