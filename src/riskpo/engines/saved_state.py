"""The estimator's state and its generator as a checkpoint holds them, whatever the engine."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import torch

from riskpo.errors import ResumeError
from riskpo.risk.state import RiskState


def state_to_save(state: RiskState, generator: torch.Generator) -> dict[str, Any]:
    """State and generator as plain JSON values."""
    drawn = base64.b64encode(generator.get_state().numpy().tobytes()).decode()
    return {"risk_state": state.to_dict(), "generator": drawn}


def restore_state(saved: Mapping[str, Any], tracked: str | None, generator: torch.Generator) -> RiskState:
    """The saved state; `generator` is set to where it was.

    Args:
        saved: from `state_to_save`.
        tracked: what the options track quantiles of (`RiskConfig.tracked`); None where that changes on a schedule.
        generator: a CPU generator.

    Raises:
        ResumeError: a state that tracks something else.
    """
    state = RiskState.from_dict(saved["risk_state"])
    if None not in (tracked, state.tracked) and tracked != state.tracked:
        raise ResumeError(
            f"the checkpoint tracks {state.tracked}, the options now ask for {tracked}: resume with the options the "
            "run was started with, or start a new run from the saved model."
        )
    generator.set_state(torch.frombuffer(bytearray(base64.b64decode(saved["generator"])), dtype=torch.uint8))
    return state
