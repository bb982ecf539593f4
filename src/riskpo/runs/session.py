"""What happens in a run: check, reserve the folder, evaluate, train, evaluate, summarise."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from riskpo.atomic import read_json, write_json, write_text
from riskpo.diagnosis.config import check_config, setup_of
from riskpo.engines.dynamic_sampling import check_dynamic_sampling
from riskpo.engines.train_data import check_for_training
from riskpo.errors import ConfigError, ResumeError
from riskpo.models.registry import resolve_model
from riskpo.rewards.trial import try_reward
from riskpo.runs.arguments import Plan
from riskpo.runs.data import check_gold, check_same_data, keep_data
from riskpo.runs.environment import describe_environment, is_secret, record_resume
from riskpo.runs.folder import check_free, discard, last_checkpoint, reserve
from riskpo.runs.launching import check_launch
from riskpo.runs.prompt_lengths import load_processing, short_enough
from riskpo.runs.ranges import check_evaluation, check_machine, check_ranges, check_saving
from riskpo.runs.rewards import RunReward
from riskpo.runs.sharding import save_whole_model
from riskpo.runs.task_data import RECORD, TaskInputs, data_of, own_rows, task_inputs
from riskpo.runs.vllm_options import check_vllm


@dataclass(frozen=True)
class Inputs:
    """What a run trains on, checked.

    Args:
        train: the training set; None: on the hub, loaded later.
        held_out: rows to evaluate on.
        reward: what is trained on, and what is evaluated.
        notes: lines to say before the run starts.
        checked, unchecked: what of data, reward and model was looked at, and what could not be, in words.
        source: where a task's rows came from.
    """

    train: Any
    held_out: list[dict[str, Any]]
    reward: RunReward
    notes: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    source: dict[str, Any] | None = None


def check(plan: Plan) -> Inputs:
    """Loads and checks everything that can be had without touching the disk or the network.

    Raises:
        ConfigError, DataError, RewardError, ResumeError, RunExistsError: what is wrong, and what to do.
    """
    if plan.explicit_dir is not None and plan.checkpoint is None:
        check_free(plan.explicit_dir)
    if plan.model.model_name_or_path is None:
        raise ConfigError("no model: set --model_name_or_path to a local folder, a hub id, or builtin:NAME.")
    resolve_model(plan.model.model_name_or_path, build=False)
    check_ranges(plan)
    check_saving(plan)
    check_evaluation(plan)
    check_launch(plan)
    check_vllm(plan)
    return _checked(plan, data_of(plan, lambda: _prompts_used(plan), hub=False))


def _checked(plan: Plan, data: TaskInputs) -> Inputs:
    train, held_out, reward = data.train, data.held_out, data.reward
    unloaded, unwise = "whether the model loads and fits", _unwise(plan, train)
    if train is None:
        return Inputs(train, held_out, reward, unwise, unchecked=("the hub data set", "the reward on it", unloaded))
    notes = (*data.notes, *_check_train(plan, train, reward), *unwise)
    if not plan.training.check_rewards or not _try_reward(reward.train, train):
        return Inputs(train, held_out, reward, notes, ("training set",), ("the reward", unloaded), data.record)
    checked = ("training set", "the reward on its first rows")
    return Inputs(train, held_out, reward, notes, checked, (unloaded,), data.record)


def _unwise(plan: Plan, train: Any) -> tuple[str, ...]:
    """What `riskpo doctor config` warns of; a resumed run was told when it began."""
    if plan.checkpoint is not None:
        return ()
    found = check_config(setup_of(plan, None if train is None else len(train)), plan.name).findings
    return tuple(f"{one.text} ({one.documented})" for one in found if one.level != "note")


def _check_train(plan: Plan, train: Any, reward: RunReward) -> tuple[str, ...]:
    """Checks the training set, whether it was a file or came from the hub. Returns lines to say."""
    training = plan.training
    check_for_training(train, training, list(reward.columns))
    if training.dynamic_sampling:
        rounds = training.dynamic_sampling_max_rounds
        check_dynamic_sampling(train, training.prompts_per_generation, rounds, own_rollouts=False)
    if plan.checkpoint is not None and plan.explicit_dir is not None:
        check_same_data(plan.explicit_dir, train)
    note = check_gold(train, plan.run.reward[0] if plan.run.reward else None, reward.judge)
    return () if note is None else (note,)


def _try_reward(reward: Callable[..., Any], train: Any) -> bool:
    """Calls the reward function on the first two rows; False where it is a model, which the trainer has to call."""
    import torch
    from transformers import TrainerState

    if isinstance(reward, torch.nn.Module):
        return False
    rows = [train[index] for index in range(min(2, len(train)))]
    nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
    try_reward(reward, rows, trainer_state=TrainerState(), log_extra=nothing, log_metric=nothing)
    return True


def execute(plan: Plan, inputs: Inputs, console: Console) -> int:
    """Runs a checked plan. Returns the exit status: 0, or 130 after a gentle stop."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    from riskpo.runs.callbacks import Begun

    check_machine(plan)
    state = PartialState()
    if inputs.train is None and plan.run.task is not None:
        inputs = _checked(plan, task_inputs(plan, 0, hub=True, reward=inputs.reward))
    if not state.is_main_process:
        console.quiet = True
    folder = [plan.explicit_dir]
    existed = plan.explicit_dir is not None and plan.explicit_dir.exists()
    if plan.checkpoint is None:
        if state.is_main_process:
            folder = [reserve(plan.explicit_dir, Path(plan.run.runs_dir), plan.name)]
        broadcast_object_list(folder)
    assert folder[0] is not None
    run_dir = folder[0]
    plan.training.output_dir = str(run_dir)
    plan.training.disable_tqdm = True
    begun = Begun()
    status = None
    try:
        notes = [*plan.notes, *inputs.notes]
        if state.is_main_process:
            notes += _write_beginning(plan, inputs, run_dir)
        if plan.run.threads:
            import torch

            torch.set_num_threads(plan.run.threads)
        console.print(f"[bold]{plan.name}[/bold]: writing to {run_dir}", highlight=False, soft_wrap=True)
        _say_notes(notes, console)
        status = _train(plan, inputs, run_dir, console, begun)
        return status
    finally:
        if status != 0 and not begun.happened and plan.checkpoint is None and state.is_main_process:
            discard(run_dir, keep=existed)
        state.destroy_process_group()


