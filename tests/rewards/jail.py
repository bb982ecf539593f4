"""What the tests of code verdicts share: a sandbox that works here, rows of the data sets, completions."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from riskpo.errors import SandboxError
from riskpo.rewards.code import CodeVerifier
from riskpo.rewards.sandbox import open_sandbox

_FOLDERS = [folder for parent in Path(__file__).parents if (folder := parent / "shared" / "data").is_dir()]
DATA = _FOLDERS[0] if _FOLDERS else Path()
needs_data = pytest.mark.skipif(not _FOLDERS, reason="no folder shared/data beside the repository")


@functools.cache
def sandbox():
    """Bubblewrap, tried out once; the test is skipped where it does not work, saying why."""
    try:
        return open_sandbox("bubblewrap")
    except SandboxError as error:
        pytest.skip(f"no sandbox: {error}")


@functools.cache
def rows(name):
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def fenced(program, language="python"):
    return f"Here it is.\n\n```{language}\n{program}\n```\n"


def verdict(program, row, **options):
    """The verdict on one program."""
    options = {"test_seconds": 3.0, "total_seconds": 12.0, "workers": 1} | options
    verifier = CodeVerifier(sandbox(), **options)
    try:
        return verifier.verify([fenced(program)], [row])[0]
    finally:
        verifier.close()
