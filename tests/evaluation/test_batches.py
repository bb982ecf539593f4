"""Every sample in exactly one batch, none too large, like lengths together, the same plan each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError
from riskpo.evaluation.batches import Batch, Part, plan_batches


def test_by_hand():
    batches = plan_batches([3, 9, 5], samples=2, batch_size=4, seed=0)
    assert [batch.parts for batch in batches] == [(Part(1, 0, 2), Part(2, 0, 2)), (Part(0, 0, 2),)]
    assert [batch.sequences for batch in batches] == [4, 2]


def test_a_question_larger_than_a_batch_is_divided():
    batches = plan_batches([1], samples=7, batch_size=3, seed=0)
    assert [part for batch in batches for part in batch.parts] == [Part(0, 0, 3), Part(0, 3, 3), Part(0, 6, 1)]


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 12), st.integers(1, 9), st.integers(0, 10**12)
)
def test_every_sample_once(lengths, samples, batch_size, seed):
    batches = plan_batches(lengths, samples, batch_size, seed)
    seen = sorted(
        (part.question, part.first + offset) for b in batches for part in b.parts for offset in range(part.count)
    )
    assert seen == [(question, sample) for question in range(len(lengths)) for sample in range(samples)]
    assert all(batch.sequences <= batch_size for batch in batches)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    longest = [max(lengths[part.question] for part in batch.parts) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert batches == plan_batches(lengths, samples, batch_size, seed)


def test_seeds_differ_by_batch_and_by_seed():
    seeds = [batch.seed for seed in (0, 1) for batch in plan_batches([1] * 9, 1, 2, seed)]
    assert len(set(seeds)) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert plan_batches([1], 1, 1, 0) == [Batch(0, (Part(0, 0, 1),), seeds[0])]


@pytest.mark.parametrize(("lengths", "samples", "size"), [([], 1, 1), ([1], 0, 1), ([1], 1, 0)])
def test_nothing_to_sample(lengths, samples, size):
    with pytest.raises(ConfigError, match="nothing to sample"):
        plan_batches(lengths, samples, size, 0)
