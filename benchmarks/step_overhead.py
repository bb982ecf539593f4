"""What a step of RiskPOTrainer costs beside a step of TRL's GRPOTrainer, and how much of it is RiskPO's own code.

    python benchmarks/step_overhead.py --pairs 48   # 15 minutes or more; writes benchmarks/results/step_overhead.json

A random GPT-2 of 3.2M parameters, 16 prompts x 8 responses x 24 new tokens (no response may end early), CPU, fp32, the
same data, reward and loss. Both trainers are real; steps alternate A B, B A, ..., so that the machine's noise meets
both. `step` lasts from on_step_begin to on_step_end and holds generation, rewards, loss and update; `cycle` lasts to
the next on_step_begin and so holds logging and data as well; `cpu` is the trainer's thread's processor time in `step`
(with --threads 1, all there is). The comparison `grpo_itself` has two GRPOTrainers: what the method finds where nothing
is to be found. GRPOTrainer's loss is 0 as it should be (centred advantages, ratio 1); its gradient is not.

Hooks: the time in RiskPOTrainer's two methods that run in a step, less the time in TRL's methods that they extend.
RiskStateCallback has no code that runs in a step; that more metrics are logged shows in `cycle`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
import zlib
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from common import environment, write
from datasets import Dataset
from torch.nn.utils import parameters_to_vector
from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from riskpo import RiskPOConfig, RiskPOTrainer
from riskpo.models.chain_base import make_tokenizer
from riskpo.tasks import chain

SEED = 0
PROMPTS, RESPONSES, TOKENS = 16, 8, 24
MODEL = {
    "n_positions": 64,
    "n_embd": 256,
    "n_layer": 4,
    "n_head": 4,
    "resid_pdrop": 0,
    "embd_pdrop": 0,
    "attn_pdrop": 0,
}
HOOKED = ("_generate_and_score_completions", "_calculate_rewards")
CLOCKS = ("step", "cycle", "cpu")

Seconds = dict[str, float]
SPENT: dict[tuple[type[GRPOTrainer], str], float] = defaultdict(float)  # seconds of this step, by class and method
COMPARISONS: dict[str, tuple[type[GRPOTrainer], dict[str, Any]]] = {
    "riskpo": (RiskPOTrainer, {}),
    "riskpo_log_covariances": (RiskPOTrainer, {"log_covariances": True}),
    "grpo_itself": (GRPOTrainer, {}),
}


def coin_reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
    """0 or 1, decided by the text alone: varied rewards from a model that has learnt nothing."""
    return [float(zlib.crc32(f"{p}|{c}".encode()) % 5 < 2) for p, c in zip(prompts, completions, strict=True)]


def make_trainer(kind: type[GRPOTrainer], folder: str, steps: int, **options: Any) -> GRPOTrainer:
    """Model, data and configuration are the same for both kinds; `options` are RiskPO's own."""
    tokenizer = make_tokenizer()
    torch.manual_seed(SEED)
    special = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **MODEL, **special))
    args = (RiskPOConfig if kind is RiskPOTrainer else GRPOConfig)(
        output_dir=folder,
        per_device_train_batch_size=PROMPTS * RESPONSES,
        num_generations=RESPONSES,
        max_completion_length=TOKENS,
        generation_kwargs={"min_new_tokens": TOKENS},
        loss_type="grpo",
        importance_sampling_level="sequence",
        scale_rewards="none",
        max_steps=steps,
        learning_rate=1e-4,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        seed=SEED,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        **options,
    )
    data = Dataset.from_list(chain.rows("train", PROMPTS * steps, SEED))  # one epoch
    trainer = kind(model, coin_reward, args, data, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer


class Stepper(TrainerCallback):  # type: ignore[misc]
    """A trainer in a thread of its own, which runs for one step at a time and only while `step` waits for it.

    Each step starts from a seed of its own, so that the trainers, which share torch's generator, draw alike. Accelerate
    shares its gradient state between them too: harmless without gradient accumulation.
    """

    def __init__(self, trainer: GRPOTrainer, threads: int) -> None:
        self.trainer = trainer
        self._threads = threads
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._begun = self._begun_cpu = 0.0
        self._last: Seconds = {}
        self._error: BaseException | None = None
        trainer.add_callback(self)
        threading.Thread(target=self._run, daemon=True).start()
        self.step()  # up to the first step

    def step(self) -> Seconds:
        """One step; what it took."""
        self._go.release()
        self._paused.acquire()
        if self._error is not None:
            raise self._error
        return self._last

    def _run(self) -> None:
        self._go.acquire()
        torch.set_num_threads(self._threads)
        try:
            self.trainer.train()
        except BaseException as error:  # noqa: BLE001 - raised again in the driver
            self._error = error
        self._paused.release()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._last["cycle"] = time.perf_counter() - self._begun
        self._paused.release()
        self._go.acquire()
        torch.manual_seed(SEED + state.global_step)
        SPENT.clear()
        self._begun, self._begun_cpu = time.perf_counter(), time.thread_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        wall, cpu = time.perf_counter() - self._begun, time.thread_time() - self._begun_cpu
        ours, theirs = (sum(SPENT[kind, name] for name in HOOKED) for kind in (RiskPOTrainer, GRPOTrainer))
        hooks = ours - theirs if isinstance(self.trainer, RiskPOTrainer) else 0.0
        generate = SPENT[GRPOTrainer, HOOKED[0]]
        assert 0.0 < generate < wall, "the timed region does not hold the generation"
        self._last = {"step": wall, "cpu": cpu, "generate": generate, "hooks": hooks}


def put_clock_on(kind: type[GRPOTrainer], name: str) -> None:
    """Has the method add its time to `SPENT`, for the rest of the process."""
    method = vars(kind)[name]

    def clocked(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        output = method(*args, **kwargs)
        SPENT[kind, name] += time.perf_counter() - begun
        return output

    setattr(kind, name, clocked)


def compare(kind: type[GRPOTrainer], options: dict[str, Any], pairs: int, warmup: int, threads: int) -> dict[str, Any]:
    """GRPOTrainer against `kind`, in alternating steps."""
    steps = warmup + pairs + 1  # the last, in which training also winds up, is not counted
    measured: list[list[Seconds]] = [[], []]
    with tempfile.TemporaryDirectory() as folder:
        trainers = make_trainer(GRPOTrainer, folder, steps), make_trainer(kind, folder, steps, **options)
        before = parameters_to_vector(trainers[0].model.parameters()).detach().clone()
        steppers = [Stepper(trainer, threads) for trainer in trainers]
        for step in range(steps):
            for side in (0, 1) if step % 2 == 0 else (1, 0):
                measured[side].append(steppers[side].step())
    theirs, ours = (rows[warmup : warmup + pairs] for rows in measured)
    hook_shares = [row["hooks"] / row["step"] for row in ours]
    return {
        "trainer": kind.__name__,
        "options": options,
        "parameters": [before.numel(), str(before.dtype)],
        "ratios": {clock: ratios([row[clock] for row in ours], [row[clock] for row in theirs]) for clock in CLOCKS},
        "hook_share": float(np.median(hook_shares)),
        "hook_milliseconds": 1e3 * float(np.median([row["hooks"] for row in ours])),
        "hook_shares": [round(share, 6) for share in hook_shares],
        "generate_share": float(np.median([row["generate"] / row["step"] for row in ours])),
        "trained": [training(trainer, before, steps) for trainer in trainers],
    }


def ratios(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """The median of the pairs' ratios, and its 95 % interval by resampling pairs."""
    pairs = np.array(ours) / np.array(theirs)
    medians = np.median(np.random.default_rng(SEED).choice(pairs, (10_000, len(pairs))), axis=1)
    return {
        "median": float(np.median(pairs)),
        "interval_95": np.quantile(medians, [0.025, 0.975]).tolist(),
        "median_seconds": {"grpo": float(np.median(theirs)), "other": float(np.median(ours))},
        "pairs": pairs.round(5).tolist(),
    }


def training(trainer: GRPOTrainer, before: torch.Tensor, steps: int) -> dict[str, Any]:
    """Evidence that it trained, and that each step was the same work."""
    logs = [row for row in trainer.state.log_history if "loss" in row]
    after = parameters_to_vector(trainer.model.parameters()).detach()
    moved = float((after - before).norm() / before.norm())
    assert min(moved, *(row["grad_norm"] for row in logs)) > 0
    assert all(row["completions/min_length"] == TOKENS for row in logs)
    means = {name: sum(row[name] for row in logs) / steps for name in ("loss", "grad_norm", "reward")}
    return {"trainer": type(trainer).__name__, "weights_moved": moved, "mean_logged": means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each trainer's thread")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    where = environment(SEED)
    for kind in (GRPOTrainer, RiskPOTrainer):
        for method in HOOKED:
            put_clock_on(kind, method)
    results = {}
    for name, (kind, extra) in COMPARISONS.items():
        results[name] = compare(kind, extra, options.pairs, options.warmup, options.threads)
        show(name, results[name])
    promised = {
        "riskpo / GRPO, upper end": (results["riskpo"]["ratios"]["step"]["interval_95"][1], 1.05),
        "hooks / step": (results["riskpo"]["hook_share"], 0.02),
    }
    targets = [{"what": k, "value": v, "at_most": limit, "met": v <= limit} for k, (v, limit) in promised.items()]
    for each in targets:
        met = "met" if each["met"] else "MISSED"
        print(f"{each['what']:<24} {each['value']:.4f}  at most {each['at_most']:g}: {met}")
    where["load_average_after"] = round(os.getloadavg()[0], 2)
    work = {"prompts": PROMPTS, "responses": RESPONSES, "new_tokens": TOKENS, "model": MODEL}
    content = {"environment": where, **vars(options), "work": work, "comparisons": results, "targets": targets}
    print(f"written to {write('step_overhead', content)}")


def show(name: str, result: dict[str, Any]) -> None:
    print(f"{name}: hooks {result['hook_milliseconds']:.2f} ms, {result['hook_share']:.3%} of a step")
    for clock, each in result["ratios"].items():
        low, high = each["interval_95"]
        seconds = each["median_seconds"]["grpo"]
        print(f"{clock:>8} {each['median']:8.4f}  ({low:.4f} to {high:.4f})   GRPOTrainer {seconds:.3f} s", flush=True)


if __name__ == "__main__":
    main()
