"""Launcher files as Accelerate reads them, the command that is started, and what is refused before it is."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.fsdp.fully_sharded_data_parallel import StateDictType
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

from riskpo.errors import ConfigError
from riskpo.runs.arguments import RESUMABLE, plan_new
from riskpo.runs.launching import (
    check_devices,
    check_launch,
    check_started,
    launch_command,
    launcher_file,
    launchers,
    sharding_of,
    start,
)
from riskpo.runs.ranges import check_saving
from riskpo.runs.vllm_options import check_vllm


@pytest.fixture
def started(monkeypatch):
    """Puts a process into the environment that a launcher would start it in; without one, into none."""

    def into(launch=None, processes=8):
        for name in list(os.environ):
            if name.startswith(("ACCELERATE_", "FSDP_", "LOCAL_RANK")):
                monkeypatch.delenv(name)
        if launch is None:
            return
        arguments = launch_command(launch, processes, ["train", "quickstart"])[2:]
        parsed, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
        parsed.deepspeed_fields_from_accelerate_config = ""
        prepared = prepare_deepspeed_cmd_env(parsed)[1] if parsed.use_deepspeed else prepare_multi_gpu_env(parsed)
        for name, value in {**prepared, "LOCAL_RANK": "0"}.items():
            if os.environ.get(name) != value:
                monkeypatch.setenv(name, value)

    into()
    return into


def test_names_and_kinds():
    assert launchers() == ["ddp", "fsdp2", "zero2", "zero3"]
    assert [sharding_of(name) for name in launchers()] == [None, "FSDP", "DEEPSPEED", "DEEPSPEED"]
    with pytest.raises(ConfigError, match=r"Did you mean 'fsdp2'\?"):
        launcher_file("fsdp")
    with pytest.raises(ConfigError, match="does not exist"):
        launcher_file("mine.yaml")


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero2", "zero3"])
def test_accelerate_knows_every_key_and_leaves_precision_to_the_recipe(name):
    read = load_config_from_file(str(launcher_file(name)))  # raises on a key that it does not know
    assert read.mixed_precision == "no"
    assert (read.num_machines, read.main_process_port) == (1, 0)


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero2", "zero3"])
def test_the_launcher_reads_every_key(name):
    """It takes keys that it does not know as well, and leaves them unused."""
    options = yaml.safe_load(launcher_file(name).read_text())
    known = vars(launch_command_parser().parse_args(["script.py"]))
    for part in ("fsdp_config", "deepspeed_config"):
        assert set(options.get(part, {})) <= set(known)


def test_fsdp2_resolves_to_what_is_meant(started):
    started("fsdp2")
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
    assert plugin.state_dict_type == StateDictType.SHARDED_STATE_DICT
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy
    assert plugin.cpu_ram_efficient_loading
    assert not plugin.activation_checkpointing
    plugin.set_mixed_precision("bf16")  # as the trainer does for a recipe with bf16: true
    wanted = MixedPrecisionPolicy(
        torch.bfloat16, torch.bfloat16, torch.bfloat16, plugin.mixed_precision_policy.cast_forward_inputs
    )
    assert plugin.mixed_precision_policy == wanted


@pytest.mark.parametrize(("name", "stage"), [("zero2", 2), ("zero3", 3)])
def test_zero_resolves_to_what_is_meant(name, stage, started, monkeypatch):
    """`DeepSpeedPlugin` reads the environment; all that it does with DeepSpeed itself is to look for it."""
    monkeypatch.setattr("accelerate.utils.dataclasses.is_deepspeed_available", lambda: True, raising=False)
    from accelerate.utils import DeepSpeedPlugin

    started(name)
    plugin = DeepSpeedPlugin()
    config = plugin.deepspeed_config["zero_optimization"]
    assert config["stage"] == stage
    assert config["offload_optimizer"]["device"] == config["offload_param"]["device"] == "none"
    assert config["stage3_gather_16bit_weights_on_model_save"] == (stage == 3)
    assert plugin.zero3_init_flag == (stage == 3)
    # The trainer fills these in from the recipe; a number here would win over it, or clash with it.
    assert plugin.deepspeed_config["gradient_clipping"] == "auto"
    assert plugin.deepspeed_config["gradient_accumulation_steps"] == "auto"


def test_the_command():
    file = str(launcher_file("fsdp2"))
    command = launch_command("fsdp2", 8, ["train", "dapo-7b", "--seed", "1"])
    assert command[:6] == ["accelerate", "launch", "--config_file", file, "--num_processes", "8"]
    assert command[6:] == ["-m", "riskpo.cli", "train", "dapo-7b", "--seed", "1"]


def plan(*flags, recipe="paper-hard"):
    return plan_new(recipe, None, flags, dry=True)


def test_the_recipe_of_a_model_in_shards():
    """320 prompts x 8 responses, two updates of 160; learning rate, KL and length as in the paper's."""
    shards, paper = plan(recipe="dapo-7b"), plan()
    training = shards.training
    assert (shards.run.launch, shards.run.processes) == ("fsdp2", 8)
    assert (training.prompts_per_generation, training.num_generations) == (320, 8)
    assert training.steps_per_generation == 2 * training.gradient_accumulation_steps
    assert training.max_steps // 2 == 200
    for name in ("learning_rate", "beta", "max_completion_length", "preset", "vllm_max_model_length"):
        assert getattr(training, name) == getattr(paper.training, name)


