"""Machines that are made up, and this one."""

import contextlib
import dataclasses

import pytest

from riskpo.diagnosis.env import CHECKS, Accelerator, Machine, _accelerators, check_env, look
from riskpo.diagnosis.finding import Finding, Skipped

GPU = Accelerator("a GPU", 80.0, 79.0, True)
GOOD = Machine(
    "3.11.7",
    ">=3.10,<3.14",
    ("torch<3,>=2.6", 'peft<1,>=0.15; extra == "peft"', 'other>=1; sys_platform == "nowhere"'),
    {"torch": "2.13.0+cpu", "peft": None, "other": None, "trl": "1.16.0"},
    (GPU,),
    True,
    disk=100.0,
    sandbox="a sandbox",
    cores=8,
    threads=8,
    shm=1.0,
)


def level(code, **changes):
    outcome = CHECKS[code](dataclasses.replace(GOOD, **changes))
    return outcome.level if isinstance(outcome, Finding) else outcome


def test_a_good_machine():
    found = check_env(GOOD)
    assert found.findings == found.skipped == ()
    assert {*found.checked} == {*CHECKS}


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    [
        ("packages", {"installed": {"torch": "2.5.1"}}, "error"),
        ("packages", {"installed": {"torch": "3.0"}}, "error"),
        ("packages", {"installed": {"torch": None}}, "error"),
        ("packages", {"installed": {"torch": "2.6", "peft": "0.14"}}, "error"),
        ("packages", {"installed": {"torch": "2.6", "peft": "0.15"}}, None),
        ("packages", {"python": "3.14.0"}, "error"),
        ("packages", {"requirements": ("trl>=1.16",), "installed": {"trl": "0.27.0"}}, "error"),
        ("packages", {"requirements": ("trl>=1.16",), "installed": {"trl": "0.27.0", "verl": "0.9.1"}}, None),
        ("engines", {"installed": {}}, "warning"),
        ("engines", {"installed": {"verl": "0.9.1"}}, None),
        ("engines", {"installed": {"verl": "0.9.1", "trl": "0.27.0"}}, None),
        ("engines", {"installed": {"verl": "0.9.1", "trl": "1.16.0"}}, "error"),
        ("accelerators", {"accelerators": ()}, "warning"),
        ("accelerators", {"accelerators": (), "devices": False}, None),
        ("accelerators", {"accelerators": (dataclasses.replace(GPU, bf16=False),)}, "warning"),
        ("disk", {"disk": None}, "error"),
        ("disk", {"disk": 1.99}, "warning"),
        ("disk", {"disk": 2.0}, None),
        ("caches", {"unwritable": {"built models": "/nowhere"}}, "warning"),
        ("sandbox", {"sandbox": "", "sandbox_error": "no namespaces"}, "warning"),
        ("threads", {"threads": 9}, "warning"),
        ("threads", {"threads": None}, None),
        ("shared_memory", {"accelerators": (GPU, GPU), "shm": 0.99}, "warning"),
        ("shared_memory", {"accelerators": (GPU, GPU)}, None),
        ("shared_memory", {"shm": 0.0625}, None),
        ("shared_memory", {"shm": None}, Skipped("shared_memory", "/dev/shm")),
    ],
)
def test_checks(code, changes, expected):
    assert level(code, **changes) == expected


def test_not_installed_as_a_package():
    assert isinstance(level("packages", python_bounds=None), Skipped)


def test_evidence_names_what_is_wrong():
    found = CHECKS["packages"](dataclasses.replace(GOOD, installed={"torch": "2.5.1"}))
    assert "torch 2.5.1 (wanted <3,>=2.6)" in found.evidence
    assert "peft" not in found.evidence


def test_being_offline_is_a_fact(monkeypatch):
    found = check_env(dataclasses.replace(GOOD, offline=True))
    assert found.findings == ()
    assert "offline" in found.facts["hub"]


def test_accelerators_as_torch_names_them(monkeypatch):
    """torch's own functions, with its own arguments, on a machine that has none."""
    import inspect

    import torch

    assert "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (30 << 30, 80 << 30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "device", lambda index: contextlib.nullcontext())
    assert _accelerators() == (Accelerator("GPU 0", 80.0, 30.0, False),)


def test_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    monkeypatch.setenv("RISKPO_CACHE", str(tmp_path / "deep" / "cache"))
    seen = look(tmp_path / "not" / "there" / "yet")
    assert seen.threads == 100000
    assert seen.disk is not None
    assert seen.disk > 0.0
    assert seen.installed["torch"]
    assert "built models (RISKPO_CACHE)" not in seen.unwritable
    assert bool(seen.sandbox) != bool(seen.sandbox_error)
    assert "threads" in {finding.code for finding in check_env(seen).findings}
    assert list(tmp_path.iterdir()) == []  # looking makes no folder


def test_a_file_is_no_folder_of_runs(tmp_path):
    file = tmp_path / "runs"
    file.write_text("")
    found = [one for one in check_env(look(file)).findings if one.code == "disk"]
    assert [one.level for one in found] == ["error"]
    assert f"{file}, where runs go, is no folder" in found[0].evidence
