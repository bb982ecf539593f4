"""Prompts that are too long: which ones are left out, and that a run goes on without them."""

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from riskpo.errors import ConfigError, DataError
from riskpo.runs.prompt_lengths import load_processing, short_enough


class Words:
    """A tokenizer of words; its chat template adds two, and one for thinking."""

    def __call__(self, text, add_special_tokens):
        return {"input_ids": text.split() + ["<s>"] * add_special_tokens}

    def apply_chat_template(self, prompt, *, tokenize, add_generation_prompt, thinking=False):
        assert add_generation_prompt
        assert not tokenize
        return " ".join(["<user>", *(turn["content"] for turn in prompt), "<assistant>", *["<think>"] * thinking])


def rows(*prompts):
    return Dataset.from_list([{"prompt": prompt, "answer": str(row)} for row, prompt in enumerate(prompts)])


def test_texts_with_their_special_token():
    kept, said = short_enough(rows("a b c", "a b", "a", "a b c d"), Words(), 3, {})
    assert kept["answer"][:] == ["1", "2"]
    assert said == "left out 2 of 4 prompts with more than 3 tokens; the longest has 5"


def test_conversations_through_their_template():
    chats = rows(*([{"role": "user", "content": text}] for text in ("a b", "a")))
    assert short_enough(chats, Words(), 4, {})[0]["answer"][:] == ["0", "1"]
    assert short_enough(chats, Words(), 4, {"thinking": True})[0]["answer"][:] == ["1"]


def test_none_is_left():
    with pytest.raises(DataError, match="max_prompt_tokens=2 tokens: of 2 the shortest has 3"):
        short_enough(rows("a b", "a b c"), Words(), 2, {})


def test_a_real_tokenizer(chain_model):
    processing = load_processing(chain_model, None)
    prompts = ["4*7=", "4*7*2-5="]
    lengths = [len(AutoTokenizer.from_pretrained(chain_model)(prompt)["input_ids"]) for prompt in prompts]
    kept, said = short_enough(rows(*prompts), processing, lengths[0], {})
    assert (kept["prompt"][:], lengths[0] < lengths[1]) == (["4*7="], True)
    assert said.startswith("left out 1 of 2 prompts")


def test_no_tokenizer_there(tmp_path):
    with pytest.raises(ConfigError, match=r"the tokenizer of .* cannot be loaded"):
        load_processing(str(tmp_path), None)
