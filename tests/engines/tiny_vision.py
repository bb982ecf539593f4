"""A tiny untrained Qwen2.5-VL with its processor, built here: nothing is downloaded, torchvision is not needed."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

PAD, END, IMAGE = "<|endoftext|>", "<|im_end|>", "<|image_pad|>"
SPECIAL = [PAD, END, "<|im_start|>", "<|vision_start|>", "<|vision_end|>", IMAGE, "<|video_pad|>"]
CHARACTERS = [*map(chr, range(32, 127)), "\n"]
VOCABULARY = {token: number for number, token in enumerate(SPECIAL + CHARACTERS)}

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class StillProcessor(Qwen2_5_VLProcessor):  # type: ignore[misc]
    """Without videos, whose processor needs torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor":
            return None
        return super().check_argument_for_proper_class(argument_name, argument)


def make_processor(max_pixels: int = 56 * 56) -> StillProcessor:
    """One token a character; images of at most four patches."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, extra_special_tokens=SPECIAL[2:], padding_side="left"
    )
    images = Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, min_pixels=28 * 28, max_pixels=max_pixels)
    return StillProcessor(image_processor=images, tokenizer=fast, chat_template=CHAT_TEMPLATE)


def make_vision_model(seed: int = 0) -> Qwen2_5_VLForConditionalGeneration:
    """105 000 parameters: a vision tower of two blocks, a language model of two layers."""
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(VOCABULARY),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
            "initializer_range": 0.3,
            "bos_token_id": VOCABULARY[PAD],
            "eos_token_id": VOCABULARY[END],
            "pad_token_id": VOCABULARY[PAD],
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.3,
        },
        image_token_id=VOCABULARY[IMAGE],
        video_token_id=VOCABULARY["<|video_pad|>"],
        vision_start_token_id=VOCABULARY["<|vision_start|>"],
        vision_end_token_id=VOCABULARY["<|vision_end|>"],
    )
    return Qwen2_5_VLForConditionalGeneration(config)
