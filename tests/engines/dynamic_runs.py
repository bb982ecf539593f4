"""Runs with dynamic sampling, watched: what was generated, what left, what reached the loss, and what should have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from riskpo import RiskPOConfig, RiskPOTrainer
from tests.engines.conftest import make_config, make_trainer
from tests.engines.dynamic_rank_worker import G, mostly_uniform


class Watched(RiskPOTrainer):
    """Notes every generation as the reward sees it, every batch as it leaves, every row as it reaches the loss."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[list[tuple[str, str, list[int], float]]] = []  # of the present step
        self.steps: list[dict[str, Any]] = []

    def reward(
        self, prompts: list[str], completions: list[str], completion_ids: list[list[int]], log_extra: Any, **_: Any
    ) -> list[float]:
        rewards = [mostly_uniform(p, c) for p, c in zip(prompts, completions, strict=True)]
        log_extra("said", [f"{p}|{c}" for p, c in zip(prompts, completions, strict=True)])
        self.calls.append(list(zip(prompts, completions, completion_ids, rewards, strict=True)))
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        self.calls = []
        output = super()._generate_and_score_completions(inputs)
        self.steps.append({"calls": self.calls, "table": self.last_completions(), "arrived": [], "output": output})
        return {**output, "row": torch.arange(len(inputs))}

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        self.steps[-1]["arrived"].append({key: value.clone() for key, value in inputs.items()})
        return super()._compute_loss(model, inputs)


def watched(model: Any, args: RiskPOConfig, data: Dataset, **kwargs: Any) -> Watched:
    def reward(**columns: Any) -> list[float]:
        return trainer.reward(**columns)

    trainer = make_trainer(model, args, data, reward, kind=Watched, **kwargs)
    assert isinstance(trainer, Watched)
    return trainer


def dynamic(folder: Path, **options: Any) -> RiskPOConfig:
    return make_config(
        folder, **{"dynamic_sampling": True, "dynamic_sampling_max_rounds": 5, "check_rewards": False, **options}
    )


def expected_rows(calls: list[list[tuple[str, str, list[int], float]]]) -> list[tuple[str, str, list[int], float]]:
    """The batch by the rule, from what the reward function was shown: one rank."""
    groups = [calls[0][start : start + G] for start in range(0, len(calls[0]), G)]
    for call in calls[1:]:
        fresh = [call[start : start + G] for start in range(0, len(call), G)]
        found = [group for group in fresh if len({row[3] for row in group}) > 1]
        places = [place for place, group in enumerate(groups) if len({row[3] for row in group}) == 1]
        assert len(fresh) == len(places), "one rank generates for exactly the prompts it lacks"
        for place, group in zip(places, found, strict=False):
            groups[place] = group
    return [row for group in groups for row in group]
