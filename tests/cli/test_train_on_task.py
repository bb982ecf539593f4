"""A data set by name through the whole of `riskpo train`: its rows, its scorer, its held-out split, its record."""

import json

import pytest

from riskpo.cli.main import main
from riskpo.tasks import chain

pytestmark = pytest.mark.slow


def test_a_run_on_a_data_set(chain_model, tmp_path, monkeypatch):
    """The rows have GSM8K's shape and questions that the tiny model can read; a second run of it is the same run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RISKPO_DATA_DIR", str(tmp_path))
    for split, count in (("train", 20), ("test", 6)):
        rows = chain.rows(split, count, 0, lengths=(1,))
        lines = [json.dumps({"question": row["prompt"], "answer": f"#### {row['answer'].rstrip('.')}"}) for row in rows]
        (tmp_path / f"gsm8k_{split}.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "mine.yaml").write_text(
        "task: gsm8k\ntask_template: question-text\nreward: numeric\nnum_generations: 4\nmax_steps: 2\n"
        "per_device_train_batch_size: 20\nmax_completion_length: 3\nuse_cpu: true\nbf16: false\ndtype: float32\n"
        "learning_rate: 1.0e-3\nlogging_steps: 1\nsave_steps: 2\ngradient_checkpointing: false\neval_prompts: 6\n"
        "eval_samples: 8\neval_ks: [1]\n"
    )
    losses = []
    for name in ("one", "two"):
        flags = ["train", "--config", "mine.yaml", "--model_name_or_path", chain_model, "--output_dir", name]
        assert main(flags) == 0
        rows = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        losses.append([row["reward"] for row in rows if "reward" in row])
    assert len(losses[0]) == 2
    assert losses[0] == losses[1]
    record = json.loads((tmp_path / "one" / "task.json").read_text())
    assert (record["train"]["task"], record["train"]["split"], record["held_out"]["split"]) == (
        "gsm8k",
        "train",
        "test",
    )
    assert json.loads((tmp_path / "one" / "data.json").read_text())["rows"] == 20
    assert json.loads((tmp_path / "one" / "eval" / "after.json").read_text())["samples"] == 8
