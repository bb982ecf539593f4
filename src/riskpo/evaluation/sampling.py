"""Sampling a model's answers to questions with Transformers, and scoring them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from riskpo.errors import RewardError
from riskpo.evaluation.backends import render


@dataclass(frozen=True)
class Outcomes:
    """What came of sampling Q questions S times.

    Args:
        rewards_QS: the rewards, NaN where a sample could not be scored.
        entropy: mean entropy of the policy at the sampling temperature over the sampled tokens, in nats.
        texts_QS: the completions.
    """

    rewards_QS: NDArray[np.float64]
    entropy: float
    texts_QS: list[list[str]]

    @property
    def correct_Q(self) -> NDArray[np.int64]:
        """How many samples of each question are right: reward 1. Unscorable ones count as wrong, see `unscorable`."""
        correct_Q: NDArray[np.int64] = (self.rewards_QS >= 1.0 - 1e-6).sum(axis=1)
        return correct_Q

    @property
    def unscorable(self) -> float:
        """Share of samples that could not be scored."""
        return float(np.isnan(self.rewards_QS).mean())


def sample(
    model: Any,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    reward: Callable[..., Sequence[float | None]],
    *,
    samples: int,
    max_new_tokens: int,
    seed: int,
    temperature: float = 1.0,
    batch_size: int = 2048,
    progress: Callable[[int, int], None] | None = None,
) -> Outcomes:
    """Samples every question `samples` times from the untruncated distribution at `temperature`, and scores the texts.

    The global random state is left as it was found, and the model in the mode it was in.

    Args:
        model: a causal language model of Transformers.
        tokenizer: its tokenizer; pads on the left for the duration of the call.
        rows: `prompt` (a text, or a conversation for the chat template) and the columns that `reward` takes.
        reward: in TRL's signature.
        samples: samples per question.
        max_new_tokens: the longest completion.
        seed: seeds the sampling.
        temperature: of the sampling.
        batch_size: sequences in a batch.
        progress: called with (done, total) sequences after each batch.
    """
    prompts = [render(tokenizer, row["prompt"]) for row in rows]
    chat = not isinstance(rows[0]["prompt"], str)  # a chat template brings its own special tokens
    order = sorted(range(len(rows)), key=lambda q: len(prompts[q]))  # like lengths together: less padding
    queue = [q for q in order for _ in range(samples)]
    texts: list[list[str]] = [[] for _ in rows]
    recorder = _EntropyRecorder(temperature)
    stops = token_ids(model.generation_config.eos_token_id) or token_ids(tokenizer.eos_token_id)
    config = GenerationConfig(
        do_sample=True,
        temperature=temperature,
        top_k=0,
        top_p=1.0,
        max_new_tokens=max_new_tokens,
        eos_token_id=stops,
        pad_token_id=tokenizer.pad_token_id,
    )
    was_training, side, own_config = model.training, tokenizer.padding_side, model.generation_config
    devices = [model.device] if model.device.type == "cuda" else []
    model.eval()
    model.generation_config = config  # `generate` fills gaps from here: a model's own penalties would change the policy
    tokenizer.padding_side = "left"
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(seed)
            for start in range(0, len(queue), batch_size):
                batch = queue[start : start + batch_size]
                inputs = tokenizer(
                    [prompts[q] for q in batch], return_tensors="pt", padding=True, add_special_tokens=not chat
                ).to(model.device)
                recorder.begin()
                tokens = model.generate(
                    input_ids=inputs["input_ids"],
                    attention_mask=inputs["attention_mask"],
                    generation_config=config,
                    logits_processor=LogitsProcessorList([recorder]),
                )[:, inputs["input_ids"].shape[1] :]
                recorder.count(tokens, stops)
                for q, text in zip(batch, tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True):
                    texts[q].append(text)
                if progress is not None:
                    progress(start + len(batch), len(queue))
    finally:
        model.train(was_training)
        model.generation_config = own_config
        tokenizer.padding_side = side
    return Outcomes(_score(rows, texts, reward, samples), recorder.mean, texts)


def _score(
    rows: Sequence[dict[str, Any]],
    texts: list[list[str]],
    reward: Callable[..., Sequence[float | None]],
    samples: int,
) -> NDArray[np.float64]:
    repeated = [row for row in rows for _ in range(samples)]
    flat = [text for many in texts for text in many]
    chat = not isinstance(rows[0]["prompt"], str)
    completions: list[Any] = [[{"role": "assistant", "content": text}] for text in flat] if chat else list(flat)
    columns = {key: [row[key] for row in repeated] for key in rows[0] if key != "prompt"}
    rewards = list(reward(prompts=[row["prompt"] for row in repeated], completions=completions, **columns))
    if len(rewards) != len(flat):
        raise RewardError(f"the reward function returned {len(rewards)} rewards for {len(flat)} completions.")
    return np.array([np.nan if r is None else float(r) for r in rewards]).reshape(len(rows), samples)


class _EntropyRecorder(LogitsProcessor):  # type: ignore[misc]
    """Looks at the logits of every generated token, before the temperature acts, and leaves them as they are."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._steps: list[Tensor] = []
        self._sum = 0.0
        self._count = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logps = (scores.float() / self._temperature).log_softmax(-1)
        self._steps.append(-(logps.exp() * logps.clamp(min=torch.finfo(logps.dtype).min)).sum(-1))
        return scores

    def begin(self) -> None:
        self._steps = []

    def count(self, tokens: Tensor, stops: list[int]) -> None:
        """Adds the entropies of a batch up to and including each completion's end."""
        entropies = torch.stack(self._steps, dim=1)
        ended = torch.isin(tokens, torch.tensor(stops, device=tokens.device)).long()
        alive = (ended.cumsum(1) - ended) == 0
        self._sum += float(entropies[:, : tokens.shape[1]][alive].sum())
        self._count += int(alive.sum())

    @property
    def mean(self) -> float:
        return self._sum / max(self._count, 1)


def token_ids(value: int | list[int] | None) -> list[int]:
    """A setting that holds one token, several or none, as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)
