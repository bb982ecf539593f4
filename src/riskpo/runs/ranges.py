"""Options whose values cannot be run with, found before anything is loaded."""

from __future__ import annotations

from riskpo.engines.trl_state import check_save_steps
from riskpo.errors import ConfigError
from riskpo.extras import require_vllm
from riskpo.runs.arguments import Plan
from riskpo.runs.launching import check_started
from riskpo.runs.limits import check_held_out, check_numbers
from riskpo.runs.sharding import launched_sharding
from riskpo.runs.vllm_options import check_sender


def check_ranges(plan: Plan) -> None:
    """Raises ConfigError for an option outside its range, and for any that is not a number where it should be one."""
    check_numbers({**vars(plan.training), **vars(plan.run)})
    if plan.run.nodes != 1:
        raise ConfigError(
            "--nodes is for --engine verl; under TRL the launcher knows the machines (accelerate launch)."
        )


def check_machine(plan: Plan) -> None:
    """What a run needs of the machine that it is started on, and of how it is started.

    Raises:
        ConfigError: another number of processes than the batch sizes are meant for, or another kind of sharding; a vLLM
            server without a GPU to send weights from.
        MissingExtraError: `use_vllm` without vLLM.
    """
    if plan.training.use_vllm:
        require_vllm()
    check_started(plan)
    check_sender(plan)
    if plan.training.n_gpu > 1:
        raise ConfigError(
            f"one process sees {plan.training.n_gpu} GPUs and would split its batches over them (DataParallel): a step "
            "would be another one than the options say. --launch ddp --processes N trains on several (docs/"
            "multi-gpu.md), CUDA_VISIBLE_DEVICES=0 on one."
        )
    wanted, running = plan.run.processes, plan.training.world_size
    if wanted in (0, running):
        return
    raise ConfigError(
        f"the batch sizes of {plan.name} are meant for {wanted} processes, and {running} "
        f"{'is' if running == 1 else 'are'} running: start it with --launch ddp (docs/multi-gpu.md) or with "
        f"accelerate launch --multi_gpu --num_processes {wanted} -m riskpo.cli train ..., or set --processes {running} "
        "and sizes of your own (per_device_train_batch_size * steps_per_generation responses a process and "
        "generation). docs/recipes has the launcher's flags for each of the paper's."
    )


def check_saving(plan: Plan) -> None:
    """Raises ConfigError for checkpoints that a run could not be resumed from exactly."""
    training = plan.training
    if training.save_only_model:
        raise ConfigError("save_only_model leaves out optimizer and random states: such a run could not be resumed.")
    if training.save_strategy == "steps" and training.save_steps >= 1:
        check_save_steps(training, int(training.save_steps))


def check_evaluation(plan: Plan) -> None:
    """Raises ConfigError for an evaluation that cannot be done."""
    run = plan.run
    check_held_out(run, plan.training.max_steps)
    if run.eval_prompts and (plan.training.fsdp or plan.training.deepspeed or launched_sharding()):
        raise ConfigError("--eval_prompts samples on one process, which a sharded model does not allow: set it to 0.")
