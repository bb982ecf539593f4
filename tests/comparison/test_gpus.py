"""Shares of GPUs, with lists of GPUs that no machine needs to have."""

import stat

import pytest

from riskpo.comparison.gpus import driver_gpus, share_out, visible_gpus
from riskpo.errors import ConfigError

EIGHT = [str(number) for number in range(8)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,2,5", ["0", "2", "5"]),
        (" 3 , 1", ["3", "1"]),
        ("GPU-8932f937,MIG-7a2b", ["GPU-8932f937", "MIG-7a2b"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),  # CUDA reads up to the first that is none
        ("NoDevFiles", []),
    ],
)
def test_a_variable_that_is_set_is_respected(value, expected):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": value}, lambda: EIGHT) == expected


def test_otherwise_the_driver_is_asked():
    assert visible_gpus({}, lambda: EIGHT) == EIGHT


@pytest.mark.parametrize(
    ("script", "expected"), [("echo 0; echo 1; echo 10", ["0", "1", "10"]), ("echo No devices were found", [])]
)
def test_what_the_driver_says(tmp_path, monkeypatch, script, expected):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert driver_gpus() == expected


def test_without_the_drivers_tool_its_devices_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("riskpo.comparison.gpus._DEVICES", tmp_path)
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert driver_gpus() == ["0", "1"]


def test_shares_are_alike_and_apart():
    assert share_out(EIGHT, 2, 1).slots == ("0", "1")  # one that saw four would train with batches of four
    assert share_out(EIGHT, 1, 1).slots == ("0",)
    assert share_out(EIGHT, 1, 2).note == "GPUs of a run: 0,1; left idle: 2,3,4,5,6,7"
    assert share_out(EIGHT, 8, 1).slots == tuple(EIGHT)
    three = share_out(EIGHT, 3, 2)
    assert three.slots == ("0,1", "2,3", "4,5")
    assert three.note == "GPUs of the 3 runs at once: 0,1 | 2,3 | 4,5; left idle: 6,7"
    assert share_out(["GPU-a", "GPU-b"], 2, 0).slots == ("GPU-a", "GPU-b")


def test_more_runs_than_gpus_take_turns():
    found = share_out(["2", "5"], 5, 1)
    assert found.slots == ("2", "5", "2", "5", "2")
    assert found.note == "5 runs at once share 2 GPUs 2,5: each must fit beside the others."
    alone = share_out(["0"], 2, 1)
    assert alone.slots == (None, None)
    assert alone.note == "2 runs at once share GPU 0: each must fit beside the others."


def test_nothing_to_share():
    assert share_out([], 3, 1) == share_out([], 3, 4)
    assert share_out([], 3, 1).slots == (None, None, None)
    assert share_out(EIGHT, 1, 8).slots == (None,)
    assert share_out([], 3, 1).note == share_out(EIGHT, 1, 8).note == ""


def test_a_process_needs_a_gpu():
    assert share_out(EIGHT, 2, 4).slots == ("0,1,2,3", "4,5,6,7")
    with pytest.raises(ConfigError, match=r"--jobs 3 leaves each run 2 of the 8 GPUs .*4 processes.*: --jobs 2 at"):
        share_out(EIGHT, 3, 4)
    with pytest.raises(ConfigError, match="there are too few GPUs for a single run"):
        share_out(["0", "1"], 2, 4)
