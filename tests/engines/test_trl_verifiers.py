"""Verifiers in the real trainer: scores, logs and completions; unjudged kept out; a machinery that is down stops it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from riskpo.errors import InfrastructureError
from riskpo.rewards.adapters import LOGGED, AsyncVerifierReward, VerifierReward
from riskpo.rewards.shaping import WeightedSum
from riskpo.rewards.verdict import Verdict
from tests.engines.conftest import make_config, make_trainer


class Coin:
    """0 or 1 by the text alone; some prompts have a gold answer that cannot be used; breaks down after a while."""

    name = "coin"
    columns = ("answer",)
    optional_columns = ()

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.left = breaks_after

    def check_gold(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        return [None] * len(rows)

    def verify(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        return [self._one(text, str(row["answer"])) for text, row in zip(completions, rows, strict=True)]

    def _one(self, text: str, gold: str) -> Verdict:
        self.left -= 1
        if self.left < 0:
            return Verdict(None, "infra_error", reason="no sandbox.")
        if zlib.crc32(gold.encode()) % 7 == 0:
            return Verdict(None, "bad_gold", reason="no number.")
        right = zlib.crc32(f"{gold}|{text}".encode()) % 5 < 2
        return Verdict(1.0, "correct", text) if right else Verdict(0.0, "wrong", text, "tails.")


def test_verdicts_reach_log_and_table(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=2), prompts, VerifierReward(Coin()))
    trainer.train()
    row = next(row for row in reversed(trainer.state.log_history) if "reward" in row)
    assert {f"verdict/{status}" for status in LOGGED} <= set(row)
    table = trainer.last_completions()
    assert set(table["verdict"]) <= {"correct", "wrong", "bad_gold"}
    for status, score, answer, completion in zip(
        table["verdict"], table["coin"], table["verdict_answer"], table["completion"], strict=True
    ):
        assert score == pytest.approx({"correct": 1.0, "wrong": 0.0, "bad_gold": math.nan}[status], nan_ok=True)
        assert answer == (None if status == "bad_gold" else completion)
    unjudged = sum(status == "bad_gold" for status in table["verdict"]) / len(table["verdict"])
    assert row["verdict/bad_gold"] == pytest.approx(unjudged)


def test_awaited_and_plain_train_alike(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    rewards = []
    for number, kind in enumerate((VerifierReward, AsyncVerifierReward)):
        trainer = make_trainer(tiny_model, make_config(tmp_path / str(number), max_steps=2), prompts, kind(Coin()))
        trainer.train()
        rewards.append([row["reward"] for row in trainer.state.log_history if "reward" in row])
    assert rewards[0] == rewards[1]


def test_a_sum_keeps_the_unjudged_out(tiny_model: str, prompts: Dataset, tmp_path: Path) -> None:
    """As two functions of TRL, the second one's 1 would be the reward of a completion that nobody could judge."""

    def formatted(completions: list[str], **_: Any) -> list[float]:
        return [1.0] * len(completions)

    args = make_config(tmp_path, max_steps=2, reward_range=[0.0, 1.5], reward_step=0.5)
    trainer = make_trainer(tiny_model, args, prompts, WeightedSum([VerifierReward(Coin()), formatted], [1.0, 0.5]))
    trainer.train()
    table = trainer.last_completions()
    for status, total in zip(table["verdict"], table["coin+formatted"], strict=True):
        assert total == pytest.approx({"correct": 1.5, "wrong": 0.5, "bad_gold": math.nan}[status], nan_ok=True)
    assert any(math.isnan(total) for total in table["coin+formatted"])
    row = next(row for row in reversed(trainer.state.log_history) if "reward" in row)
    assert row["reward_parts/formatted"] == 1.0


@pytest.mark.parametrize("kind", [VerifierReward, AsyncVerifierReward])
def test_a_verifier_that_breaks_down_stops_the_training(
    kind: type[VerifierReward], tiny_model: str, prompts: Dataset, tmp_path: Path
) -> None:
    trainer = make_trainer(tiny_model, make_config(tmp_path, max_steps=50), prompts, kind(Coin(breaks_after=100)))
    with pytest.raises(InfrastructureError, match=r"reward coin could not judge .* The last one: no sandbox\."):
        trainer.train()
    assert 1 <= trainer.state.global_step <= 4
