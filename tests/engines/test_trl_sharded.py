"""Sharded models train as unsharded ones do: FSDP2 and ZeRO on two ranks, from the packaged launcher files.

On CPUs over gloo (sharded_worker.py says what that takes), so what is compared is the sharding, the checkpoints and the
estimator's state, not NCCL and not vLLM.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from riskpo.runs.launching import launcher_file

pytestmark = pytest.mark.slow
WORKER = Path(__file__).with_name("sharded_worker.py")
needs_deepspeed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")
# A launcher, and the share of the weights that each of two ranks holds; 27 positions do not halve.
LAUNCHES = [
    ("fsdp2", 0.5),
    pytest.param("zero3", 0.5, marks=needs_deepspeed),
    pytest.param("zero2", 1.0, marks=needs_deepspeed),
]


def launch(name: str, out: Path, *arguments: Any, ranks: int = 2) -> list[dict[str, Any]]:
    """What every rank saw of four steps of the worker."""
    out.mkdir()
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(launcher_file(name))]
    command += ["--num_processes", str(ranks), str(WORKER), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if name.startswith("zero"):
        environment |= {"ACCELERATE_TORCH_DEVICE": "cpu", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(ranks)]


@pytest.fixture(scope="module")
def unsharded(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Two ranks with the whole model on each, and rewards that depend on every token that was sampled."""
    out = tmp_path_factory.mktemp("runs") / "ddp"
    return out, launch("ddp", out, tiny_model, out, 12, 4, "text")


@pytest.mark.parametrize(("name", "share"), LAUNCHES)
def test_sharded_equals_unsharded_and_resumes_exactly(
    name: str, share: float, unsharded: tuple[Path, list[dict[str, Any]]], tiny_model: str, tmp_path: Path
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    sharded = launch(name, out, tiny_model, out, 12, 4, "text")
    whole = unsharded[1]
    for ours, theirs in zip(sharded, whole, strict=True):
        assert ours["share"] == pytest.approx(share, abs=0.02)
        assert theirs["share"] == 1.0
        assert ours["table"]["completion"] == theirs["table"]["completion"]  # the same texts, to the last step
        assert ours["local"] == theirs["local"]
        assert ours["state"] == theirs["state"]
        assert ours["shapes"] == theirs["shapes"]  # what vLLM would be sent: every weight, whole, under its name
    for ours, theirs in zip(sharded[0]["metrics"], whole[0]["metrics"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert all(row["grad_norm"] > 0.12 for row in sharded[0]["metrics"])  # above max_grad_norm: clipping was at work

    # The saved model is whole, loads as any other, and is the one that DDP trained.
    assert_same_weights(out / "model", unsharded[0] / "model")

    resumed = launch(name, again, tiny_model, again, 12, 4, "text", out / "trainer" / "checkpoint-2")
    for ours, theirs in zip(resumed, sharded, strict=True):
        assert ours["state"] == theirs["state"]
        assert ours["local"] == theirs["local"][2:]
        assert ours["table"] == theirs["table"]
    assert resumed[0]["metrics"] == sharded[0]["metrics"]
    straight, restarted = (load_file(folder / "model" / "model.safetensors") for folder in (out, again))
    assert straight.keys() == restarted.keys()
    assert all(torch.equal(straight[key], restarted[key]) for key in straight)


def test_two_shards_compute_the_advantages_of_one_process(tiny_model: str, tmp_path: Path) -> None:
    """Rewards are decided by a response's place, so that one process and two see the same."""
    one_out, two_out = tmp_path / "one", tmp_path / "two"
    (one,) = launch("ddp", one_out, tiny_model, one_out, 24, 4, "placed", ranks=1)
    first, second = launch("fsdp2", two_out, tiny_model, two_out, 12, 4, "placed")
    assert (one["world"], first["world"], one["share"]) == (1, 2, 1.0)
    assert first["state"] == second["state"] == one["state"]
    for step, whole in enumerate(one["local"]):
        assert first["local"][step] + second["local"][step] == pytest.approx(whole, abs=1e-6)
    assert any(value != 0.0 for value in one["local"][0])


def assert_same_weights(ours: Path, theirs: Path) -> None:
    """Two models that can be loaded, whose weights agree within what four steps of AdamW make of rounding."""
    left, right = (AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in (ours, theirs))
    moved = dict(right.named_parameters())
    for name, weight in left.named_parameters():
        assert torch.allclose(weight, moved[name], atol=2e-4)  # each step moves a weight by up to 1e-3
