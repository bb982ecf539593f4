"""Start verl's own entry point on the tiny model, as a process that can be waited for, killed and read.

Imports neither verl nor Ray, so that tests which are skipped do not need them.
"""

import contextlib
import ctypes
import importlib.util
import json
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.verl_kit.material import write_model, write_prompts

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(__file__).resolve().parent
MARK = "RISKPO_VERL_KIT_RUN"


def missing() -> str | None:
    """Why the kit cannot run here, or None."""
    absent = [name for name in ("verl", "ray", "transfer_queue", "psutil") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)} (an environment with verl is needed)" if absent else None


@dataclass(frozen=True)
class TinyRun:
    """What a run of the tiny model consists of; `overrides` come last on the command line and so win.

    `prompts` in the data set, `batch` of them a step, `group` samples each. `mini_batch` prompts an optimizer step.
    """

    folder: Path
    steps: int = 3
    ranks: int = 1
    prompts: int = 12
    batch: int = 4
    group: int = 4
    mini_batch: int = 4
    seed: int = 1
    save_freq: int = 1
    nan_words: str = ""
    estimator: str = "grpo"
    trainer_mode: str = "sync"
    ordered: bool = True
    overrides: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def material(self) -> tuple[Path, Path]:
        """The model's folder and the data set's file, written on the first call."""
        model, data = self.folder / "model", self.folder / "train.parquet"
        if not data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_model(model)
            write_prompts(data, self.prompts)
        return model, data

    def command(self, ray_folder: str) -> list[str]:
        """The command line of this run, with Ray's files in `ray_folder`."""
        model, data = self.material()
        words = [*data_words(self, data), *actor_words(self, model), *trainer_words(self), *ray_words(self, ray_folder)]
        return [sys.executable, "-m", "verl.trainer.main_ppo", *words, *self.overrides]


def data_words(run: TinyRun, data: Path) -> Iterable[str]:
    yield f"data.train_files={data}"
    yield f"data.val_files={data}"
    yield f"data.train_batch_size={run.batch}"
    yield f"data.seed={run.seed}"
    yield "data.max_prompt_length=32"
    yield "data.max_response_length=6"
    yield "data.dataloader_num_workers=0"  # no processes for loading twelve rows
    yield "data.shuffle=True"
    yield f"+data.cache_dir={run.folder / 'cache'}"
    yield f"reward.custom_reward_function.path={KIT / 'reward.py'}"
    yield "reward.custom_reward_function.name=compute_score"
    yield "reward.num_workers=1"
    if run.nan_words:
        yield f"+reward.custom_reward_function.reward_kwargs.nan_words='{run.nan_words}'"


