"""The estimator as verl calls it, without verl: what it leaves to the trainer, and steps that lost their prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from riskpo.engines.verl.estimator import Scoring, scoring, verl_advantages
from riskpo.errors import EngineError
from riskpo.risk import RiskConfig, RiskState


def call(rewards: list[float], uids: list[str], now: Scoring) -> torch.Tensor:
    """advantages of one-token responses."""
    with scoring(now):
        advantages, returns = verl_advantages(
            torch.tensor(rewards)[:, None], torch.ones(len(rewards), 1), index=np.array(uids, dtype=object)
        )
    assert torch.equal(advantages, returns)
    return advantages[:, 0]


def test_outside_a_trainer_of_ours() -> None:
    with pytest.raises(EngineError, match="keeps no state"):
        verl_advantages(torch.zeros(2, 1), torch.ones(2, 1), index=["a", "a"])


@pytest.mark.parametrize("preset", ["paper", "exact", "sorted", "prompt-mvar", "released-hard"])
def test_lost_prompts_are_such_that_could_not_be_scored(preset: str) -> None:
    """Two of seven prompts lost: the others' numbers are those of a step of NaN rows, and pass rates skip the lost."""
    config = RiskConfig.from_preset(preset)
    uids = [f"u{prompt}" for prompt in range(5) for _ in range(2)]
    rewards = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    lost = Scoring(config, RiskState(), torch.Generator().manual_seed(0), prompts=7, prompt_ids=list)
    nan = Scoring(config, RiskState(), torch.Generator().manual_seed(0), prompt_ids=list)
    found = call(rewards, uids, lost)
    whole = call([*rewards, *[float("nan")] * 4], [*uids, "v", "v", "w", "w"], nan)
    torch.testing.assert_close(found, whole[:10], rtol=0, atol=0)
    assert whole[10:].tolist() == [0.0] * 4
    assert lost.step is not None
    assert nan.step is not None
    assert lost.step.metrics == nan.step.metrics
    assert lost.step.state.pass_rates == nan.step.state.pass_rates
    assert len(lost.step.state.pass_rates.visits) == (5 if preset == "sorted" else 0)


def test_a_step_that_lost_too_many_for_a_bundle_teaches_nothing() -> None:
    now = Scoring(RiskConfig(), RiskState(), torch.Generator(), prompts=6)
    assert call([1.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"], now).tolist() == [0.0] * 4
    assert now.step is not None
    assert now.step.state == RiskState()
