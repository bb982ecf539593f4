"""What a configuration says of several GPUs: options of TRL's that are read in one mode only, and slow sampling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riskpo.diagnosis.finding import Finding, Outcome

if TYPE_CHECKING:
    from riskpo.runs.arguments import Plan

PAGE = "docs/multi-gpu.md"

# The options that TRL's GRPOConfig documents for one mode of vLLM only; sleep is colocate's in its code.
ONLY_IN = {
    "colocate": (
        "vllm_gpu_memory_utilization",
        "vllm_max_model_length",
        "vllm_tensor_parallel_size",
        "vllm_enable_sleep_mode",
    ),
    "server": (
        "vllm_server_base_url",
        "vllm_server_host",
        "vllm_server_port",
        "vllm_server_timeout",
        "vllm_group_port",
    ),
}


@dataclass(frozen=True)
class Parallel:
    """How a run lies on its GPUs.

    Args:
        sharding: "FSDP", "DEEPSPEED" or None, by the run's `launch`.
        vllm_mode: "colocate" or "server"; None without vLLM.
        given: the options that were given and not left to their defaults.
    """

    sharding: str | None = None
    vllm_mode: str | None = None
    given: frozenset[str] = field(default_factory=frozenset)


def parallel_of(plan: Plan) -> Parallel:
    """The layout of a resolved plan."""
    from riskpo.runs.launching import sharding_of

    launch, training = plan.run.launch, plan.training
    return Parallel(
        None if launch is None else sharding_of(launch),
        training.vllm_mode if training.use_vllm else None,
        frozenset(plan.settings),
    )


def other_mode(parallel: Parallel) -> Outcome:
    """Options of vLLM's that the chosen mode does not read."""
    mode = parallel.vllm_mode
    if mode not in ONLY_IN:
        return None
    other = "server" if mode == "colocate" else "colocate"
    unread = sorted(parallel.given.intersection(ONLY_IN[other]))
    if not unread:
        return None
    return Finding(
        "note",
        "other_mode",
        f"{', '.join(unread)}: read with vllm_mode {other} only, and this run's is {mode}.",
        "Leave the option(s) out"
        + ("; give the server its own (--tensor-parallel-size, ...)." if mode == "server" else ", or change the mode."),
        f"{PAGE}#vllm",
    )


def sharded_sampling(parallel: Parallel) -> Outcome:
    """Sampling by Transformers from a model that lies in shards."""
    if parallel.sharding is None or parallel.vllm_mode is not None:
        return None
    return Finding(
        "note",
        "sharded_sampling",
        "Sampling without vLLM from a sharded model gathers every layer's weights from all GPUs: with FSDP for each "
        "token, with ZeRO-3 the whole model on every GPU first (ds3_gather_for_generation).",
        "Set use_vllm, or take --launch ddp where the model fits one GPU.",
        f"{PAGE}#which-one",
    )
