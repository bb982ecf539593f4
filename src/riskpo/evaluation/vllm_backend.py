"""Sampling with vLLM, for models and sample counts for which `generate` is too slow. An extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from riskpo.errors import MissingExtraError
from riskpo.evaluation.backends import Completion, Request, Sampling, render
from riskpo.evaluation.batches import derived_seed


class VLLMBackend:
    """A model loaded by vLLM; `Backend`.

    Args:
        model: a folder or a hub id.
        revision: of a hub id.
        dtype: as vLLM names it; `auto` = the model's own.
        chat_template_kwargs: for the chat template, e.g. `{"enable_thinking": False}`.
        options: further arguments of `vllm.LLM`: tensor_parallel_size, gpu_memory_utilization, max_model_len, ...

    Raises:
        MissingExtraError: vLLM is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        chat_template_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise MissingExtraError("vllm", "vllm") from error
        self.name = model
        self.revision = revision
        self.dtype = dtype
        self.options = options
        self.chat_template_kwargs = chat_template_kwargs or {}
        # The model's own sampling defaults are left out: they would change the policy.
        self.engine = LLM(model=model, revision=revision, dtype=dtype, generation_config="vllm", **options)
        self.tokenizer = self.engine.get_tokenizer()

    def describe(self) -> dict[str, Any]:
        """Model, revision, dtype and vLLM's options."""
        return {
            "backend": "vllm",
            "model": self.name,
            "revision": self.revision,
            "dtype": self.dtype,
            "options": self.options,
            "chat_template_kwargs": self.chat_template_kwargs,
        }

    def _text(self, prompt: Any) -> str:
        return render(self.tokenizer, prompt, **self.chat_template_kwargs)

    def _tokens(self, prompt: Any) -> list[int]:
        """A chat template brings its own special tokens; a text gets the tokenizer's."""
        tokens: list[int] = self.tokenizer.encode(self._text(prompt), add_special_tokens=isinstance(prompt, str))
        return tokens

    def lengths(self, requests: Sequence[Request]) -> list[int]:
        """The length of each prompt in tokens, images not counted."""
        return [len(self._tokens(request.prompt)) for request in requests]

    def sample(self, requests: Sequence[Request], sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`count` completions for each request. Each request has a seed of its own, whatever vLLM runs it beside."""
        from vllm import SamplingParams

        prompts: list[dict[str, Any]] = []
        parameters = []
        for place, request in enumerate(requests):
            given: dict[str, Any] = {"prompt_token_ids": self._tokens(request.prompt)}
            if request.images:
                # vLLM itself replaces the places of images, which it looks for in the text.
                given = {"prompt": self._text(request.prompt), "multi_modal_data": {"image": list(request.images)}}
            prompts.append(given)
            parameters.append(
                SamplingParams(
                    n=request.count,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    top_k=sampling.top_k or -1,
                    max_tokens=sampling.max_new_tokens,
                    seed=derived_seed(seed, place),
                )
            )
        outputs = self.engine.generate(prompts, parameters, use_tqdm=False)
        return [
            [
                Completion(sample.text, len(sample.token_ids), sample.finish_reason == "length")
                for sample in output.outputs
            ]
            for output in outputs
        ]
