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
    # The server samples from the weights that the actor has: the two agree on every token.
    assert all(step["training/rollout_probs_diff_max"] < 1e-5 for step in metrics)
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
