"""Options of vLLM that cannot go together, found before the model is loaded; TRL would say so after that."""

from __future__ import annotations

from typing import Any

from riskpo.errors import ConfigError, unknown_name

MODES = ("colocate", "server")


def check_vllm(plan: Any) -> None:
    """Raises ConfigError for a mode that does not exist, or processes that tensor parallelism does not divide.

    Also where weights stay in shards for sampling (`ds3_gather_for_generation` off), which vLLM cannot read, and for a
    longest sequence that is shorter than prompt and completion.
    """
    training = plan.training
    if not training.use_vllm:
        return
    if training.vllm_mode not in MODES:
        raise ConfigError(unknown_name("`vllm_mode`", training.vllm_mode, MODES))
    if not training.ds3_gather_for_generation:
        raise ConfigError("ds3_gather_for_generation false cannot go with use_vllm: vLLM is sent whole weights.")
    if training.vllm_mode == "server":
        return
    processes, size = plan.run.processes or training.world_size, training.vllm_tensor_parallel_size
    if size < 1 or processes % size:
        raise ConfigError(
            f"vllm_tensor_parallel_size {size} must divide the number of processes, {processes}: each group of so many "
            "GPUs holds one copy of the model to sample from."
        )
    check_longest(training, plan.run.max_prompt_tokens)


def check_longest(training: Any, prompt: int) -> None:
    """Raises ConfigError for a longest sequence of vLLM that is shorter than prompt and completion."""
    longest, completion = training.vllm_max_model_length, training.max_completion_length
    if longest is not None and completion is not None and longest < prompt + completion:
        raise ConfigError(
            f"vllm_max_model_length {longest} is less than a prompt and a completion may need "
            f"(max_prompt_tokens {prompt} + max_completion_length {completion}): completions would be cut short."
        )


def check_sender(plan: Any) -> None:
    """Raises ConfigError where a vLLM server is to be sent weights without a GPU of NVIDIA's to send them from.

    TRL streams them with NCCL, from the first process to the server's.
    """
    if not plan.training.use_vllm or plan.training.vllm_mode != "server":
        return
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            "vllm_mode server needs a CUDA device in training: weights go to the server by NCCL, and none is here."
        )
