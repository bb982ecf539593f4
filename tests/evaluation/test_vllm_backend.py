"""What vLLM would be asked and how its answers are read, against a stand-in; the engine itself needs a GPU."""

import sys
from types import SimpleNamespace

import pytest

from riskpo.errors import MissingExtraError
from riskpo.evaluation.backends import Completion, Request, Sampling
from riskpo.evaluation.vllm_backend import VLLMBackend


class Tokenizer:
    def encode(self, text, add_special_tokens):
        return [0] * add_special_tokens + [ord(character) for character in text]

    def apply_chat_template(self, messages, tokenize, add_generation_prompt, **kwargs):
        assert (tokenize, add_generation_prompt) == (False, True)
        return "<s>" + messages[0]["content"] + str(kwargs.get("enable_thinking", ""))


class LLM:
    made = None

    def __init__(self, **options):
        LLM.made, self.asked = options, []

    def get_tokenizer(self):
        return Tokenizer()

    def generate(self, prompts, parameters, use_tqdm):
        self.asked.append((prompts, parameters))
        return [
            SimpleNamespace(
                outputs=[
                    SimpleNamespace(text=f"{n}", token_ids=[1] * (n + 1), finish_reason="length" if n else "stop")
                    for n in range(parameter.n)
                ]
            )
            for parameter in parameters
        ]


@pytest.fixture
def vllm(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "vllm", SimpleNamespace(LLM=LLM, SamplingParams=lambda **kw: SimpleNamespace(**kw))
    )


@pytest.mark.usefixtures("vllm")
def test_what_is_asked_and_read():
    backend = VLLMBackend("m", revision="r", tensor_parallel_size=2, chat_template_kwargs={"enable_thinking": False})
    assert LLM.made == {
        "model": "m",
        "revision": "r",
        "dtype": "auto",
        "generation_config": "vllm",
        "tensor_parallel_size": 2,
    }
    chat = [{"role": "user", "content": "b"}]
    requests = [Request("a", 1), Request(chat, 2), Request(chat, 1, ("picture",))]
    assert backend.lengths(requests) == [2, 9, 9]
    found = backend.sample(requests, Sampling(7, temperature=0.5, top_p=0.9), seed=3)
    assert found == [
        [Completion("0", 1, False)],
        [Completion("0", 1, False), Completion("1", 2, True)],
        [Completion("0", 1, False)],
    ]
    ((prompts, parameters),) = backend.engine.asked
    assert prompts[0] == {"prompt_token_ids": [0, ord("a")]}
    assert prompts[1] == {"prompt_token_ids": [ord(character) for character in "<s>bFalse"]}
    assert prompts[2] == {"prompt": "<s>bFalse", "multi_modal_data": {"image": ["picture"]}}
    assert [parameter.n for parameter in parameters] == [1, 2, 1]
    assert {(p.temperature, p.top_p, p.top_k, p.max_tokens) for p in parameters} == {(0.5, 0.9, -1, 7)}
    assert len({parameter.seed for parameter in parameters}) == 3
    backend.sample(requests, Sampling(7), seed=3)
    assert [p.seed for p in backend.engine.asked[1][1]] == [p.seed for p in parameters]


def test_without_vllm(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match=r'pip install "riskpo\[vllm\]"'):
        VLLMBackend("m")
