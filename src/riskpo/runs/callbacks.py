"""Callbacks of a run: its metrics file, its completions, the live line in the terminal, and a gentle stop."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback

from riskpo.atomic import write_text
from riskpo.engines.trl_state import between_generations


class MetricsLog(TrainerCallback):  # type: ignore[misc]
    """Appends every log to `metrics.jsonl`, a JSON object a line; a resume drops what the lost steps had written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not self._path.is_file():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= state.global_step]
        if len(kept) < len(lines):
            write_text(self._path, "".join(kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row = {"step": state.global_step, "time": round(time.time(), 3)}
        row |= {key: None if _is_nan(value) else value for key, value in logs.items()}  # JSON knows no NaN
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class CompletionsLog(TrainerCallback):  # type: ignore[misc]
    """Writes the step's completions to `completions/`, in the columns of TRL's own files, every `every` steps."""

    def __init__(self, trainer: Any, folder: Path, every: int) -> None:
        self._trainer = trainer
        self._folder = folder
        self._every = every

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or (state.global_step != 1 and state.global_step % self._every):
            return
        from datasets import Dataset

        self._folder.mkdir(parents=True, exist_ok=True)
        table = self._trainer.last_completions()
        path = self._folder / f"completions_{state.global_step:05d}.parquet"
        Dataset.from_dict(table).to_parquet(str(path))


class Begun(TrainerCallback):  # type: ignore[misc]
    """Whether a step of training has been finished: from then on, a run's folder holds something to keep."""

    happened = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.happened = True


class EvaluateAt(TrainerCallback):  # type: ignore[misc]
    """Calls `evaluate(step)` after the given steps, on every rank. Training goes on as if it had not."""

    def __init__(self, steps: Sequence[int], evaluate: Callable[[int], None]) -> None:
        self._steps = frozenset(steps)
        self._evaluate = evaluate

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in self._steps:
            self._evaluate(state.global_step)


class GentleStop(TrainerCallback):  # type: ignore[misc]
    """On Ctrl-C or SIGTERM: finish the generation in hand, save, stop. A second Ctrl-C stops at once, unsaved.

    Args:
        console: where to say so.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._asked = False
        self._previous: dict[signal.Signals, Any] = {}
        self.stopped = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._ask)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.restore()

    def restore(self) -> None:
        """Gives the signals back to whoever had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not between_generations(args, state.global_step, kwargs.get("train_dataloader")):
            return  # the middle of a generation cannot be resumed exactly
        if _any_rank(self._asked, args.device) and state.global_step < state.max_steps:
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        said = "\nStopping after this generation, to save a checkpoint (Ctrl-C again: at once, unsaved)."
        self._console.print(said, highlight=False, soft_wrap=True)


def _any_rank(flag: bool, device: torch.device) -> bool:
    """Whether any rank was asked to stop: all must stop at the same step."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return flag
    asked = torch.tensor(int(flag), device=device)
    torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
    return bool(asked.item())


class LiveLine(TrainerCallback):  # type: ignore[misc]
    """Progress with reward, entropy and tracked quantiles: a live bar in a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: Any = None
        self._said = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._said = state.global_step
        if not self._console.is_terminal or not state.is_world_process_zero:
            return
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("train", total=state.max_steps, completed=state.global_step, status="")
        self._bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not logs or "train_runtime" in logs or not state.is_world_process_zero:
            return
        status = describe(logs)
        if self._bar is not None:
            self._bar.update(self._task, status=status)
        elif state.global_step - self._said >= max(state.max_steps // 10, 1) or state.global_step == state.max_steps:
            self._said = state.global_step
            line = f"step {state.global_step}/{state.max_steps}  {status}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the live bar, if any: also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def describe(logs: dict[str, Any]) -> str:
    """The few numbers that say how a run is doing."""
    parts = [f"{name} {logs[name]:.3f}" for name in ("reward", "entropy") if isinstance(logs.get(name), float)]
    quantiles = [f"{logs[key]:.2f}" for key in logs if key.startswith("risk/q_")]
    return "  ".join([*parts, *(["quantiles " + " ".join(quantiles)] if quantiles else [])])
