"""What checkpoints hold beyond TRL's: tracked quantiles, generator, place among fresh prompts; restored exactly."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import has_length

from riskpo.engines.dynamic_sampling import DrawState
from riskpo.engines.generations import steps_between_generations
from riskpo.engines.saved_state import restore_state, state_to_save
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
        self.draws: DrawState | None = None  # of dynamic sampling, once it has drawn a prompt

    def state(self) -> dict[str, Any]:
        saved = state_to_save(self.risk_state, self.generator)
        if self.draws is not None:
            saved["draws"] = dataclasses.asdict(self.draws)
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
        self.risk_state = restore_state(saved, self.tracked, self.generator)
        if "draws" in saved:
            self.draws = DrawState(**saved["draws"])

    # What was gathered since the last log is not in a checkpoint: a log at each save leaves nothing to lose. This
    # callback comes after those that decide to save (the engine's own, and those given to the trainer).
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        control.should_log = control.should_log or control.should_save

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        control.should_log = control.should_log or control.should_save


def check_alignment(args: Any, state: TrainerState, train_dataloader: Any) -> None:
    """Checkpoints must fall between generations.

    TRL drops the generated block at a restart. A checkpoint in the middle of one would have its second half generated
    again from a later policy, scored again, and counted twice by the tracker.

    Raises:
        ConfigError: `save_steps` that would save within a block.
        ResumeError: a run resumed from such a checkpoint.
    """
    if args.save_strategy == "steps":
        check_save_steps(args, state.save_steps)
        saves = range(state.save_steps, state.max_steps, state.save_steps) if state.save_steps > 0 else ()
        within = next((step for step in saves if not between_generations(args, step, train_dataloader)), None)
        if within is not None:
            raise ConfigError(
                f"save_steps={state.save_steps} would save in the middle of a generation at step {within}, which "
                f"cannot be resumed exactly: the last step of an epoch takes less than gradient_accumulation_steps="
                f"{args.gradient_accumulation_steps} batches here, so later epochs are out of step. Set "
                "save_strategy='epoch', or use a multiple of gradient_accumulation_steps as steps_per_generation."
            )
    if not between_generations(args, state.global_step, train_dataloader):
        raise ResumeError(
            f"the checkpoint of step {state.global_step} was saved in the middle of a generation and cannot be resumed "
            f"exactly: resume from one whose step is a multiple of {steps_between_generations(args)}, counted from "
            "the start of its epoch."
        )


def check_save_steps(args: Any, save_steps: int) -> None:
    """Raises ConfigError for a number of steps between saves that would save within a generation."""
    every = steps_between_generations(args)
    if save_steps % every:
        raise ConfigError(
            f"save_steps={save_steps} would save in the middle of a generation, which cannot be resumed exactly: "
            f"make it a multiple of {every} (steps_per_generation={args.steps_per_generation} * "
            f"num_iterations={args.num_iterations} batches a generation, gradient_accumulation_steps="
            f"{args.gradient_accumulation_steps} batches a step)."
        )


def between_generations(args: Any, step: int, train_dataloader: Any) -> bool:
    """Whether all that was generated has been used after a step, so that a checkpoint there can be resumed exactly.

    Args:
        args: with gradient_accumulation_steps, steps_per_generation, num_iterations.
        step: the global step.
        train_dataloader: tells where epochs end, each of which holds whole generations; None: as if in the first.
    """
    in_epoch = _step_in_epoch(step, args.gradient_accumulation_steps, train_dataloader)
    return in_epoch % steps_between_generations(args) == 0


def _step_in_epoch(step: int, accumulation: int, train_dataloader: Any) -> int:
    if train_dataloader is None or not has_length(train_dataloader):  # streamed data has no epochs to count
        return step
    return step % max(-(-len(train_dataloader) // accumulation), 1)
