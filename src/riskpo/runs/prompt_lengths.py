"""Prompts that are too long for the window of the model that samples: left out before training, and said.

An engine that is given one stops the run, days in; cut at the left, as trainers used to, it is another question.
"""

from __future__ import annotations

from typing import Any

from riskpo.errors import ConfigError, DataError
from riskpo.evaluation.backends import render


def short_enough(train: Any, processing: Any, longest: int, chat_template_kwargs: dict[str, Any]) -> tuple[Any, str]:
    """The rows whose prompt has at most so many tokens, in their order, and what to say.

    Args:
        train: a `datasets.Dataset` with a column `prompt`.
        processing: the model's tokenizer or processor. Of images only their place in the text counts.
        longest: tokens of a prompt, chat template included.
        chat_template_kwargs: for the chat template.

    Raises:
        DataError: no row is left.
    """
    tokenizer = getattr(processing, "tokenizer", processing)
    prompts = train["prompt"][:]
    texts = [render(processing, prompt, **chat_template_kwargs) for prompt in prompts]
    # A chat template brings its own special tokens.
    lengths = [
        len(tokenizer(text, add_special_tokens=isinstance(prompt, str))["input_ids"])
        for text, prompt in zip(texts, prompts, strict=True)
    ]
    kept = [row for row, length in enumerate(lengths) if length <= longest]
    if not kept:
        raise DataError(
            f"no prompt has at most max_prompt_tokens={longest} tokens: of {len(lengths)} the shortest has "
            f"{min(lengths)}."
        )
    left_out = len(lengths) - len(kept)
    said = (
        f"left out {left_out} of {len(lengths)} prompts with more than {longest} tokens; the longest has {max(lengths)}"
    )
    return (train.select(kept) if left_out else train), said


def load_processing(model: str, revision: str | None) -> Any:
    """The tokenizer or processor that the trainer will load too.

    Raises:
        ConfigError: it cannot be loaded.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(model, revision=revision)
    except (OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"the tokenizer of {model} cannot be loaded: {reason}") from error
