"""Sampling for evaluation: the right number, in the right place, from the model's own distribution, without a trace."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from riskpo.errors import RewardError
from riskpo.evaluation.sampling import Outcomes, render, sample
from riskpo.models.chain_base import WarmUp, make_model, make_tokenizer
from riskpo.tasks import chain

ROWS = [{"prompt": prompt, "answer": "1."} for prompt in ("1+1=", "2*3-4=", "3=", "4*7*2-5=", "5+")]
STOPS = [14, 17]  # full stop, end


@pytest.fixture
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    return make_model(WarmUp(width=16, layers=1, heads=2, initializer_range=0.2), tokenizer)


def draw(model, tokenizer, reward=chain.chain_reward, rows=ROWS, **options):
    return sample(model, tokenizer, rows, reward, **{"samples": 6, "max_new_tokens": 5, "seed": 0, **options})


# --- what comes back ---


@pytest.mark.parametrize("batch_size", [1, 4, 2048])
def test_counts(model, tokenizer, batch_size):
    done = []
    outcomes = draw(model, tokenizer, batch_size=batch_size, progress=lambda *counts: done.append(counts))
    assert [len(texts) for texts in outcomes.texts_QS] == [6] * 5
    assert outcomes.rewards_QS.shape == (5, 6)
    assert all(len(text) <= 5 for texts in outcomes.texts_QS for text in texts)
    assert done[-1] == (30, 30)
    assert len(done) == math.ceil(30 / batch_size)


class Echo:
    """A stand-in for a model that answers with its prompt's first digit, a full stop, and then rubbish."""

    def __init__(self):
        self.generation_config = SimpleNamespace(eos_token_id=STOPS)
        self.training, self.device = False, torch.device("cpu")

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def generate(self, input_ids, attention_mask, generation_config, logits_processor):
        first = input_ids.gather(1, attention_mask.argmax(1, keepdim=True))
        for _ in range(3):
            logits_processor(input_ids, torch.zeros(len(input_ids), 18))
        return torch.cat([input_ids, first, torch.full_like(first, STOPS[0]), torch.full_like(first, 16)], dim=1)


@pytest.mark.parametrize("batch_size", [1, 4, 2048])
def test_every_text_belongs_to_its_prompt(tokenizer, batch_size):
    """Prompts are sorted by length for the batches; texts and rewards come back in the order of the rows."""
    seen = []

    def reward(prompts, completions, answer, level):
        seen.extend(zip(prompts, completions, level, strict=True))
        return [float(completion == right) for completion, right in zip(completions, answer, strict=True)]

    rows = [{**row, "level": q} for q, row in enumerate(ROWS)]
    outcomes = draw(Echo(), tokenizer, reward, rows, batch_size=batch_size)
    assert outcomes.texts_QS == [[f"{q + 1}."] * 6 for q in range(5)]
    assert seen == [(row["prompt"], row["prompt"][0] + ".", q) for q, row in enumerate(ROWS) for _ in range(6)]
    assert outcomes.correct_Q.tolist() == [6, 0, 0, 0, 0]
    assert outcomes.entropy == pytest.approx(math.log(18))


def test_unscorable_samples(model, tokenizer):
    """None is NaN: neither right nor silently wrong. A reward within rounding of 1 is right."""
    outcomes = draw(model, tokenizer, lambda completions, **_: [None, 1.0, 1 - 1e-9, 0.999, 0, -1] * 5)
    assert outcomes.correct_Q.tolist() == [2] * 5
    assert outcomes.unscorable == pytest.approx(1 / 6)
    assert np.isnan(outcomes.rewards_QS[:, 0]).all()
    assert Outcomes(np.zeros((2, 2)), 0.0, []).unscorable == 0.0


def test_a_reward_of_the_wrong_length(model, tokenizer):
    with pytest.raises(RewardError, match="returned 29 rewards for 30 completions"):
        draw(model, tokenizer, lambda completions, **_: [0.0] * (len(completions) - 1))


