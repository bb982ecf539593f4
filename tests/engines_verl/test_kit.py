"""The kit itself, with verl's own GRPO: steps, checkpoints, resumption, two ranks with padding rows, killing."""

import json
import math
import shutil
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil", reason="psutil is not installed (an environment with verl is needed)")
torch = pytest.importorskip("torch")

from tests.verl_kit.launch import Process, TinyRun, missing  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def weights(run: TinyRun, step: int) -> dict[str, torch.Tensor]:
    """The actor's tensors at a step, of a run with one rank."""
    file = run.checkpoints / f"global_step_{step}" / "actor" / "model_world_size_1_rank_0.pt"
    state = torch.load(file, weights_only=False)
    return {name: getattr(tensor, "_local_tensor", tensor) for name, tensor in state.items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def rollouts(run: TinyRun, step: int) -> list[tuple[str, str, float]]:
    """Prompt, completion and score of every row of a step, sorted: verl names prompts at random."""
    lines = (run.folder / "rollouts" / f"{step}.jsonl").read_text().splitlines()
    return sorted((row["input"], row["output"], row["score"]) for row in map(json.loads, lines))


@pytest.fixture(scope="module")
def three_steps(tmp_path_factory):
    run = TinyRun(tmp_path_factory.mktemp("kit") / "run")
    with Process(run) as process:
        process.wait()
        yield run, process.metrics()


def test_three_steps_train_the_model_and_save_each(three_steps):
    run, metrics = three_steps
    assert [step["training/global_step"] for step in metrics] == [1, 2, 3]
    assert (run.checkpoints / "latest_checkpointed_iteration.txt").read_text() == "3"
    for step in metrics:
        assert math.isfinite(step["actor/grad_norm"])
        assert step["actor/grad_norm"] > 0
        assert 0 < step["critic/score/mean"] < 1  # groups are mixed
        # The server samples from the weights that the actor has: the two agree on every token.
        assert step["training/rollout_probs_diff_max"] < 1e-5
    states = [weights(run, step) for step in (1, 2, 3)]
    assert not same(states[0], states[1])
    assert not same(states[1], states[2])


def test_rows_are_the_groups_of_different_prompts(three_steps):
    run, _ = three_steps
    for step in (1, 2, 3):
        rows = rollouts(run, step)
        assert len(rows) == run.batch * run.group
        groups = {prompt: [row[1] for row in rows if row[0] == prompt] for prompt, _, _ in rows}
        assert len(groups) == run.batch
        assert all(len(group) == run.group for group in groups.values())
        assert all(len(set(group)) > 1 for group in groups.values())  # each sample has its own seed


def test_a_new_process_goes_on_from_step_two_as_if_nothing_had_happened(three_steps, tmp_path):
    run, metrics = three_steps
    resumed = TinyRun(tmp_path / "run")
    shutil.copytree(run.folder, resumed.folder)
    for leftover in ("rollouts", "checkpoints/global_step_3"):
        shutil.rmtree(resumed.folder / leftover)
    (resumed.checkpoints / "latest_checkpointed_iteration.txt").write_text("2")
    with Process(resumed) as process:
        process.wait()
        again = process.metrics()
    assert [step["training/global_step"] for step in again] == [3]
    # The data loader went on with the third batch, and the rest follows from the weights and the seeds, bit by bit.
    assert rollouts(resumed, 3) == rollouts(run, 3)
    for name in ("actor/pg_loss", "actor/grad_norm", "actor/entropy", "critic/score/mean"):
        assert again[0][name] == metrics[2][name], name
    assert same(weights(resumed, 3), weights(run, 3))


def test_two_ranks_with_padding_rows(tmp_path):
    # 3 prompts x 4 samples = 12 rows for mini-batches of 2 prompts = 8 rows: verl adds 4 rows of padding.
    run = TinyRun(tmp_path / "run", steps=2, ranks=2, batch=3, mini_batch=2)
    with Process(run) as process:
        process.wait()
        metrics = process.metrics()
        assert "with 4 synthetic padding samples" in process.log.read_text()
    assert [step["training/global_step"] for step in metrics] == [1, 2]
    for step in (1, 2):
        folder = run.checkpoints / f"global_step_{step}" / "actor"
        assert {file.name for file in folder.glob("model_*")} == {f"model_world_size_2_rank_{r}.pt" for r in (0, 1)}
        uids = [json.loads(row)["uid"] for row in (run.folder / "rollouts" / f"{step}.jsonl").read_text().splitlines()]
        assert sum(uid.startswith("pad") for uid in uids) == 4
        assert len(uids) == 16
        assert math.isfinite(metrics[step - 1]["actor/grad_norm"])
        assert metrics[step - 1]["actor/grad_norm"] > 0


def test_a_killed_run_leaves_nothing_behind(tmp_path):
    run = TinyRun(tmp_path / "run")
    with Process(run) as process:
        folder = Path(process.ray_folder)
        process.wait_for(folder / "session_latest", timeout=300)
        process.kill()
        assert not process._ours()
        assert not folder.exists()