def actor_words(run: TinyRun, model: Path) -> Iterable[str]:
    actor, rollout, fsdp = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.actor.fsdp_config"
    micro = math.gcd(8, run.mini_batch * run.group // run.ranks)  # must divide a rank's rows; verl fails late if not
    yield f"actor_rollout_ref.model.path={model}"
    yield "actor_rollout_ref.model.external_lib=tests.verl_kit.plugin"
    yield "actor_rollout_ref.model.use_remove_padding=False"  # packed sequences need flash attention
    yield "actor_rollout_ref.model.enable_gradient_checkpointing=False"
    yield "+actor_rollout_ref.model.override_config.attn_implementation=eager"
    yield f"{actor}.strategy=fsdp2"
    yield f"{actor}.optim.lr=0.01"  # so that three steps are seen in the weights
    yield f"{actor}.ppo_mini_batch_size={run.mini_batch}"
    yield f"{actor}.ppo_micro_batch_size_per_gpu={micro}"
    yield f"{actor}.use_torch_compile=False"
    yield f"{fsdp}.use_torch_compile=False"
    yield f"+{fsdp}.mixed_precision={{param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32}}"
    yield f"{rollout}.name=tiny"
    yield f"{rollout}.n={run.group}"
    yield f"{rollout}.seed={run.seed}"
    yield f"{rollout}.tensor_model_parallel_size={run.ranks}"  # one server for all ranks
    yield f"{rollout}.log_prob_micro_batch_size_per_gpu={micro}"
    yield f"{rollout}.agent.num_workers=1"
    yield f"{rollout}.agent.default_agent_loop=tiny_single_turn"


def trainer_words(run: TinyRun) -> Iterable[str]:
    yield f"algorithm.adv_estimator={run.estimator}"
    yield "trainer.device=cpu"
    yield "trainer.use_v1=True"
    yield f"trainer.v1.trainer_mode={run.trainer_mode}"
    yield "trainer.nnodes=1"
    yield f"trainer.n_gpus_per_node={run.ranks}"
    yield "trainer.total_epochs=1000"
    yield f"trainer.total_training_steps={run.steps}"
    yield f"trainer.save_freq={run.save_freq}"
    yield "trainer.test_freq=-1"
    yield "trainer.val_before_train=False"
    yield "trainer.logger=[console,file]"
    yield "trainer.project_name=tiny"
    yield "trainer.experiment_name=tiny"
    yield f"trainer.default_local_dir={run.checkpoints}"
    yield f"trainer.rollout_data_dir={run.folder / 'rollouts'}"
    yield f"hydra.run.dir={run.folder / 'hydra'}"
    if run.ordered:
        yield f"trainer.v1.sampler.custom_sampler.path={KIT / 'ordered.py'}"
        yield "trainer.v1.sampler.custom_sampler.name=OrderedReplayBuffer"


def ray_words(run: TinyRun, ray_folder: str) -> Iterable[str]:
    init = "ray_kwargs.ray_init"
    yield f"+{init}.address=local"  # a cluster of its own, whatever else runs on the machine
    yield f"+{init}._temp_dir={ray_folder}"
    yield f"+{init}.num_gpus={run.ranks}"  # places for ranks; see PlatformCPU.ray_resource_name
    yield f"{init}.num_cpus={3 * run.ranks + 6}"  # logical: verl reserves 3 a rank, and an actor each for the rest
    yield f"+{init}.include_dashboard=False"
    yield f"+{init}.object_store_memory=100000000"
    yield "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"


class Process:
    """A started run. A context: on the way out whatever is left of it is killed and Ray's folder deleted."""

    def __init__(self, run: TinyRun) -> None:
        self.run = run
        self.mark, self.token = uuid.uuid4().hex, secrets.token_hex(32)
        # Short: the path of Ray's sockets must stay under 107 characters.
        self.ray_folder = tempfile.mkdtemp(prefix="rv", dir="/tmp")
        command = run.command(self.ray_folder)
        number = len(list(run.folder.glob("log*.txt"))) + 1
        self.log, self.metrics_file = run.folder / f"log{number}.txt", run.folder / f"metrics{number}.jsonl"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=run.folder,
                env=self._environment(),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PYTHONPATH": path,
            "VERL_USE_EXTERNAL_MODULES": "tests.verl_kit.platform",
            "VERL_PLATFORM": "cpu",
            "VERL_FILE_LOGGER_PATH": str(self.metrics_file),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "HYDRA_FULL_ERROR": "1",
            "RAY_prestart_worker_first_driver": "0",  # else one idle process for each logical CPU
            "RAY_worker_niceness": "0",  # else 15: on a busy machine the workers then wait for everybody else
            # Ray's own check of who may connect, with a token of this run: other runs are strangers.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_DEDUP_LOGS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            MARK: self.mark,
            **self.run.environment,
        }

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def wait(self, timeout: float = 600.0) -> None:
        """Until the run has ended well.

        Raises:
            RuntimeError: It failed or did not end in `timeout` seconds; with the end of its log.
        """
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the run did not end in {timeout:.0f} s:\n{self.tail()}") from None
        if code != 0:
            raise RuntimeError(f"the run ended with {code}:\n{self.tail()}")

    def wait_for(self, file: Path, timeout: float = 600.0) -> None:
        """Until `file` exists, for killing a run at a given place."""
        end = time.monotonic() + timeout
        while not file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{file.name} did not come:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self, lines: int = 80) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics of each step, in order; verl's file logger writes NaN as null."""
        return [json.loads(line)["data"] for line in self.metrics_file.read_text().splitlines()]

    def kill(self, grace: float = 10.0) -> None:
        """End every process of this run, and no other."""
        ours = self._ours()
        for process in ours:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(ours, timeout=grace)
        # What was being started meanwhile: a worker dies with its raylet, but only when it notices.
        for process in self._ours():
            _signal(process, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.ray_folder, ignore_errors=True)

    def _ours(self) -> list[psutil.Process]:
        found = {}
        for process in psutil.process_iter():
            try:
                # Ray's workers rename themselves, which can destroy what /proc shows of their environment.
                marked = process.environ().get(MARK) == self.mark
                if marked or any(self.ray_folder in word for word in process.cmdline()):
                    found[process.pid] = process
                    found.update({child.pid: child for child in process.children(recursive=True)})
            except psutil.Error:
                continue
        return [process for pid, process in found.items() if pid != os.getpid()]


def _die_with_parent() -> None:
    """Let the kernel kill the run when the tests are killed; Ray's processes do the same with theirs."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def main() -> None:
    """`python -m tests.verl_kit.launch FOLDER [OVERRIDE ...]`: three steps of plain GRPO in FOLDER."""
    folder, *overrides = sys.argv[1:]
    begin = time.monotonic()
    with Process(TinyRun(Path(folder).resolve(), overrides=tuple(overrides))) as process:
        print(" \\\n  ".join(process.run.command(process.ray_folder)))
        process.wait()
        for step in process.metrics():
            print(json.dumps(step))
    print(f"{time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    main()
