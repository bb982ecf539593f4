"""Combinations of vLLM's options that TRL would refuse after the model is loaded, or not at all."""

import pytest
import torch

from riskpo.errors import ConfigError
from riskpo.runs.arguments import plan_new
from riskpo.runs.vllm_options import check_sender, check_vllm


def plan(*flags):
    return plan_new("paper-hard", None, flags, dry=True)  # 8 processes, colocate, 1024 + 3072 tokens


def test_allowed():
    check_vllm(plan())
    check_vllm(plan("--vllm_tensor_parallel_size", "4"))
    check_vllm(plan("--vllm_mode", "server", "--vllm_tensor_parallel_size", "3"))  # the server's own business
    check_vllm(plan("--use_vllm", "false", "--vllm_mode", "anything"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--vllm_mode", "serve"], "Did you mean 'server'"),
        (["--vllm_tensor_parallel_size", "3"], "must divide the number of processes, 8"),
        (["--vllm_tensor_parallel_size", "0"], "must divide"),
        (["--vllm_tensor_parallel_size", "2", "--processes", "5", "--bundle_size", "2"], "of processes, 5"),
        (["--vllm_max_model_length", "4095"], "max_prompt_tokens 1024 \\+ max_completion_length 3072"),
        (["--ds3_gather_for_generation", "false"], "whole weights"),
    ],
)
def test_refused(flags, said):
    with pytest.raises(ConfigError, match=said):
        check_vllm(plan(*flags))


def test_a_server_is_sent_weights_from_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_sender(plan())
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        check_sender(plan("--vllm_mode", "server"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_sender(plan("--vllm_mode", "server"))
