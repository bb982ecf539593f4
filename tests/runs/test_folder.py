"""Two runs never share a folder, half a checkpoint is none, and files appear whole."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from riskpo.atomic import read_json, write_json, write_text
from riskpo.errors import ResumeError, RunExistsError
from riskpo.runs.folder import check_free, discard, last_checkpoint, reserve


def test_numbering(tmp_path):
    runs = tmp_path / "deep" / "runs"
    assert [reserve(None, runs, "quick").name for _ in range(3)] == ["quick", "quick-2", "quick-3"]
    (runs / "other").touch()  # a file is in the way as well
    assert reserve(None, runs, "other").name == "other-2"


def test_race_of_threads(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: reserve(None, tmp_path, "run"), range(32)))
    assert {folder.name for folder in folders} == {"run", *(f"run-{number}" for number in range(2, 33))}


def test_race_of_processes(tmp_path):
    code = "from pathlib import Path; from riskpo.runs.folder import reserve\n"
    code += "for _ in range(20): print(reserve(None, Path('.'), 'run').name)"
    racers = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(2)]
    names = b"".join(racer.communicate()[0] for racer in racers).split()
    assert len(set(names)) == 40


def test_an_explicit_folder(tmp_path):
    """New or empty: taken as it is. Anything in it, or a file of that name: refused, with the way to go on."""
    new = tmp_path / "a" / "b"
    assert reserve(new, tmp_path, "ignored") == new
    assert reserve(new, tmp_path, "ignored") == new  # still empty
    (new / "config.yaml").touch()
    for taken in (new, new / "config.yaml"):
        with pytest.raises(RunExistsError, match=rf"{taken} exists already.*or remove it: it holds no checkpoint"):
            reserve(taken, tmp_path, "ignored")
    run_with(new, "checkpoint-2")
    with pytest.raises(RunExistsError, match=rf"{new} exists already.*riskpo train --resume {new}"):
        reserve(new, tmp_path, "ignored")
    with pytest.raises(FileExistsError):
        check_free(new)
    check_free(tmp_path / "free")
    assert not (tmp_path / "free").exists()


# --- checkpoints ---


def run_with(folder, *checkpoints):
    (folder / "config.yaml").touch()
    for name in checkpoints:
        (folder / name).mkdir()
        (folder / name / "trainer_state.json").write_text("{}")
    return folder


def test_last_checkpoint_is_the_highest(tmp_path):
    run_with(tmp_path, "checkpoint-20", "checkpoint-100", "checkpoint-9", "model", "checkpoint-200-old", "checkpoint-x")
    assert last_checkpoint(tmp_path).name == "checkpoint-100"


def test_an_incomplete_checkpoint_is_passed_over(tmp_path):
    run_with(tmp_path, "checkpoint-2", "checkpoint-4")
    (tmp_path / "checkpoint-4" / "trainer_state.json").unlink()
    (tmp_path / "checkpoint-6").touch()
    assert last_checkpoint(tmp_path).name == "checkpoint-2"


@pytest.mark.parametrize("content", [b"", b'{"epoch": 0.', b"[]", b"\xff"])
def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path, content):
    run_with(tmp_path, "checkpoint-2", "checkpoint-4")
    (tmp_path / "checkpoint-4" / "trainer_state.json").write_bytes(content)
    said = []
    assert last_checkpoint(tmp_path, say=said.append).name == "checkpoint-2"
    assert said == ["checkpoint-4 was not saved completely: passed over."]


def test_a_checkpoint_that_cannot_be_resumed_is_passed_over(tmp_path):
    run_with(tmp_path, "checkpoint-2", "checkpoint-4", "checkpoint-5")
    said = []
    assert last_checkpoint(tmp_path, lambda step: step % 2 == 0, said.append).name == "checkpoint-4"
    assert len(said) == 1
    assert said[0].startswith("checkpoint-5 was saved in the middle of a generation")
    with pytest.raises(ResumeError, match=r"every complete checkpoint in .* was saved in the middle of a generation"):
        last_checkpoint(tmp_path, lambda step: step % 3 == 0)


# --- a run that came to nothing ---


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def began(folder):
    folder.mkdir(exist_ok=True)
    for name in ("config.yaml", "environment.json", "metrics.jsonl"):
        (folder / name).touch()
    (folder / "eval").mkdir()
    (folder / "eval" / "before.json").touch()
    return folder


def test_discard(tmp_path):
    """Only what a run writes goes; a folder that was there stays; a checkpoint stays with all of its run."""
    discard(began(tmp_path / "new"), keep=False)
    assert not (tmp_path / "new").exists()
    discard(began(tmp_path / "old"), keep=True)
    assert everything_in(tmp_path / "old") == []
    (began(tmp_path / "shared") / "notes.txt").touch()
    discard(tmp_path / "shared", keep=False)
    assert everything_in(tmp_path / "shared") == ["notes.txt"]
    run_with(began(tmp_path / "run"), "checkpoint-2")
    before = everything_in(tmp_path / "run")
    discard(tmp_path / "run", keep=False)
    assert everything_in(tmp_path / "run") == before


def test_nothing_to_resume(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ResumeError, match=r"is not the folder of a run: it has no config\.yaml"):
            last_checkpoint(folder)
    run_with(tmp_path, "checkpoint-4")
    (tmp_path / "checkpoint-4" / "trainer_state.json").unlink()
    with pytest.raises(ResumeError, match="holds no complete checkpoint to resume from: start the run anew"):
        last_checkpoint(tmp_path)


# --- files ---


def test_json_round_trip(tmp_path):
    values = {"text": "é∞", "list": [1, 2.5, None], "nested": {"a": True}}
    write_json(tmp_path / "new" / "a.json", values)
    assert read_json(tmp_path / "new" / "a.json") == values
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "a", "old")

    def fail(*paths):
        raise OSError("no space")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
