"""A tiny untrained model, prompts, and a reward that varies: enough for the real trainer to run fast."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import PrinterCallback

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.models.chain_base import WarmUp, make_model, make_tokenizer
from riskpo.tasks import chain

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny-model")
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make_model(WarmUp(width=16, layers=1, heads=2, initializer_range=0.3), tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def prompts() -> Dataset:
    return Dataset.from_list(chain.rows("train", 40, seed=3))


@pytest.fixture(scope="session")
def many_prompts() -> Dataset:
    return Dataset.from_list(chain.rows("train", 200, seed=3))


def coin_reward(prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
    """0 or 1, decided by the text alone: a reward that any policy meets with a varied success."""
    return [float(zlib.crc32(f"{p}|{c}".encode()) % 5 < 2) for p, c in zip(prompts, completions, strict=True)]


def make_config(folder: Path, **options: Any) -> RiskPOConfig:
    """10 prompts x 4 responses a step, in one mini-batch, CPU, quiet."""
    defaults: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 40,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 4,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "log_covariances": True,
    }
    return RiskPOConfig(**{**defaults, **options})


def make_trainer(
    model: Any,
    args: RiskPOConfig,
    data: Any,
    reward: Any = coin_reward,
    kind: type[RiskPOTrainer] = RiskPOTrainer,
    **kwargs: Any,
) -> RiskPOTrainer:
    trainer = kind(model, reward, args, data, **kwargs)
    trainer.remove_callback(PrinterCallback)
    return trainer


def step_logs(trainer: RiskPOTrainer) -> list[dict[str, Any]]:
    """The logged steps, without the final summary and without what is a clock's business."""
    clocks = {"step_time", "epoch"}
    return [
        {key: value for key, value in row.items() if key not in clocks}
        for row in trainer.state.log_history
        if "train_runtime" not in row
    ]
