"""The same evaluation finds its folder again; another one, another process, or anything else is kept out."""

import subprocess
import sys
from pathlib import Path

import pytest

from riskpo.errors import ResumeError, RunExistsError
from riskpo.evaluation.folder import check_folder, default_folder, fingerprint, locked, take_folder

CONFIG = {"model": "m", "tasks": ["a"], "sampling": {"temperature": 1.0}, "ks": (1, 2)}


def test_taken_and_taken_up(tmp_path):
    folder = tmp_path / "x"
    assert take_folder(folder, CONFIG) is False
    assert take_folder(folder, dict(reversed(CONFIG.items()))) is True


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"tasks": ["a", "b"]}, "tasks differ"), ({"seed": 3}, "seed differ"), ({"model": None}, "model differ")],
)
def test_another_evaluation(tmp_path, changed, named):
    take_folder(tmp_path / "x", CONFIG)
    with pytest.raises(ResumeError, match=named):
        take_folder(tmp_path / "x", {**CONFIG, **changed})


def test_something_else_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="no evaluation"):
        take_folder(tmp_path, CONFIG)
    with pytest.raises(RunExistsError, match="is a file"):
        check_folder(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_same_command_names_the_same_folder():
    folder = default_folder(Path("evals"), "org/model", CONFIG)
    assert folder == default_folder(Path("evals"), "org/model", dict(reversed(CONFIG.items())))
    assert folder.name.startswith("model-")
    assert folder != default_folder(Path("evals"), "org/model", {**CONFIG, "seed": 1})
    assert default_folder(Path("e"), "builtin:chain-base", {}).name.startswith("chain-base-")
    assert default_folder(Path("e"), "runs/quick/model/", {}).name.startswith("model-")


def test_one_process_at_a_time(tmp_path):
    code = (
        "import sys, pathlib\nfrom riskpo.evaluation.folder import locked\nwith locked(pathlib.Path(sys.argv[1])): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with locked(tmp_path):
        inside = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another process is evaluating" in inside.stderr
    assert subprocess.run(command, check=False).returncode == 0
    assert take_folder(tmp_path, CONFIG) is False  # a lock file alone is nothing


def test_fingerprint(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"a" * 5_000_000)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "training_args.bin.log").write_text("ignored")
    first = fingerprint(tmp_path)
    (tmp_path / "training_args.bin.log").write_text("changed")
    assert fingerprint(tmp_path) == first
    weights.write_bytes(b"a" * 2_500_000 + b"b" + b"a" * 2_499_999)  # one byte in the midst of it
    second = fingerprint(tmp_path)
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert len({first, second, fingerprint(tmp_path)}) == 3
