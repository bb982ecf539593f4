"""The base model of the built-in task: a small GPT-2, warmed up with TRL's SFTTrainer on the fallible author's corpus.

What it is and how good it is after the warm-up: docs/quickstart.md, from experiments/.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from riskpo.models.cache import cached_model
from riskpo.tasks import chain

CHARACTERS = "0123456789" + chain.OPERATORS + "=. "
PAD, EOS = "<pad>", "<eos>"


@dataclass(frozen=True)
class WarmUp:
    """Everything that the weights of the base model depend on, software versions apart."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    initializer_range: float = 0.08
    steps: int = 500
    batch_size: int = 128
    learning_rate: float = 5e-3
    seed: int = 0
    author_seed: int = chain.AUTHOR_SEED

    @property
    def name(self) -> str:
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return f"chain-base-{digest}"


def chain_base(settings: WarmUp | None = None, on_build: Callable[[], Any] | None = None) -> Path:
    """The folder of the base model; warmed up on first use (about half a minute on two cores), then cached."""
    settings = settings or WarmUp()

    def build(folder: Path) -> None:
        if on_build is not None:
            on_build()
        warm_up(settings, folder)

    return cached_model(settings.name, build)


def make_tokenizer() -> Any:
    """One token a character."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*CHARACTERS, PAD, EOS])}
    # The token for unknown characters is not in the vocabulary: text of another task is an error, not padding.
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=chain.WIDTH + chain.LONGEST + 1,
    )


def make_model(settings: WarmUp, tokenizer: Any) -> Any:
    """An untrained model. Its full stop ends a completion, and is part of the decoded text."""
    from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=tokenizer.model_max_length,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=settings.initializer_range,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = GPT2LMHeadModel(config)
    stop = tokenizer.convert_tokens_to_ids(".")
    model.generation_config = GenerationConfig(
        eos_token_id=[stop, tokenizer.eos_token_id], pad_token_id=tokenizer.pad_token_id
    )
    return model


def warm_up(settings: WarmUp, folder: Path) -> None:
    """Supervised training on the author's corpus; model and tokenizer are written to `folder`."""
    import tempfile

    from datasets import Dataset
    from transformers import PrinterCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    set_seed(settings.seed)
    tokenizer = make_tokenizer()
    model = make_model(settings, tokenizer)
    ids = {token: i for i, token in enumerate(CHARACTERS)}
    texts = list(chain.corpus(settings.steps * settings.batch_size, settings.seed))
    data = Dataset.from_dict(
        {
            "input_ids": [[ids[character] for character in prompt + trace] for prompt, trace in texts],
            "labels": [[-100] * len(prompt) + [ids[character] for character in trace] for prompt, trace in texts],
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        args = SFTConfig(
            output_dir=scratch,
            per_device_train_batch_size=settings.batch_size,
            max_steps=settings.steps,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=20,
            weight_decay=0.01,
            max_length=None,
            gradient_checkpointing=False,
            bf16=False,
            seed=settings.seed,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = SFTTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
