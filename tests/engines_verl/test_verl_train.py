"""`riskpo train --engine verl` as a user starts it: a real run, killed, gone on with, and its page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

psutil = pytest.importorskip("psutil", reason="psutil is not installed (an environment with verl is needed)")

from tests.verl_kit.launch import (  # noqa: E402
    Process,
    TinyRun,
    actor_words,
    missing,
    ray_words,
    trainer_words,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

# What the kit decides of a run besides machine, model and rollouts: here riskpo's command does.
OURS = ("algorithm.", "trainer.v1.trainer_mode", "trainer.total_", "trainer.save_freq", "trainer.default_local_dir")
OURS += (
    "trainer.project",
    "trainer.experiment",
    "trainer.rollout_data_dir",
    "trainer.logger",
    "hydra.",
    "trainer.nnodes",
)
REWARD = """
def first_word(completions, answer, **columns):
    words = [completion[-1]["content"].split() for completion in completions]
    return [float(bool(one) and one[0] in allowed.split()) for one, allowed in zip(words, answer)]
"""


@dataclass
class UserRun:
    """A configuration file of a user, in the place of the kit's command."""

    folder: Path
    resume: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / "mine"

    def command(self, ray_folder: str) -> list[str]:
        tiny = TinyRun(self.folder, batch=6, mini_batch=6)
        words = [*actor_words(tiny, tiny.material()[0]), *trainer_words(tiny), *ray_words(tiny, ray_folder)]
        words = [word for word in words if not word.startswith(OURS)]
        words += ["data.dataloader_num_workers=0", "reward.num_workers=1", f"+data.cache_dir={self.folder / 'cache'}"]
        words = [re.sub(r"^\+(?!\+)", "++", word) for word in words]
        verb = [sys.executable, "-m", "riskpo.cli", "train"]
        if self.resume:
            return [*verb, "--resume", str(self.run_dir), "--", f"++ray_kwargs.ray_init._temp_dir={ray_folder}"]
        config = self.folder / "mine.yaml"
        config.write_text(yaml.safe_dump(self.settings(words)), encoding="utf-8")
        return [*verb, "--config", str(config), "--engine", "verl"]

    def settings(self, words: list[str]) -> dict[str, Any]:
        rows = [
            {
                "prompt": [{"role": "user", "content": f"w{n} w{n + 1}"}],
                "answer": " ".join(f"w{k}" for k in range(n, n + 8)),
            }
            for n in range(12)
        ]
        (self.folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (self.folder / "my_reward.py").write_text(REWARD, encoding="utf-8")
        return {
            "model_name_or_path": str(self.folder / "model"),
            "dataset": str(self.folder / "mine.jsonl"),
            "runs_dir": str(self.folder / "runs"),
            "reward": ["my_reward:first_word"],
            "preset": "exact",
            "processes": 1,
            "num_generations": 4,
            "per_device_train_batch_size": 24,
            "max_steps": 4,
            "save_steps": 1,
            "max_prompt_tokens": 32,
            "max_completion_length": 6,
            "learning_rate": 0.01,
            "lr_scheduler_type": "constant",
            "use_vllm": True,
            "vllm_enable_sleep_mode": True,
            "vllm_importance_sampling_correction": False,
            "gradient_checkpointing": False,
            "bf16": False,
            "seed": 1,
            "verl": words,
        }


def riskpo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "riskpo.cli", *words], capture_output=True, text=True, timeout=300)


def test_a_user_s_run(tmp_path: Path) -> None:
    run = UserRun(tmp_path)
    with Process(run) as process:  # type: ignore[arg-type]
        process.wait_for(run.run_dir / "checkpoints" / "global_step_2" / "riskpo.json", 600)
        process.kill()
    with Process(UserRun(tmp_path, resume=True)) as process:  # type: ignore[arg-type]
        process.wait(600)
        said = process.log.read_text()
    assert "verl ended with status 0 after" in said
    assert "verl.model_merger merge --backend fsdp" in said
    rows = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows]
    assert steps in ([1, 2, 3, 4], [1, 3, 4])  # verl logs a step after its checkpoint: the kill may fall in between
    assert all({"reward", "entropy", "risk/q_low", "risk/mvar", "grad_norm"} <= set(row) for row in rows)
    state = json.loads((run.run_dir / "checkpoints" / "global_step_4" / "riskpo.json").read_text())
    assert state["risk_state"]["steps"] == 4

    done = riskpo("report", str(run.run_dir))
    assert done.returncode == 0, done.stderr
    assert (run.run_dir / "report.html").is_file()
    audited = riskpo("audit", str(run.run_dir / "rollouts"))
    assert audited.returncode == 0, audited.stderr
    looked = riskpo("doctor", "run", str(run.run_dir))
    assert looked.returncode == 0, looked.stderr
