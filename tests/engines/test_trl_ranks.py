"""Two ranks compute what one computes: the same bundles, scores, quantiles and advantages on the same data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("two_rank_worker.py")


def launch(ranks: int, model: str, out: Path, per_rank: int, generations: int, preset: str) -> list[dict[str, Any]]:
    out.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    command += [str(WORKER), model, str(out), str(per_rank), str(generations), preset]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(ranks)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("per_rank", "generations", "preset"),
    [
        pytest.param(12, 4, "paper", id="whole prompts per rank"),
        pytest.param(15, 6, "paper", id="a prompt across ranks"),
        pytest.param(15, 6, "sorted", id="pass rates, a prompt across ranks"),
    ],
)
def test_two_ranks_equal_one(per_rank: int, generations: int, preset: str, tiny_model: str, tmp_path: Path) -> None:
    """Seven steps: with five prompts a step the second epoch over the 30 prompts begins, whose pass rates are known."""
    one = launch(1, tiny_model, tmp_path / "one", 2 * per_rank, generations, preset)[0]
    first, second = launch(2, tiny_model, tmp_path / "two", per_rank, generations, preset)
    assert (one["world"], first["world"], second["world"]) == (1, 2, 2)

    # 6 or 5 prompts in bundles of 5: the first case leaves a prompt over, which borrows partners.
    assert first["state"] == second["state"] == one["state"]
    for step, whole in enumerate(one["local"]):
        assert first["local"][step] + second["local"][step] == pytest.approx(whole, abs=1e-6)
    assert first["table"] == pytest.approx(one["table"], abs=1e-6)
    # Only the main process of TRL keeps logs that count.
    for ours, theirs in zip(first["metrics"], one["metrics"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert all(len(row) == 4 for row in first["covariances"])
    assert any(value != 0.0 for value in one["local"][0])