def test_what_cannot_be_launched_is_refused():
    check_launch(plan("--launch", "fsdp2"))  # the recipe says 8 processes
    check_launch(plan())
    with pytest.raises(ConfigError, match="needs --processes"):
        check_launch(plan("--launch", "ddp", recipe="quickstart"))
    with pytest.raises(ConfigError, match="would train unsharded"):
        check_launch(plan("--launch", "zero3", "--processes", "2", "--eval_prompts", "0", recipe="quickstart"))
    with pytest.raises(ConfigError, match="samples on one process"):
        check_launch(plan("--launch", "fsdp2", "--eval_prompts", "8"))
    check_launch(plan("--launch", "ddp", "--eval_prompts", "8"))


def test_a_file_of_ones_own(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\n")
    assert sharding_of(str(mine)) == "FSDP"
    mine.write_text("distributed_type: XLA\n")
    with pytest.raises(ConfigError, match="distributed_type XLA"):
        sharding_of(str(mine))
    mine.write_text("a: [\n")
    with pytest.raises(ConfigError, match="could not be read as YAML"):
        sharding_of(str(mine))
    for text, message in [
        ("distributed_type: [MULTI_GPU]\n", "distributed_type"),
        ("- a\n", "must hold a mapping"),
        ("distributed_type: MULTI_GPU\nbogus_key: 1\n", "Accelerate does not take"),
    ]:
        mine.write_text(text)
        with pytest.raises(ConfigError, match=message):
            sharding_of(str(mine))
    mine.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="could not be read as YAML"):
        sharding_of(str(mine))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distributed_type: MULTI_GPU\nmixed_precision: bf16\n", "sets mixed_precision bf16"),
        ("distributed_type: DEEPSPEED\ndeepspeed_config:\n  gradient_clipping: 1.0\n", "sets gradient_clipping 1.0"),
    ],
)
def test_a_file_does_not_set_what_the_recipe_sets(tmp_path, text, message):
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    with pytest.raises(ConfigError, match=message):
        check_launch(plan("--launch", str(mine)))


def test_the_launcher_waits_for_a_generation_and_a_save(monkeypatch):
    """Otherwise a stopped run is killed after 30 seconds; what the user has set is left alone."""
    seen = []
    monkeypatch.setattr("os.execve", lambda *given: seen.append(given[2]["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]))
    monkeypatch.delenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", raising=False)
    start("ddp", 2, ["train"])
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "5")
    start("ddp", 2, ["train"])
    assert seen == ["86400", "5"]


def test_too_few_devices(monkeypatch):
    wanted = plan("--launch", "ddp")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 8)
    check_devices(wanted)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    with pytest.raises(ConfigError, match="needs as many GPUs, and 4 are here"):
        check_devices(wanted)
    check_devices(plan("--launch", "ddp", "--processes", "2", recipe="quickstart"))  # on CPUs


def test_a_process_started_in_another_way_is_refused(started):
    asked = SimpleNamespace(
        run=SimpleNamespace(launch="fsdp2"), training=SimpleNamespace(use_cpu=False, gradient_checkpointing=True)
    )
    check_started(asked)  # the process that will start the launcher
    started("fsdp2")
    check_started(asked)
    for other, words in (("ddp", "without sharding"), ("zero3", "with DEEPSPEED")):
        started(other)
        with pytest.raises(ConfigError, match=words):
            check_started(asked)


def test_sharding_that_accelerate_would_drop_on_cpus_is_refused(started):
    asked = SimpleNamespace(run=SimpleNamespace(launch=None), training=SimpleNamespace(use_cpu=True))
    started("fsdp2")
    with pytest.raises(ConfigError, match="without a word"):
        check_started(asked)


def test_activations_checkpointed_twice_are_refused(started, monkeypatch):
    training = SimpleNamespace(use_cpu=False, gradient_checkpointing=True)
    asked = SimpleNamespace(run=SimpleNamespace(launch="fsdp2"), training=training)
    started("fsdp2")
    monkeypatch.setenv("FSDP_ACTIVATION_CHECKPOINTING", "true")
    with pytest.raises(ConfigError, match="cannot both"):
        check_started(asked)
    training.gradient_checkpointing = False
    check_started(asked)


def test_the_launcher_stands_in_the_run_s_settings():
    assert plan("--launch", "fsdp2").settings["launch"] == "fsdp2"
    assert "launch" not in RESUMABLE


def test_the_commands_to_be_checked_on_gpus_resolve():
    """Those of docs/multi-gpu.md: whoever has GPUs for an hour does not spend it on a typing error."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "multi-gpu.md").read_text()
    part = page[page.index("## To be checked on GPUs") : page.index("## Known limits")]
    small = re.search(r"^    (--model_name_or_path .*)$", part, re.MULTILINE).group(1)
    commands = [found for found in re.findall(r"`riskpo train ([^`]*)`", part) if "--resume" not in found]
    assert len(commands) == 6
    for command in commands:
        recipe, *flags = command.replace("SMALL", small).split()
        resolved = plan_new(recipe, None, flags, dry=True)
        check_saving(resolved)
        check_launch(resolved)
        check_vllm(resolved)
        assert resolved.training.prompts_per_generation % 5 == 0


@pytest.mark.slow
def test_two_processes_on_cpus_by_one_command(tmp_path, chain_model):
    """`--launch` from end to end: the launcher takes over, both processes train, one folder comes of it."""
    flags = ["--launch", "ddp", "--processes", "2", "--model_name_or_path", chain_model, "--max_steps", "2"]
    flags += ["--eval_prompts", "0", "--save_steps", "2", "--output_dir", "run", "--per_device_train_batch_size", "40"]
    environment = {name: value for name, value in os.environ.items() if name != "LOCAL_RANK"}
    command = [sys.executable, "-m", "riskpo.cli", "train", "quickstart", *flags]
    done = subprocess.run(
        command, cwd=tmp_path, env={**environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("accelerate launch --config_file")
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in (tmp_path / "run/checkpoint-2").iterdir()}
    assert (tmp_path / "run/model/model.safetensors").is_file()
