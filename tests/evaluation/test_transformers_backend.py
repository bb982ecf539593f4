"""The backend samples what plain `generate` samples: the same tokens where it is greedy, else the same law."""

import pytest
import torch
from PIL import Image
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from riskpo.errors import ConfigError
from riskpo.evaluation.backends import Request, Sampling
from riskpo.evaluation.transformers_backend import TransformersBackend
from riskpo.models.chain_base import make_tokenizer
from riskpo.tasks import chain
from tests.engines.tiny_vision import make_processor, make_vision_model

PROMPTS = [row["prompt"] for row in chain.rows("train", 6, seed=1)] + ["1", "12+"]


SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def tiny(kind):
    """Rotary positions, learned ones, and a sliding window, whose cache has no rows that could leave."""
    tokenizer = make_tokenizer()
    options = {"vocab_size": len(tokenizer), "initializer_range": 0.5, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SIZES, **options))
    elif kind == "mistral":
        model = MistralForCausalLM(MistralConfig(**SIZES, **options, num_key_value_heads=1, sliding_window=8))
    else:
        model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=512, **options))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return TransformersBackend(model, tokenizer, f"tiny-{kind}")


@pytest.fixture(scope="module", params=["llama", "gpt2", "mistral"])
def any_backend(request):
    return tiny(request.param)


@pytest.fixture(scope="module")
def backend():
    return tiny("llama")


def plain(backend, prompt, sampling, seed=0, count=1):
    """`generate` as anybody would call it, one prompt, no padding."""
    inputs = backend.tokenizer(prompt, return_tensors="pt")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        tokens = backend.model.generate(
            **inputs,
            generation_config=backend._config(sampling, sampling.max_new_tokens),
            num_return_sequences=count,
        )
    return backend.tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("longest", [1, 5, 64, 65, 150])
def test_greedy_is_plain_greedy(any_backend, longest):
    """Through left padding, repeated caches, stretches and rows that leave."""
    backend, sampling = any_backend, Sampling(longest, temperature=0.0)
    found = backend.sample([Request(prompt, 2) for prompt in PROMPTS], sampling, seed=0)
    for prompt, completions in zip(PROMPTS, found, strict=True):
        assert [completion.text for completion in completions] == plain(backend, prompt, sampling) * 2
        assert all(completion.tokens <= longest for completion in completions)
    assert backend.describe()["compacts"] is (backend.name != "tiny-mistral")


def test_rows_leave_when_they_end(backend):
    """Every token stops: one token each, whatever is allowed; no stop at all: all of what is allowed."""
    stops = backend.stops
    try:
        backend.stops = list(range(backend.model.config.vocab_size))
        (ended,) = backend.sample([Request("1+2", 3)], Sampling(200), seed=0)
        assert [(completion.tokens, completion.truncated) for completion in ended] == [(1, False)] * 3
        backend.stops = [10**6]
        (cut,) = backend.sample([Request("1+2", 3)], Sampling(100), seed=0)
        assert [(completion.tokens, completion.truncated) for completion in cut] == [(100, True)] * 3
    finally:
        backend.stops = stops


def test_seeds(backend):
    requests = [Request(prompt, 4) for prompt in PROMPTS]
    state = torch.random.get_rng_state()
    first, again, other = (backend.sample(requests, Sampling(20), seed) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_law_is_that_of_generate(backend):
    """The first two tokens of many samples, against plain generate's: chi-square on their counts."""
    count, prompt, sampling = 3000, PROMPTS[0], Sampling(2, temperature=0.7)
    (ours,) = backend.sample([Request(prompt, count)], sampling, seed=3)
    theirs = plain(backend, prompt, sampling, seed=4, count=count)
    counts = {}
    for column, texts in enumerate(([completion.text for completion in ours], theirs)):
        for text in texts:
            counts.setdefault(text, [0, 0])[column] += 1
    often = [pair for pair in counts.values() if sum(pair) >= 20]
    rare = [pair for pair in counts.values() if sum(pair) < 20]
    cells = often + [[sum(column) for column in zip(*rare, strict=True)]] * bool(rare)
    # Two samples of the same size: each cell is as likely in one as in the other.
    statistic = sum((a - b) ** 2 / (a + b) for a, b in cells)
    freedom = len(cells) - 1
    assert freedom > 5
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_top_p_and_top_k_are_passed_on(backend):
    (narrow,) = backend.sample([Request(PROMPTS[0], 50)], Sampling(1, top_k=1), seed=0)
    (nucleus,) = backend.sample([Request(PROMPTS[0], 50)], Sampling(1, top_p=1e-6), seed=0)
    likeliest = plain(backend, PROMPTS[0], Sampling(1, temperature=0.0))[0]
    assert {completion.text for completion in narrow} == {completion.text for completion in nucleus} == {likeliest}


def test_conversations_and_images():
    backend = TransformersBackend(make_vision_model(), make_processor(), "tiny-vl")
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
    images = [Image.new("RGB", (60, 45), color) for color in ("red", "white")]
    found = backend.sample([Request(said, 2, (image,)) for image in images], Sampling(8), seed=0)
    assert [len(completions) for completions in found] == [2, 2]
    greedy = [backend.sample([Request(said, 1, (image,))], Sampling(8, temperature=0.0), 0)[0][0] for image in images]
    assert greedy[0].text != greedy[1].text
    text_only = backend.sample([Request([{"role": "user", "content": "What?"}], 3)], Sampling(8), seed=0)
    assert len(text_only[0]) == 3


@pytest.mark.parametrize(
    "options",
    [{"max_new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_k": -1}],
)
def test_sampling_that_cannot_be(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Sampling(**options)
