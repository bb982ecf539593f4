"""What samples completions: the shape that every backend has, and the sampling that it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from riskpo.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn.

    Args:
        max_new_tokens: the longest completion.
        temperature: 0 takes the likeliest token each time, so every sample of a question is the same.
        top_p: in (0, 1]; 1 = the whole distribution.
        top_k: 0 = no limit.

    Raises:
        ConfigError: a value out of range.
    """

    max_new_tokens: int = 1024
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}.")
        if not 0.0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature must be finite and >= 0, got {self.temperature}.")
        if not 0.0 < self.top_p <= 1.0:
            raise ConfigError(f"top_p must be in (0, 1], got {self.top_p}.")
        if self.top_k < 0:
            raise ConfigError(f"top_k must be at least 0 (no limit), got {self.top_k}.")


@dataclass(frozen=True, slots=True)
class Completion:
    """A sampled completion.

    Args:
        text: without special tokens.
        tokens: how many were sampled, the one that ends it included.
        truncated: whether it was cut at `max_new_tokens`.
    """

    text: str
    tokens: int
    truncated: bool


@dataclass(frozen=True)
class Request:
    """Samples wanted of one prompt.

    Args:
        prompt: a text, or a conversation for the chat template.
        count: how many.
        images: pictures for the places that the conversation leaves for them.
    """

    prompt: Any
    count: int
    images: tuple[Any, ...] = ()


def render(processing: Any, prompt: Any, **chat_template_kwargs: Any) -> str:
    """A prompt as text: itself, or a conversation through the chat template of a tokenizer or processor."""
    if isinstance(prompt, str):
        return prompt
    return str(
        processing.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True, **chat_template_kwargs)
    )


class Backend(Protocol):
    """What samples completions."""

    name: str

    def describe(self) -> dict[str, Any]:
        """What a result depends on: model, revision, dtype, device, how it samples."""
        ...

    def lengths(self, requests: Sequence[Request]) -> list[int]:
        """The length of each prompt in tokens."""
        ...

    def sample(self, requests: Sequence[Request], sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`count` completions for each request; the same ones for the same seed and requests on the same machine."""
        ...
