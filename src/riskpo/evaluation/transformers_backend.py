"""Sampling with Transformers' `generate`, without its two wastes.

A prompt is read once, whatever the number of its samples: the cache is repeated, not the reading. And `generate` runs
in stretches: between them the sequences that have ended leave the batch instead of being padded to the last one's end.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from riskpo.evaluation.backends import Completion, Request, Sampling, render
from riskpo.evaluation.sampling import token_ids

STRETCH = 16  # tokens between two looks at which sequences have ended


class TransformersBackend:
    """A loaded model of Transformers; `Backend`.

    Args:
        model: causal, or vision-language.
        processing: its tokenizer, or its processor where the prompts have images.
        name: the model's, for the records.
        chat_template_kwargs: for the chat template, e.g. `{"enable_thinking": False}`.
        revision: the commit that the model was loaded from, if it came from a hub.
    """

    def __init__(
        self,
        model: Any,
        processing: Any,
        name: str,
        *,
        chat_template_kwargs: dict[str, Any] | None = None,
        revision: str | None = None,
    ) -> None:
        self.name = name
        self.model = model.eval()
        self.processing = processing
        self.tokenizer = getattr(processing, "tokenizer", processing)
        self.revision = revision
        self.chat_template_kwargs = chat_template_kwargs or {}
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        own = token_ids(model.generation_config.eos_token_id) or token_ids(model.config.get_text_config().eos_token_id)
        self.stops = sorted({*own, *token_ids(self.tokenizer.eos_token_id)})
        self.compacts = True  # until a cache is met whose rows cannot be chosen from
        # Transformers renames this argument in the course of version 5.
        taken = inspect.signature(type(model).forward).parameters
        self._cache_name = "cache" if "cache" in taken else "past_key_values"

    def describe(self) -> dict[str, Any]:
        """Model, revision, dtype, device, and whether ended sequences leave the batch."""
        return {
            "backend": "transformers",
            "model": self.name,
            "revision": self.revision,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": self.model.device.type,
            "attention": getattr(self.model.config, "_attn_implementation", None),
            "compacts": self.compacts,
            "chat_template_kwargs": self.chat_template_kwargs,
        }

    def lengths(self, requests: Sequence[Request]) -> list[int]:
        """The length of each prompt in tokens, images not counted."""
        texts = self._texts(requests)
        rows = self.tokenizer(texts, add_special_tokens=not self._chat(requests))["input_ids"]
        return [len(row) for row in rows]

    def _texts(self, requests: Sequence[Request]) -> list[str]:
        return [render(self.processing, request.prompt, **self.chat_template_kwargs) for request in requests]

    def sample(self, requests: Sequence[Request], sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`count` completions for each request."""
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.inference_mode():
            torch.manual_seed(seed)
            inputs = self._inputs(requests)
            counts = torch.tensor([request.count for request in requests], device=self.model.device)
            if any(request.images for request in requests):
                rows = self._sample_plain(inputs, counts, sampling)
            else:
                rows = self._sample_compacting(inputs, counts, sampling)
        texts = self.tokenizer.batch_decode([row for row, _ in rows], skip_special_tokens=True)
        flat = [Completion(text, len(row), truncated) for text, (row, truncated) in zip(texts, rows, strict=True)]
        ends = counts.cumsum(0).tolist()
        return [flat[end - request.count : end] for end, request in zip(ends, requests, strict=True)]

    def _inputs(self, requests: Sequence[Request]) -> dict[str, Tensor]:
        texts = self._texts(requests)
        images = [list(request.images) for request in requests]
        given: dict[str, Any] = {"images": images} if any(images) else {}
        side = self.tokenizer.padding_side
        self.tokenizer.padding_side = "left"
        try:
            processing = self.processing if given else self.tokenizer
            inputs = processing(
                text=texts, return_tensors="pt", padding=True, add_special_tokens=not self._chat(requests), **given
            )
        finally:
            self.tokenizer.padding_side = side
        return {key: value.to(self.model.device) for key, value in inputs.items()}

    def _chat(self, requests: Sequence[Request]) -> bool:
        """A chat template brings its own special tokens."""
        return not isinstance(requests[0].prompt, str)

    def _config(self, sampling: Sampling, tokens: int) -> GenerationConfig:
        greedy = sampling.temperature == 0.0
        drawn = (
            {} if greedy else {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        )
        return GenerationConfig(
            do_sample=not greedy,
            max_new_tokens=tokens,
            eos_token_id=self.stops,
            pad_token_id=self.tokenizer.pad_token_id,
            **drawn,
        )

    def _generate(self, sampling: Sampling, tokens: int, **inputs: Any) -> Tensor:
        """`generate` with this sampling and nothing of the model's own: penalties would change the policy."""
        own = self.model.generation_config
        self.model.generation_config = config = self._config(sampling, tokens)
        try:
            result: Tensor = self.model.generate(**inputs, generation_config=config)
            return result
        finally:
            self.model.generation_config = own

    def _sample_plain(
        self, inputs: dict[str, Tensor], counts: Tensor, sampling: Sampling
    ) -> list[tuple[list[int], bool]]:
        """One `generate`, each prompt with all its samples: for inputs that more than tokens belong to."""
        counted = int(counts.max())
        width = inputs["input_ids"].shape[1]
        tokens = self._generate(sampling, sampling.max_new_tokens, **inputs, num_return_sequences=counted)[:, width:]
        kept = [row * counted + sample for row, count in enumerate(counts.tolist()) for sample in range(count)]
        return [self._cut(tokens[index].tolist(), sampling.max_new_tokens) for index in kept]

    def _sample_compacting(
        self, inputs: dict[str, Tensor], counts: Tensor, sampling: Sampling
    ) -> list[tuple[list[int], bool]]:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        cache = self._read(ids, mask)
        rows = torch.repeat_interleave(torch.arange(len(ids), device=ids.device), counts)
        ids, mask = ids[rows], mask[rows]
        if cache is not None:
            cache.batch_select_indices(rows)
        alive = torch.arange(len(ids), device=ids.device)  # which sample each row of the batch is
        found: list[list[int]] = [[] for _ in range(len(ids))]
        done = 0
        while len(alive) and done < sampling.max_new_tokens:
            wanted = sampling.max_new_tokens - done
            stretch = wanted if cache is None else min(STRETCH, wanted)
            given = {} if cache is None else {self._cache_name: cache}
            whole = self._generate(sampling, stretch, input_ids=ids, attention_mask=mask, **given)
            new = whole[:, ids.shape[1] :]
            done += new.shape[1]
            ended = torch.isin(new, torch.tensor(self.stops, device=new.device)).any(1)
            for sample, tokens in zip(alive.tolist(), new.tolist(), strict=True):
                found[sample] += tokens
            keep = (~ended).nonzero().flatten()
            if not len(keep) or cache is None:
                break
            ids = whole[keep]
            mask = torch.cat([mask, torch.ones_like(new)], dim=1)[keep]
            alive = alive[keep]
            if len(keep) < len(ended):
                cache.batch_select_indices(keep)
        return [self._cut(tokens, sampling.max_new_tokens) for tokens in found]

    def _read(self, ids: Tensor, mask: Tensor) -> DynamicCache | None:
        """The cache of all but the last token of each prompt; None where its rows cannot be chosen from."""
        if ids.shape[1] < 2 or not self.compacts:
            return None
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        if not all(type(layer) is DynamicLayer for layer in cache.layers):
            self.compacts = False
            return None
        self.model(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, :-1],
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: cache},
        )
        return cache

    def _cut(self, tokens: list[int], longest: int) -> tuple[list[int], bool]:
        """A completion up to and with the token that ends it, and whether there is none."""
        stops = set(self.stops)
        end = next((place for place, token in enumerate(tokens) if token in stops), None)
        return (tokens[:longest], True) if end is None else (tokens[: end + 1], False)