def _write_beginning(plan: Plan, inputs: Inputs, run_dir: Path) -> list[str]:
    """Writes what a run's folder says of its beginning. Returns lines to say."""
    write_text(run_dir / "config.yaml", yaml.safe_dump(kept_settings(plan, inputs), sort_keys=False))
    write_json(run_dir / "arguments.json", {**plan.training.to_dict(), **vars(plan.run)})
    if inputs.source is not None:
        write_json(run_dir / RECORD, inputs.source)
    environment, path = describe_environment(), run_dir / "environment.json"
    if plan.checkpoint is None or not path.is_file():
        write_json(path, environment)
        return []
    changed = record_resume(path, environment)
    return [] if changed is None else [changed]


def kept_settings(plan: Plan, inputs: Inputs) -> dict[str, Any]:
    """What config.yaml holds: enough to repeat the run and to go on with it, and no access token."""
    settings = {key: value for key, value in plan.settings.items() if not is_secret(key)}
    if plan.run.task is not None:
        settings["task_prompts"] = len(inputs.train)  # a longer --max_steps goes on with the same prompts
    return settings


def _train(plan: Plan, inputs: Inputs, run_dir: Path, console: Console, begun: Any) -> int:
    from riskpo.runs.callbacks import EvaluateAt, GentleStop, LiveLine, MetricsLog

    stop, live = GentleStop(console), LiveLine(console)
    trainer = _trainer(plan, inputs, run_dir, console, [MetricsLog(run_dir / "metrics.jsonl"), live, stop, begun])
    before = _evaluate(trainer, inputs, plan, run_dir / "eval" / "before.json", console)
    if plan.run.eval_at:

        def evaluate(step: int) -> None:
            _evaluate(trainer, inputs, plan, run_dir / "eval" / f"step-{step:05d}.json", console)

        trainer.add_callback(EvaluateAt(plan.run.eval_at, evaluate))
    try:
        trainer.train(resume_from_checkpoint=None if plan.checkpoint is None else str(plan.checkpoint))
    except KeyboardInterrupt:
        live.close()
        return _say_stopped("Stopped at once.", run_dir, console)
    finally:
        live.close()
        stop.restore()
    if stop.stopped:
        return _say_stopped(f"Stopped and saved at step {trainer.state.global_step}.", run_dir, console)
    try:
        save_whole_model(trainer, run_dir / "model")
        after = _evaluate(trainer, inputs, plan, run_dir / "eval" / "after.json", console)
    except KeyboardInterrupt:
        return _say_stopped("Stopped after training, before its end was evaluated.", run_dir, console)
    if trainer.is_world_process_zero():
        from riskpo.reports.summary import summarise

        summarise(run_dir, plan, trainer.state.global_step, before, after, console)
        _say_report(run_dir, console)
    return 0


def _say_report(run_dir: Path, console: Console) -> None:
    """Writes the run's page; a run that is over and saved does not fail for want of one."""
    from riskpo.reports.page.finish import write_report

    try:
        said = f"report: {write_report(run_dir)}"
    except Exception as error:  # noqa: BLE001 - whatever it was, the run is over and its numbers are there
        said = (
            f"no report was written: {type(error).__name__}: {error}\nagain: riskpo report {shlex.quote(str(run_dir))}"
        )
    console.print(said, highlight=False, soft_wrap=True, markup=False)


