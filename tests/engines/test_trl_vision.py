"""Questions with images through the real trainer and a tiny Qwen2.5-VL: the vision tower learns, the images matter."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from PIL import Image

from tests.engines.conftest import coin_reward, make_config, make_trainer
from tests.engines.tiny_vision import make_processor, make_vision_model

DATA = Path(__file__).parents[3] / "shared" / "data"
COUNT = 10


def drawn() -> list[dict[str, Any]]:
    """Questions on images of noise."""
    generator = random.Random(0)
    rows = []
    for number in range(COUNT):
        image = Image.frombytes("RGB", (60, 45), generator.randbytes(60 * 45 * 3))
        rows.append({"question": f"What is number {number}?", "image": image, "answer": "A"})
    return rows


def photographed() -> list[dict[str, Any]]:
    """Real questions with their real images."""
    path = DATA / "mathvision_geometry_sample.jsonl"
    if not path.is_file():
        pytest.skip("the sample of MathVision is not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:COUNT]]
    return [{**row, "image": Image.open(DATA / row["image"]).convert("RGB")} for row in rows]


def as_data(rows: list[dict[str, Any]]) -> Dataset:
    """TRL's columns: a conversation with a place for the image, and the image."""
    return Dataset.from_list(
        [
            {
                "prompt": [
                    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row["question"][:80]}]}
                ],
                "image": row["image"],
                "answer": row["answer"],
            }
            for row in rows
        ]
    )


def train(data: Dataset, folder: Path, **options: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    model = make_vision_model()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    args = make_config(folder, **{"max_steps": 3, **options})
    trainer = make_trainer(model, args, data, coin_reward, processing_class=make_processor())
    trainer.train()
    return trainer, before


@pytest.mark.slow
@pytest.mark.parametrize("rows", [drawn, photographed])
def test_a_vision_language_model_trains(rows: Any, tmp_path: Path) -> None:
    trainer, before = train(as_data(rows()), tmp_path)
    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert len(logged) == 3
    assert all({"risk/q_low", "risk/score_mean", "risk/cov_logp_advantage"} <= set(row) for row in logged)
    moved = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert any("visual" in name for name in moved)
    assert any("language_model" in name for name in moved)
    table = trainer.last_completions()
    assert len(table["completion"]) == 4 * COUNT
    assert max(map(abs, table["advantage"])) > 0.0


@pytest.mark.slow
def test_the_images_matter(tmp_path: Path) -> None:
    """The same questions and seeds, other images: other responses. Rounding may flip a stray token of equal runs."""
    rows = drawn()
    others = [{**row, "image": Image.new("RGB", (60, 45), "white")} for row in rows]
    completions = []
    for number, data in enumerate((rows, rows, others)):
        trainer, _ = train(as_data(data), tmp_path / str(number), max_steps=1)
        completions.append([message[0]["content"] for message in trainer.last_completions()["completion"]])
    assert _agreement(completions[0], completions[1]) >= 0.9
    assert _agreement(completions[0], completions[2]) <= 0.5


def _agreement(ours: list[str], theirs: list[str]) -> float:
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)
