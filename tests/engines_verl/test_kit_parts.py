"""The kit's parts without a run: sampling and its seeds, the verifier, the model and its data set."""

import math

import pytest

torch = pytest.importorskip("torch")

from tests.verl_kit.material import WORDS, write_model, write_prompts  # noqa: E402
from tests.verl_kit.reward import compute_score  # noqa: E402


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def test_the_model_is_tiny_and_the_same_each_time(model_folder, tmp_path):
    from transformers import AutoModelForCausalLM

    first, second = (AutoModelForCausalLM.from_pretrained(p) for p in (model_folder, write_model(tmp_path)))
    assert sum(parameter.numel() for parameter in first.parameters()) < 10_000
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_prompts_differ_and_half_of_the_words_are_right(tmp_path):
    import pyarrow.parquet as pq

    rows = pq.read_table(write_prompts(tmp_path / "prompts.parquet", prompts=12)).to_pylist()
    assert len({row["prompt"][0]["content"] for row in rows}) == 12
    assert [row["extra_info"]["index"] for row in rows] == list(range(12))
    assert all(len(row["reward_model"]["ground_truth"].split()) == len(WORDS) // 2 for row in rows)


def test_the_verifier_looks_at_the_first_word_and_fails_on_demand():
    def score(text: str, **options: str) -> float:
        return compute_score("tiny", text, "w1 w2", {}, **options)["score"]

    assert [score("w1 w9"), score("w9 w1"), score("")] == [1.0, 0.0, 0.0]
    assert math.isnan(score("w1 w9", nan_words="w8 w9"))
    assert score("w9 w1", nan_words="w8 w9") == 0.0
    with pytest.raises(RuntimeError, match="breaks at w9"):
        score("w1 w9", fail_words="w9")


def test_samples_repeat_with_their_seed_and_carry_their_log_probabilities(model_folder):
    pytest.importorskip("verl", reason="verl is not installed")
    from transformers import AutoModelForCausalLM

    from tests.verl_kit.rollout import sample_seed, sample_tokens

    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    prompt = [3, 5, 6, 7, 4]
    seeds = [sample_seed(1, version, sample, prompt) for version in (0, 1) for sample in range(8)]
    assert len(set(seeds)) == 16
    assert sample_seed(1, 0, 0, prompt) != sample_seed(1, 0, 0, prompt[::-1])
    draws = [sample_tokens(model, prompt, 6, 0.7, {1}, seed) for seed in seeds]
    assert draws == [sample_tokens(model, prompt, 6, 0.7, {1}, seed) for seed in seeds]
    assert len({tuple(tokens) for tokens, _ in draws}) > 8
    for tokens, log_probs in draws:
        assert 1 <= len(tokens) <= 6
        assert 1 not in tokens[:-1]  # ends at the first end of sequence
        with torch.no_grad():
            logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits / 0.7, dim=-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(log_probs), expected, atol=1e-5, rtol=0)
