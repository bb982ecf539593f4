"""Real runs of verl's V1 trainer with the engine: Ray, FSDP2 over gloo, agent loop, reward loop; on a CPU."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

psutil = pytest.importorskip("psutil", reason="psutil is not installed (an environment with verl is needed)")

from tests.verl_kit.launch import Process, TinyRun, missing  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

# Exact pairing within bundles of one difficulty: quantiles, pass rates and generator all have a part in every step.
OPTIONS = {
    "batch": 6,
    "mini_batch": 6,
    "prompts": 12,
    "estimator": "riskpo",
    "trainer_mode": "riskpo_sync",
    "nan_words": "w3 w7",
    "overrides": ("+algorithm.riskpo.preset=sorted", "+algorithm.riskpo.log_covariances=true"),
}
STEPS = 4


def state(run: TinyRun, step: int) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run.checkpoints / f"global_step_{step}" / "riskpo.json").read_text())
    return values


def ours(metrics: dict[str, Any]) -> dict[str, Any]:
    """What must be the same: the estimator's numbers, and those of the update that follow from them."""
    kept = ("actor/pg_loss", "actor/grad_norm", "actor/entropy")
    return {name: value for name, value in metrics.items() if name.startswith(("risk/", "critic/")) or name in kept}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TinyRun, list[dict[str, Any]]]]:
    run = TinyRun(tmp_path_factory.mktemp("whole") / "run", steps=STEPS, **OPTIONS)
    with Process(run) as process:
        process.wait(600)
        yield run, process.metrics()


def test_a_run_learns_from_risk_sensitive_advantages(whole: tuple[TinyRun, list[dict[str, Any]]]) -> None:
    run, metrics = whole
    assert [step["training/global_step"] for step in metrics] == [1, 2, 3, 4]
    assert all(step["actor/grad_norm"] > 0 for step in metrics)
    assert [step["risk/frac_unseen_prompts"] for step in metrics] == [1.0, 1.0, 0.0, 0.0]  # 12 prompts, 6 a step
    assert metrics[2]["risk/q_low"] != metrics[1]["risk/q_low"]  # tracked
    last = state(run, STEPS)
    assert last["risk_state"]["steps"] == STEPS
    assert len(last["risk_state"]["pass_rates"]["visits"]) == 12
    assert last["places"] == {}  # nothing is on its way in mode sync


def test_responses_that_could_not_be_scored_are_left_out(whole: tuple[TinyRun, list[dict[str, Any]]]) -> None:
    """verl's own numbers of the reward are then of the others; covariances too are finite."""
    run, metrics = whole
    shares = [step["risk/frac_unscorable"] for step in metrics]
    assert any(0.0 < share < 1.0 for share in shares)
    for number, step in enumerate(metrics, 1):
        rows = map(json.loads, (run.folder / "rollouts" / f"{number}.jsonl").read_text().splitlines())
        scores = [row["score"] for row in rows]
        known = [score for score in scores if score is not None and not math.isnan(score)]
        assert 1.0 - len(known) / len(scores) == pytest.approx(step["risk/frac_unscorable"])
        assert step["critic/score/mean"] == pytest.approx(sum(known) / len(known))
        assert math.isfinite(step["risk/cov_logp_advantage"])


def test_killed_within_a_save_and_resumed(whole: tuple[TinyRun, list[dict[str, Any]]], tmp_path: Path) -> None:
    """A checkpoint that verl has not yet named the latest is not used; what follows is the same to the last bit."""
    expected, metrics = whole
    run = TinyRun(tmp_path / "run", steps=STEPS, **OPTIONS)
    with Process(run) as process:
        process.wait_for(run.checkpoints / "global_step_3" / "riskpo.json", 600)
        process.kill()
    reached = int((run.checkpoints / "latest_checkpointed_iteration.txt").read_text())
    assert reached in (2, 3)
    with Process(run) as process:
        process.wait(600)
        again = process.metrics()
    assert [step["training/global_step"] for step in again] == list(range(reached + 1, STEPS + 1))
    for step in again:
        assert ours(step) == ours(metrics[step["training/global_step"] - 1])
    assert state(run, STEPS) == state(expected, STEPS)


def test_two_ranks_with_padding_rows_give_the_numbers_of_one(
    whole: tuple[TinyRun, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """24 rows in mini-batches of 16 make 8 rows of padding; 6 prompts in bundles of 5 leave one prompt over."""
    expected, metrics = whole
    run = TinyRun(tmp_path / "run", steps=1, ranks=2, **{**OPTIONS, "mini_batch": 4})
    with Process(run) as process:
        process.wait(600)
        (step,) = process.metrics()
        assert "with 8 synthetic padding samples" in process.log.read_text()
    first = {name: value for name, value in metrics[0].items() if name.startswith("risk/")}
    found = {name: value for name, value in step.items() if name.startswith("risk/")}
    assert found == pytest.approx(first, rel=1e-6)
    assert state(run, 1) == state(expected, 1)


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


def test_a_misspelt_option_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    run = TinyRun(tmp_path / "run", **{**OPTIONS, "overrides": ("+algorithm.riskpo.risk_lo=0.1",)})
    with Process(run) as process:
        with pytest.raises(RuntimeError, match="Did you mean 'risk_low'"):
            process.wait(600)
        assert not run.checkpoints.exists()


def test_without_the_plugin_the_trainer_is_unknown(tmp_path: Path) -> None:
    run = TinyRun(tmp_path / "run", **OPTIONS, environment={"VERL_USE_EXTERNAL_PLUGINS": "none"})
    with Process(run) as process, pytest.raises(RuntimeError, match="Unknown trainer 'riskpo_sync'"):
        process.wait(600)
