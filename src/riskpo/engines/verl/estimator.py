"""What verl calls for advantages: its signature around `risk_advantages`, the function that serves every engine.

verl's estimators are stateless: they see the rewards of tokens, a mask and uids. Everything else that a step needs is
in a `Scoring`, which the trainer sets for the time of the call and reads the outcome from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from riskpo.engines.verl.options import TRAINER_MODES
from riskpo.engines.verl.rows import Layout, lay_out
from riskpo.errors import EngineError
from riskpo.risk.advantages import risk_advantages
from riskpo.risk.config import RiskConfig
from riskpo.risk.state import RiskState, RiskStep


@dataclass
class Scoring:
    """One batch that is being scored.

    Args:
        risk: the options.
        state: from the batch before.
        generator: a CPU generator; it is advanced.
        progress: the share of the training that is done, in [0, 1].
        keys: verl's key of each row; None: every row is a response.
        places: a sortable place of each prompt; None: in the order of their first rows.
        prompts: how many the step was meant to have; lost ones count as such that could not be scored.
        prompt_ids: stable names of prompts, from their uids; asked only where pass rates are kept.
        layout, rewards_PG, step: the outcome, once the estimator was called.
    """

    risk: RiskConfig
    state: RiskState
    generator: torch.Generator
    progress: float = 0.0
    keys: Sequence[str] | None = None
    places: Mapping[str, Any] | None = None
    prompts: int = 0
    prompt_ids: Callable[[Sequence[str]], Sequence[str]] | None = None
    layout: Layout | None = field(default=None, init=False)
    rewards_PG: Tensor | None = field(default=None, init=False)
    step: RiskStep | None = field(default=None, init=False)


_current: ContextVar[Scoring | None] = ContextVar("riskpo_scoring", default=None)


@contextmanager
def scoring(now: Scoring) -> Iterator[Scoring]:
    """Within it, verl's call of the estimator computes `now`."""
    token = _current.set(now)
    try:
        yield now
    finally:
        _current.reset(token)


def verl_advantages(
    token_level_rewards: Tensor, response_mask: Tensor, config: Any = None, index: Any = None, **_: Any
) -> tuple[Tensor, Tensor]:
    """The estimator registered with verl, under every name of the family.

    Args:
        token_level_rewards: N rows x T tokens; a response's reward is the sum over them, NaN = could not be scored.
        response_mask: N x T, 1 where the policy wrote the token.
        config: verl's `algorithm`; the trainer has read it.
        index: the uid of each row.

    Returns:
        advantages and returns, the same N x T twice: a response's advantage at each of its tokens.

    Raises:
        EngineError: called by a trainer other than riskpo's.
        RewardError, ConfigError: as `risk_advantages`.
    """
    now = _current.get()
    if now is None or index is None:
        raise EngineError(
            "an estimator of riskpo was called by a trainer that keeps no state for it: set trainer.v1.trainer_mode to "
            f"one of {', '.join(TRAINER_MODES)}."
        )
    scores_N = token_level_rewards.sum(-1)
    layout = lay_out([str(uid) for uid in index], now.keys, now.places, now.prompts)
    rewards_PG = layout.matrix(scores_N)
    ids = None
    if now.risk.needs_difficulty and now.prompt_ids is not None:
        ids = [*now.prompt_ids(layout.uids), *[""] * layout.lost]  # a prompt without a response is not visited
    step = risk_advantages(rewards_PG, now.risk, now.state, now.generator, prompt_ids=ids, progress=now.progress)
    now.layout, now.rewards_PG, now.step = layout, rewards_PG, step
    advantages_N = layout.rows(step.advantages_PG).to(scores_N)
    advantages_NT = advantages_N.unsqueeze(-1) * response_mask
    return advantages_NT, advantages_NT