def _trainer(plan: Plan, inputs: Inputs, run_dir: Path, console: Console, callbacks: list[Any]) -> Any:
    """The trainer with its model and data; what a hub data set could not be asked before is checked here."""
    from accelerate import PartialState
    from transformers import PrinterCallback, ProgressCallback
    from trl import get_peft_config, get_quantization_config

    from riskpo.engines.trl import RiskPOTrainer
    from riskpo.runs.callbacks import CompletionsLog

    model = str(resolve_model(str(plan.model.model_name_or_path), build=True, console=console))
    train = inputs.train
    if train is None:
        train = own_rows(plan.run)
        _say_notes(_check_train(plan, train, inputs.reward), console)
    if plan.checkpoint is None and PartialState().is_main_process:
        keep_data(run_dir, train)
    if plan.run.max_prompt_tokens:
        train = _short_enough(plan, train, model, inputs.reward, console)
    plan.training.model_init_kwargs = {
        "revision": plan.model.model_revision,
        "attn_implementation": plan.model.attn_implementation,
        "dtype": plan.model.dtype,
        **(plan.training.model_init_kwargs or {}),
    }
    try:
        trainer = RiskPOTrainer(
            model=model,
            reward_funcs=inputs.reward.train,
            args=plan.training,
            train_dataset=train,
            quantization_config=get_quantization_config(plan.model),
            peft_config=get_peft_config(plan.model),
            callbacks=callbacks,
        )
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"the model {plan.model.model_name_or_path} could not be loaded: {reason}") from error
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if not plan.training.push_to_hub:  # TRL's card names no base model for a local one, and the folder says it all
        trainer.create_model_card = lambda *_, **__: None
    if plan.run.completions_every and not plan.training.log_completions:
        trainer.add_callback(CompletionsLog(trainer, run_dir / "completions", plan.run.completions_every))
    return trainer


def _short_enough(plan: Plan, train: Any, model: str, reward: RunReward, console: Console) -> Any:
    """The training set without prompts that are too long, checked again."""
    processing = load_processing(model, plan.model.model_revision)
    kept, said = short_enough(train, processing, plan.run.max_prompt_tokens, plan.training.chat_template_kwargs or {})
    _say_notes([said], console)
    check_for_training(kept, plan.training, list(reward.columns))
    return kept


def _evaluate(trainer: Any, inputs: Inputs, plan: Plan, path: Path, console: Console) -> dict[str, Any] | None:
    """Samples the held-out prompts; "before" is read where an earlier part of the run has measured it.

    A resumed run loads its checkpoint when training starts: before that, the model still is the one it began with.
    Steps lost with an unsaved part of a run are evaluated again.
    """
    if not inputs.held_out:
        return None
    known = path.stem == "before" and path.is_file()  # the end of an earlier part is not the end of this one
    if trainer.is_world_process_zero() and not known:
        from riskpo.evaluation.sampling import sample

        with console.status(f"evaluating {len(inputs.held_out)} held-out prompts x {plan.run.eval_samples} samples"):
            outcomes = sample(
                trainer.accelerator.unwrap_model(trainer.model),
                trainer.processing_class,
                inputs.held_out,
                inputs.reward.judge,
                samples=plan.run.eval_samples,
                max_new_tokens=plan.training.max_completion_length,
                temperature=plan.training.temperature,
                seed=plan.training.seed,
                batch_size=plan.run.eval_batch_size,
            )
        record = {
            "correct": outcomes.correct_Q.tolist(),
            "samples": plan.run.eval_samples,
            "entropy": outcomes.entropy,
            "unscorable": outcomes.unscorable,
        }
        write_json(path, record)
    trainer.accelerator.wait_for_everyone()
    values: dict[str, Any] = read_json(path)
    return values


def _prompts_used(plan: Plan) -> int:
    """Distinct prompts that max_steps steps go through; with dynamic sampling at least what one step can use up."""
    training = plan.training
    if training.max_steps <= 0:
        raise ConfigError("a built-in task needs --max_steps or --task_prompts to know how many prompts to draw.")
    per_block = max(training.steps_per_generation * training.num_iterations, 1)
    generations = -(-training.max_steps * training.gradient_accumulation_steps // per_block)
    if training.dynamic_sampling:
        generations = max(generations, 1 + training.dynamic_sampling_max_rounds)
    return int(training.prompts_per_generation * generations)


def _how_to_resume(run_dir: Path) -> str:
    try:
        last_checkpoint(run_dir)
    except ResumeError:
        return "No checkpoint was saved yet: the run has to start anew."
    return f"Resume with: riskpo train --resume {run_dir}"


def _say_stopped(what: str, run_dir: Path, console: Console) -> int:
    """Says how to go on, and returns the exit status of a stopped run."""
    console.print(f"{what} {_how_to_resume(run_dir)}", highlight=False, soft_wrap=True)
    return 130


def _say_notes(notes: Iterable[str], console: Console) -> None:
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
