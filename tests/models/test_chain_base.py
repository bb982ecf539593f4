"""The built-in base model: one token a character, a full stop that ends it, and a warm-up by TRL's own SFTTrainer."""

import dataclasses

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from riskpo.models.chain_base import CHARACTERS, WarmUp, chain_base, make_model, make_tokenizer, warm_up
from riskpo.tasks import chain

TINY = WarmUp(width=16, layers=1, heads=2, steps=3, batch_size=4)


# --- tokenizer ---


def test_one_token_a_character():
    tokenizer = make_tokenizer()
    assert len(tokenizer) == 18  # ten digits, + - *, =, full stop, blank; padding and end
    assert tokenizer(CHARACTERS)["input_ids"] == list(range(16))
    assert tokenizer.convert_ids_to_tokens([16, 17]) == [tokenizer.pad_token, tokenizer.eos_token]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (16, 17)


def test_round_trip():
    """Blanks survive, inside and at the end: the prompts are padded with them."""
    tokenizer = make_tokenizer()
    for prompt, trace in chain.corpus(50, 0):
        ids = tokenizer(prompt + trace)["input_ids"]
        assert len(ids) == len(prompt + trace)
        assert tokenizer.decode(ids) == prompt + trace
    assert tokenizer.decode([0, 17, 16], skip_special_tokens=True) == "0"


def test_padding_is_on_the_left():
    batch = make_tokenizer()(["12", "3"], padding=True)
    assert batch["input_ids"] == [[1, 2], [16, 3]]
    assert batch["attention_mask"] == [[1, 1], [0, 1]]


# --- model ---


def test_model_shape():
    tokenizer = make_tokenizer()
    model = make_model(WarmUp(), tokenizer)
    # Embeddings (18 + 27) * 64, two blocks of 12 * 64^2 + 13 * 64, the last norm 2 * 64; the head is the embedding's.
    assert sum(p.numel() for p in model.parameters()) == 2880 + 2 * 49_984 + 128
    assert model(torch.zeros(2, 27, dtype=torch.long)).logits.shape == (2, 27, 18)
    assert model.generation_config.eos_token_id == [tokenizer.convert_tokens_to_ids("."), tokenizer.eos_token_id]
    longest = chain.prompt_of((0, (("+", 2),) * 8)) + chain.answer_of((0, (("+", 2),) * 8))
    assert len(tokenizer(longest)["input_ids"]) == model.config.n_positions == 27


def test_the_full_stop_ends_a_completion(chain_model):
    model = AutoModelForCausalLM.from_pretrained(chain_model)
    prompt_ids = make_tokenizer()(["4*7              ="], return_tensors="pt")["input_ids"]
    tokens = model.generate(input_ids=prompt_ids, attention_mask=torch.ones_like(prompt_ids), max_new_tokens=9)
    completion = tokens[0, 18:].tolist()
    assert completion[-1] == CHARACTERS.index(".")
    assert completion.count(CHARACTERS.index(".")) == 1


# --- warm-up ---


def test_the_name_tells_settings_apart():
    names = {TINY.name, dataclasses.replace(TINY).name}
    assert len(names) == 1
    changed = [dataclasses.replace(TINY, **{f.name: getattr(TINY, f.name) * 2 + 1}) for f in dataclasses.fields(TINY)]
    assert len({settings.name for settings in changed} | names) == len(changed) + 1


def test_warm_up_is_trl_s(tmp_path, monkeypatch):
    """Three steps through SFTTrainer on the corpus, prompts masked; what is saved loads like any other model."""
    import trl

    trainers = []

    class Spy(trl.SFTTrainer):
        def train(self, *args, **kwargs):
            trainers.append(self)
            return super().train(*args, **kwargs)

    monkeypatch.setattr(trl, "SFTTrainer", Spy)
    warm_up(TINY, tmp_path)
    (trainer,) = trainers
    assert trainer.state.global_step == 3
    assert len(trainer.train_dataset) == 12
    prompt, trace = next(chain.corpus(1, 0))
    row = trainer.train_dataset[0]
    assert make_tokenizer().decode(row["input_ids"]) == prompt + trace
    assert list(row["labels"]) == [-100] * 18 + list(row["input_ids"])[18:]

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("4*7=")["input_ids"] == [4, 12, 7, 13]
    assert tokenizer.padding_side == "left"
    assert model.generation_config.eos_token_id == [14, 17]
    torch.manual_seed(TINY.seed)
    untrained = make_model(TINY, tokenizer).state_dict()
    moved = [name for name, values in model.state_dict().items() if not torch.equal(values, untrained[name])]
    assert "transformer.wte.weight" in moved


def test_warm_up_is_deterministic_and_cached(tmp_path, monkeypatch):
    said = []
    folders = []
    for name in ("one", "two"):
        monkeypatch.setenv("RISKPO_CACHE", str(tmp_path / name))
        folders.append(chain_base(TINY, on_build=lambda: said.append("built")))
        assert chain_base(TINY, on_build=lambda: said.append("again")) == folders[-1]
    assert said == ["built", "built"]
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]


def test_the_warm_up_teaches(chain_model):
    """Even a short one: single operations the author is sure of come out right more often than one digit in ten."""
    from riskpo.evaluation.sampling import sample

    rows = [row for row in chain.rows("test", 15, 0, [1]) if row["difficulty"] < 0.2]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(chain_model), AutoTokenizer.from_pretrained(chain_model)
    outcomes = sample(model, tokenizer, rows, chain.chain_reward, samples=64, max_new_tokens=9, seed=0)
    assert outcomes.rewards_QS.mean() > 0.05
    assert outcomes.entropy < 2.0  # log 18 = 2.9 of an untrained model
