"""The estimator's state in TRL checkpoints: tracked quantiles and the generator, restored exactly or not at all."""

from __future__ import annotations

import base64
import logging
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import has_length

from riskpo.errors import ConfigError, ResumeError
from riskpo.risk.state import RiskState

logger = logging.getLogger(__name__)


class RiskStateCallback(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Owns the state and puts itself into `trainer_state.json`.

    It restores itself in `on_train_begin` rather than through `restore_callback_states_from_checkpoint`, which is off
    by default and would leave the saved state unread; with that option on, both ways give the same state.

    Args:
        seed: seeds the generator of compositions and pairings; the same on every rank, so that all draw the same.
        tracked: what the options track quantiles of (`RiskConfig.tracked`); None where that changes on a schedule.
    """

    def __init__(self, seed: int, tracked: str | None) -> None:
        self.seed = seed
        self.tracked = tracked
        self.risk_state = RiskState()
        self.generator = torch.Generator().manual_seed(seed)

    def state(self) -> dict[str, Any]:
        generator = base64.b64encode(self.generator.get_state().numpy().tobytes()).decode()
        saved = {"risk_state": self.risk_state.to_dict(), "generator": generator}
        return {"args": {"seed": self.seed, "tracked": self.tracked}, "attributes": {"saved": saved}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        check_alignment(args, state, kwargs.get("train_dataloader"))
        exported = state.stateful_callbacks.get(type(self).__name__)
        if exported is None:
            if state.global_step:
                logger.warning(
                    "the checkpoint holds no risk state (was it saved by another trainer?): the tracked quantiles "
                    "start anew from the next step's scores."
                )
            return
        saved = (exported[0] if isinstance(exported, list) else exported)["attributes"]["saved"]
        self.risk_state = RiskState.from_dict(saved["risk_state"])
        if None not in (self.tracked, self.risk_state.tracked) and self.tracked != self.risk_state.tracked:
            raise ResumeError(
                f"the checkpoint tracks {self.risk_state.tracked}, the options now ask for {self.tracked}: resume "
                "with the options the run was started with, or start a new run from the saved model."
            )
        buffer = bytearray(base64.b64decode(saved["generator"]))
        self.generator.set_state(torch.frombuffer(buffer, dtype=torch.uint8))


def check_alignment(args: Any, state: TrainerState, train_dataloader: Any) -> None:
    """Checkpoints must fall between generations.

    TRL drops the generated block at a restart. A checkpoint in the middle of one would have its second half generated
    again from a later policy, scored again, and counted twice by the tracker.

    Raises:
        ConfigError: `save_steps` that would save within a block.
        ResumeError: a run resumed from such a checkpoint.
    """
    accumulation = args.gradient_accumulation_steps
    block = args.steps_per_generation * args.num_iterations
    if args.save_strategy == "steps":
        check_save_steps(args, state.save_steps)
    if (_step_in_epoch(state.global_step, accumulation, train_dataloader) * accumulation) % block:
        raise ResumeError(
            f"the checkpoint of step {state.global_step} was saved in the middle of a generation and cannot be resumed "
            f"exactly: resume from one whose step is a multiple of {max(block // accumulation, 1)}."
        )


def check_save_steps(args: Any, save_steps: int) -> None:
    """Raises ConfigError for a number of steps between saves that would save within a generation."""
    accumulation = args.gradient_accumulation_steps
    block = args.steps_per_generation * args.num_iterations
    if block % accumulation == 0 and (save_steps * accumulation) % block:
        raise ConfigError(
            f"save_steps={save_steps} would save in the middle of a generation, which cannot be resumed exactly: "
            f"make it a multiple of {block // accumulation} (steps_per_generation={args.steps_per_generation} * "
            f"num_iterations={args.num_iterations} / gradient_accumulation_steps={accumulation})."
        )


def _step_in_epoch(step: int, accumulation: int, train_dataloader: Any) -> int:
    if train_dataloader is None or not has_length(train_dataloader):  # streamed data has no epochs to count
        return step
    return step % max(-(-len(train_dataloader) // accumulation), 1)
