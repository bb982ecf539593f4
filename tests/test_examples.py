"""Every file of examples/ runs, without network, in a folder of its own, on a base model that is hardly warmed up."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.fixture
def work(tmp_path, chain_model):
    """A working folder whose cache holds a base model under the name of the built-in one."""
    from riskpo.models.chain_base import WarmUp

    shutil.copytree(chain_model, tmp_path / "cache" / "models" / WarmUp().name)
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    return tmp_path / "work"


def python(work, *arguments):
    """Runs Python in the folder; returns what it printed."""
    own = {"HOME": work, "HF_HOME": work / "hf", "RISKPO_CACHE": work.parent / "cache", "MPLBACKEND": "agg"}
    own["TMPDIR"] = work.parent / "temporary"
    environment = {**os.environ, **{name: str(path) for name, path in own.items()}, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def code_of(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_what_there_is():
    assert [path.stem for path in SCRIPTS] == ["custom_reward", "custom_spectrum", "grpo_to_riskpo"]
    assert [path.name for path in NOTEBOOKS] == ["quickstart.ipynb"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(notebook):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_of(notebook))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts(work, script):
    """Three steps each, and the line that they end with; nothing is left behind."""
    said = python(work, script, 3)
    last = {"custom_reward": "mean reward", "custom_spectrum": "reward", "grpo_to_riskpo": "reward"}[script.stem]
    assert said.splitlines()[-1].startswith(last)
    assert "nan" not in said.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks(work, notebook):
    """The code cells one after the other, as a kernel would run them, with fewer steps."""
    code = "\n\n".join("".join(cell["source"]) for cell in code_of(notebook))
    assert "STEPS = 40" in code
    (work / "cells.py").write_text(code.replace("STEPS = 40", "STEPS = 4"))
    python(work, "cells.py")
    assert len(list((work.parent / "temporary").glob("*/notebook/summary.json"))) == 1
    assert (work / "audit.png").stat().st_size > 10_000
    assert not list(EXAMPLES.glob("runs"))


def test_the_custom_reward_gives_quarters():
    """By hand: of 8612. the first two of five characters, all, none, and no gold."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        from custom_reward import partial_credit
    finally:
        sys.path.remove(str(EXAMPLES))
    completions, answers = ["86999", "8612.", "18612.", "8612.", "8612"], ["8612.", "8612.", "8612.", "", "8612."]
    assert partial_credit(completions, answers) == [0.25, 1.0, 0.0, None, 0.75]
