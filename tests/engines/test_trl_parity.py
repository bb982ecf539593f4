"""TRL's trainer gives the recorded advantages, which the verl engine is held to in an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from tests.engines.parity import FILE, NAMES, run_trl


def test_every_estimator_is_recorded() -> None:
    assert sorted(json.loads(FILE.read_text(encoding="utf-8"))) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_advantages(name: str, tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    recorded = json.loads(FILE.read_text(encoding="utf-8"))[name]
    for step, expected in zip(run_trl(name, tiny_model, prompts, tmp_path), recorded, strict=True):
        assert step["prompts"] == expected["prompts"]
        assert step["rewards"] == expected["rewards"]
        torch.testing.assert_close(
            torch.tensor(step["advantages"]), torch.tensor(expected["advantages"]), rtol=1e-6, atol=1e-6
        )
