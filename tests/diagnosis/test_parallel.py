"""What the doctor notes of several GPUs."""

import pytest

from riskpo.diagnosis.config import check_config, setup_of
from riskpo.diagnosis.parallel import ONLY_IN, Parallel, other_mode, sharded_sampling
from riskpo.runs.arguments import plan_new


def codes(*flags, recipe="dapo-7b"):
    found = check_config(setup_of(plan_new(recipe, None, flags, dry=True), None), recipe).findings
    return {finding.code for finding in found}


def test_the_recipe_as_it_is():
    assert codes() == set()


def test_options_of_the_other_mode():
    assert codes("--vllm_mode", "server") == {"other_mode"}
    found = other_mode(Parallel("FSDP", "server", frozenset({"vllm_tensor_parallel_size", "vllm_server_port"})))
    assert found.text.startswith("vllm_tensor_parallel_size: read with vllm_mode colocate only")
    assert other_mode(Parallel(None, "colocate", frozenset({"vllm_server_port"}))).level == "note"
    assert other_mode(Parallel(None, "server", frozenset({"vllm_server_port"}))) is None
    assert other_mode(Parallel(None, None, frozenset({"vllm_server_port"}))) is None


def test_sampling_from_shards():
    assert codes("--use_vllm", "false") == {"sharded_sampling"}
    assert codes("--use_vllm", "false", "--launch", "ddp") == set()
    assert sharded_sampling(Parallel("DEEPSPEED", None)).level == "note"
    assert sharded_sampling(Parallel("DEEPSPEED", "server")) is None


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_the_options_are_the_engine_s(mode):
    from trl import GRPOConfig

    assert set(ONLY_IN[mode]) <= set(GRPOConfig.__dataclass_fields__)
