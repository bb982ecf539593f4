"""Programs on a SandboxFusion server: what that does not promise, nobody here can add.

The server's own configuration decides how well programs are kept apart (its default keeps them apart hardly at all;
run it in a container without network, and read its documentation). It takes and gives text, cuts output off at 1 MiB
without a word, and has no sessions.

Reference: https://bytedance.github.io/SandboxFusion/docs/api/run-code-run-code-post
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import DEFAULT_LIMITS, Execution, ExecutionStatus, Limits, Session, check_files

PAUSES = (0.2, 1.0, 3.0)  # seconds before asking again
SERVER_CAP = 1 << 20  # bytes of each stream that the server keeps
_LARGEST_ANSWER = 64 << 20
_NOT_PYTHON = ("SyntaxError", "IndentationError", "TabError")


class _Again(Exception):
    """Asking once more may help."""


class SandboxFusion:
    """A sandbox by a SandboxFusion server.

    Of the limits it observes wall clock (as seconds of the whole run, interpreter's start included), memory and output;
    the others are the server's affair.

    Args:
        url: of the server, without `/run_code`.
        parallel: how many requests at once; further callers wait. Default: 4 for each processor here.
        margin: seconds that an answer may take beyond the program's own time.
        pauses: seconds before each further try, where the server is not reached, is overloaded or talks nonsense.
    """

    name = "sandbox-fusion"

    def __init__(
        self, url: str, *, parallel: int | None = None, margin: float = 30.0, pauses: tuple[float, ...] = PAUSES
    ) -> None:
        self._options: dict[str, Any] = {"url": url, "parallel": parallel, "margin": margin, "pauses": pauses}
        self._url, self._margin, self._pauses = url.rstrip("/") + "/run_code", margin, pauses
        self._slots = threading.BoundedSemaphore(parallel or 4 * (os.cpu_count() or 1))

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(SandboxFusion, **self._options), ()

    def run(
        self,
        program: str,
        stdin: bytes = b"",
        *,
        limits: Limits = DEFAULT_LIMITS,
        files: Mapping[str, bytes] = {},
    ) -> Execution:
        """See `riskpo.rewards.sandbox.Sandbox`. Standard input that is no UTF-8 cannot be sent: an `infra_error`."""
        check_files(files)
        try:
            content = _request(program, stdin, limits, files)
        except UnicodeError as error:
            return Execution("infra_error", detail=f"cannot be sent to a SandboxFusion server: {error}")
        with self._slots:
            for pause in (*self._pauses, None):
                try:
                    return _execution(self._ask(content, limits.wall_seconds + self._margin), limits)
                except _Again as error:
                    failed = str(error)
                except (OSError, ValueError) as error:
                    failed = f"{type(error).__name__}: {error}"
                    break
                if pause is not None:
                    time.sleep(pause)
        return Execution("infra_error", detail=f"SandboxFusion server {self._url}: {failed}")

    def session(self, program: str, *, limits: Limits = DEFAULT_LIMITS) -> AbstractContextManager[Session]:
        """There is none.

        Raises:
            SandboxError: always.
        """
        raise SandboxError(
            "a SandboxFusion server runs a program to its end and cannot answer in between, so tests that call "
            "functions do not work with it; those with standard input and output do. For the former use the sandbox "
            "`bubblewrap`."
        )

    def describe(self) -> str:
        """See `riskpo.rewards.sandbox.Sandbox`."""
        return f"SandboxFusion server {self._url}; protection as configured there"

    def probe(self) -> None:
        """Whether the server runs programs and stops one that does not end; how well it protects is not known here."""
        done = self.run("print(int(input()) * 7)", b"6")
        if (done.status, done.stdout.strip()) != ("exited", b"42"):
            raise SandboxError(
                f"the SandboxFusion server {self._url} does not run programs: one that prints 42 ended as "
                f"{done.status} with {done.stdout[:80]!r}. {done.detail} Is it running, and is this its address?"
            )
        endless = self.run("while True: pass", limits=Limits(wall_seconds=1.0))
        if endless.status != "timeout":
            raise SandboxError(
                f"the SandboxFusion server {self._url} does not stop programs: one without end ended as "
                f"{endless.status}. {endless.detail}"
            )

    def _ask(self, content: bytes, seconds: float) -> dict[str, Any]:
        request = urllib.request.Request(self._url, content, {"Content-Type": "application/json"})
        until = time.monotonic() + seconds
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                text = _read(answer, until)
            said = json.loads(text)
        except urllib.error.HTTPError as error:
            with error:
                if error.code >= 500 or error.code == 429:
                    raise _Again(f"answered {error.code}") from error
                raise OSError(f"answered {error.code}: {error.read(300).decode('utf-8', 'replace')}") from error
        except (OSError, http.client.HTTPException) as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise _Again(f"answered what is no JSON: {error}") from error
        if not isinstance(said, dict):
            raise _Again(f"answered with a {type(said).__name__}")
        return said


def _request(program: str, stdin: bytes, limits: Limits, files: Mapping[str, bytes]) -> bytes:
    return json.dumps(
        {
            "code": program,
            "language": "python",
            "stdin": stdin.decode("utf-8"),
            "compile_timeout": limits.wall_seconds,
            "run_timeout": limits.wall_seconds,
            "memory_limit_MB": limits.memory_mb,
            "files": {name: base64.b64encode(content).decode("ascii") for name, content in files.items()},
        }
    ).encode()


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    """The whole answer; a server may not feed it by drops for ever."""
    parts, size = [], 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_ANSWER:
            raise OSError(f"an answer of more than {_LARGEST_ANSWER} bytes")
        if time.monotonic() > until:
            raise TimeoutError("the answer takes too long")
    return b"".join(parts)


def _execution(said: dict[str, Any], limits: Limits) -> Execution:
    """The server's answer as one of ours.

    Raises:
        _Again: the server failed, or left out what it must say.
    """
    result = said.get("run_result")
    if said.get("status") not in ("Success", "Failed") or not isinstance(result, dict):
        raise _Again(f"status {said.get('status')!r}: {str(said.get('message'))[:300]}")
    stdout, stderr = ((result.get(name) or "") for name in ("stdout", "stderr"))
    code, seconds = result.get("return_code"), result.get("execution_time") or 0.0
    if not (isinstance(stdout, str) and isinstance(stderr, str) and isinstance(seconds, (int, float))):
        raise _Again("a result of the wrong types")
    out, err = stdout.encode("utf-8", "surrogatepass"), stderr.encode("utf-8", "surrogatepass")
    most = limits.output_bytes

    def as_(status: ExecutionStatus, detail: str, exit_code: int | None = None) -> Execution:
        return Execution(status, out[:most], err[:most], exit_code, float(seconds), detail)

    if max(len(out), len(err)) > most or max(len(out), len(err)) >= SERVER_CAP:
        return as_("output_limit", f"printed more than {min(most, SERVER_CAP)} bytes.")
    if result.get("status") == "TimeLimitExceeded":
        return as_("timeout", f"did not end within {limits.wall_seconds:g} s.")
    if result.get("status") != "Finished" or not isinstance(code, int):
        raise _Again(f"result {result.get('status')!r}")
    if code == 0:
        return as_("exited", "", 0)
    last = (stderr.strip().splitlines() or [""])[-1][:300]
    status: ExecutionStatus = "runtime_error"
    if last.startswith("MemoryError") or code in (-9, 137):
        status = "memory"
    elif last.startswith(_NOT_PYTHON):
        status = "compile_error"
    return as_(status, f"exit code {code}: {last}", code if code >= 0 else 128 - code)
