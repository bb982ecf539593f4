"""Further real runs: verl's asynchronous mode, stopped and gone on with, and a reward that raises."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil", reason="psutil is not installed (an environment with verl is needed)")

from tests.engines_verl.test_verl_runs import OPTIONS, state  # noqa: E402
from tests.verl_kit.launch import Process, TinyRun, missing  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def test_an_asynchronous_mode_remembers_what_is_under_way(tmp_path: Path) -> None:
    """verl's own buffer, one batch ahead: the order of prompts that are not scored yet is in a checkpoint."""
    asynchronous = {**OPTIONS, "trainer_mode": "riskpo_colocate_async", "ordered": False}
    run = TinyRun(tmp_path / "run", steps=2, **asynchronous)
    with Process(run) as process:
        process.wait(600)
        assert [step["training/global_step"] for step in process.metrics()] == [1, 2]
    before = state(run, 2)
    assert before["risk_state"]["steps"] == 2
    assert sorted(before["places"].values()) == list(range(12, 12 + len(before["places"])))
    assert len(before["places"]) >= 6
    longer = TinyRun(tmp_path / "run", steps=3, **asynchronous)
    with Process(longer) as process:
        process.wait(600)
        (step,) = process.metrics()
        assert "Re-issued" in process.log.read_text() or "Restored" in process.log.read_text()
    assert step["training/global_step"] == 3
    after = state(run, 3)
    assert after["risk_state"]["steps"] == 3
    kept = {uid: place for uid, place in after["places"].items() if uid in before["places"]}
    assert kept.items() <= before["places"].items()
    assert len(kept) < len(before["places"])  # some were scored, by the places of the process before
    assert min(set(after["places"].values()) - set(kept.values())) >= 12 + len(before["places"])


def test_a_reward_that_raises_is_seen(tmp_path: Path) -> None:
    """verl loses the response and goes on; the share is logged, and the group is scored without it."""
    failing = ("+reward.custom_reward_function.reward_kwargs.fail_words='w4 w13'",)
    run = TinyRun(tmp_path / "run", steps=1, **{**OPTIONS, "overrides": failing})
    with Process(run) as process:
        process.wait(600)
        (step,) = process.metrics()
        assert "of the responses were lost" in process.log.read_text()
    assert 0.0 < step["risk/frac_lost_responses"] < 1.0
    assert step["risk/frac_unscorable"] >= step["risk/frac_lost_responses"]
    assert math.isfinite(step["actor/grad_norm"])
