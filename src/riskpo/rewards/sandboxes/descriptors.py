"""The open files of a process that is about to start: which of them end where, also if it never starts.

`subprocess` makes pipes too, but before Python 3.11.4 it leaves some open where a later one cannot be made.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from types import TracebackType


class Descriptors:
    """Closes at its end those that only the new process needs, and, if that end is an error, all others as well."""

    def __init__(self) -> None:
        self._lent, self._kept = contextlib.ExitStack(), contextlib.ExitStack()

    def __enter__(self) -> Descriptors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lent:
            if kind is not None:
                self._kept.close()

    def lend(self, descriptor: int) -> int:
        """One that the new process needs and this one does not."""
        self._lent.callback(os.close, descriptor)
        return descriptor

    def pipe_from(self) -> tuple[int, int]:
        """A pipe from the new process: the end to keep, the end to lend."""
        reading, writing = os.pipe()
        self._kept.callback(os.close, reading)
        return reading, self.lend(writing)

    def pipe_to(self) -> tuple[int, int]:
        """A pipe to the new process: the end to keep, the end to lend."""
        reading, writing = os.pipe()
        self._kept.callback(os.close, writing)
        return writing, self.lend(reading)

    def ends_with(self, process: subprocess.Popen[bytes]) -> None:
        """Makes an error end the new process too."""

        def end() -> None:
            process.kill()
            process.wait()

        self._kept.callback(end)
