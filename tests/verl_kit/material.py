"""A model of a few thousand parameters, its tokenizer, and a data set in verl's columns, made in a second."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

WORDS = [f"w{i}" for i in range(16)]
SPECIAL = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>"]
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write_model(folder: Path, seed: int = 0) -> Path:
    """A Llama with 2 layers of width 16 and random weights, with a tokenizer of 16 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>"],
        chat_template=TEMPLATE,
    )
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=1, pad_token_id=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_prompts(file: Path, prompts: int = 12, first: int = 0) -> Path:
    """`prompts` different questions of three words; half of the words are right as a first word, which half varies."""
    rows = []
    for index in range(first, first + prompts):
        words = [WORDS[(index * step + step) % len(WORDS)] for step in (1, 3, 7)]
        allowed = [WORDS[(index + place) % len(WORDS)] for place in range(len(WORDS) // 2)]
        rows.append(
            {
                "data_source": "tiny",
                "prompt": [{"role": "user", "content": " ".join(words)}],
                "ability": "words",
                "reward_model": {"style": "rule", "ground_truth": " ".join(allowed)},
                "extra_info": {"index": index, "split": "train"},
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file