def test_conversations(model, tokenizer):
    """They go through the chat template, and their completions reach the reward as conversations."""
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}={% endif %}"
    )
    rows = [{"prompt": [{"role": "user", "content": row["prompt"].rstrip("=")}], "answer": "1."} for row in ROWS[:4]]
    seen = []

    def reward(prompts, completions, answer):
        seen.extend(completions)
        return [0.0] * len(completions)

    assert [render(tokenizer, row["prompt"]) for row in rows] == [row["prompt"] for row in ROWS[:4]]
    outcomes = draw(model, tokenizer, reward, rows)
    assert outcomes.texts_QS == draw(model, tokenizer, rows=ROWS[:4]).texts_QS
    assert seen[7] == [{"role": "assistant", "content": outcomes.texts_QS[1][1]}]


# --- the distribution ---


def test_seeded(model, tokenizer):
    one, same, other = (draw(model, tokenizer, seed=seed) for seed in (0, 0, 1))
    assert one.texts_QS == same.texts_QS != other.texts_QS
    assert one.entropy == same.entropy


def test_frequencies(model, tokenizer):
    """First tokens come as often as a forward pass says they should, at temperature 1 and 2."""
    prompt = tokenizer(ROWS[3]["prompt"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model.eval()(prompt).logits[0, -1]
    for temperature in (1.0, 2.0):
        expected = (logits / temperature).softmax(-1)
        texts = draw(
            model, tokenizer, rows=[ROWS[3]], samples=4000, max_new_tokens=1, temperature=temperature
        ).texts_QS[0]
        counts = torch.tensor([texts.count(character) for character in "0123456789+-*=. "]) / 4000
        assert (counts - expected[:16]).abs().max() < 4.5 * 0.5 / math.sqrt(4000)
        assert (counts - expected[:16]).abs().max() < 0.1 * expected.max()


def test_the_model_s_own_generation_settings_play_no_part(model, tokenizer):
    """Instruct models ship penalties and truncation: what they would do to the policy is not what was trained."""
    plain = draw(model, tokenizer)
    own = model.generation_config
    own.repetition_penalty, own.min_p, own.suppress_tokens, own.num_beams = 9.0, 0.9, [1, 2, 3], 2
    assert draw(model, tokenizer).texts_QS == plain.texts_QS
    assert model.generation_config is own


def test_entropy_from_a_forward_pass(model, tokenizer):
    """Each completion alone, without padding, up to and including the token that ended it."""
    generate, batches = model.generate, []

    def spy(**inputs):
        tokens = generate(**inputs)
        batches.append((inputs["attention_mask"], tokens))
        return tokens

    model.generate = spy
    outcomes = draw(model, tokenizer, batch_size=7)
    entropies, ends = [], set()
    for mask, tokens in batches:
        width = mask.shape[1]
        for keep, row in zip(mask.bool(), tokens.tolist(), strict=True):
            prompt = [token for token, kept in zip(row, keep.tolist(), strict=False) if kept]
            completion = row[width:]
            length = next((i + 1 for i, token in enumerate(completion) if token in STOPS), len(completion))
            ends.add(length)
            with torch.no_grad():
                logits = model(torch.tensor([prompt + completion[:length]])).logits[0]
            logps = logits[len(prompt) - 1 : -1].double().log_softmax(-1)
            entropies += (-(logps.exp() * logps).sum(-1)).tolist()
    assert len(ends) > 2  # otherwise the test does not see where counting stops
    assert outcomes.entropy == pytest.approx(sum(entropies) / len(entropies), rel=1e-5)


# --- no trace ---


@pytest.mark.parametrize("training", [True, False])
def test_leaves_no_trace(model, tokenizer, training):
    model.train(training)
    tokenizer.padding_side = "right"
    own_config = model.generation_config
    torch.manual_seed(5)
    state = torch.get_rng_state()
    draw(model, tokenizer)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training is training
    assert tokenizer.padding_side == "right"
    assert model.generation_config is own_config
    assert all(p.grad is None for p in model.parameters())


def test_leaves_no_trace_after_an_error(model, tokenizer):
    model.train()
    model.generate = None
    state = torch.get_rng_state()
    with pytest.raises(TypeError):
        draw(model, tokenizer)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
