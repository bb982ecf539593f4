"""Running pass rates by hand, and compositions by difficulty: what stands beside what; only the past decides."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.bundles import compose
from riskpo.risk.difficulty import PassRates, order_prompts

NAN = math.nan


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- running pass rates ---


def test_rates_by_hand():
    first = PassRates().after(["a", "b"], torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, NAN]]), decay=0.5)
    assert first.visits == {"a": (2.0, 4.0), "b": (0.0, 3.0)}
    # The prior is 2 of 7 responses and counts as one: (2 + 2/7)/5, (0 + 2/7)/4, and 2/7 where nothing is known.
    assert first.rates(["a", "b", "c"]).tolist() == pytest.approx([(2 + 2 / 7) / 5, (2 / 7) / 4, 2 / 7])
    second = first.after(["a"], torch.tensor([[1.0, 1, 1, 1]]), decay=0.5)
    assert second.visits["a"] == (0.5 * 2 + 4, 0.5 * 4 + 4)
    assert (second.passed, second.seen) == pytest.approx((5.0, 9.0))
    assert first.visits["a"] == (2.0, 4.0), "a step gives a new state and leaves the old one"


def test_before_anything_is_seen_every_rate_is_one_half():
    assert PassRates().rates(["a", "b"]).tolist() == [0.5, 0.5]
    assert PassRates().unseen(["a", "b"]) == 1.0


def test_unscorable_visits_do_not_count():
    rates = PassRates().after(["a"], torch.tensor([[NAN, NAN]]), decay=0.5)
    assert rates == PassRates()


def test_a_prompt_twice_in_a_step_is_visited_twice():
    rates = PassRates().after(["a", "a"], torch.tensor([[1.0, 1], [0, 0]]), decay=0.5)
    assert rates.visits == {"a": (1.0, 3.0)}


def test_json_round_trip():
    rates = PassRates().after(["a", "ü"], torch.tensor([[1.0, 0], [0, 0]]), decay=0.5)
    assert PassRates.from_dict(rates.to_dict()) == rates


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=2))))
def test_rates_stay_in_the_unit_interval_and_sums_are_sums(steps):
    rates = PassRates()
    for key, row in steps:
        rates = rates.after([key], torch.tensor([row]), decay=0.7)
    found = rates.rates(list("abcd"))
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert rates.seen == pytest.approx(sum(seen for _, seen in rates.visits.values()))
    assert rates.passed == pytest.approx(sum(passed for passed, _ in rates.visits.values()))


# --- who shares a bundle ---


@given(st.integers(2, 6), st.integers(0, 30), st.integers(0, 1000))
def test_stratified_groups_take_one_prompt_from_each_stratum(bundle_size, extra, seed):
    prompts = bundle_size + extra
    order_P = order_prompts("stratified", torch.arange(prompts) / prompts, bundle_size, generator(seed))
    assert sorted(order_P.tolist()) == list(range(prompts))
    groups = compose(order_P, bundle_size)
    for number, members in enumerate(groups.members_MB.sort(1).values.tolist()):
        full, left_over = divmod(prompts, bundle_size)
        for stratum, prompt in enumerate(members):  # whichever strata are the larger ones
            assert stratum * full <= prompt < (stratum + 1) * full + left_over, (number, members)


def test_stratified_partners_are_drawn_at_random():
    orders = {
        tuple(order_prompts("stratified", torch.arange(9) / 9, 3, generator(seed)).tolist()) for seed in range(20)
    }
    assert len(orders) > 10


def test_sorted_groups_are_neighbours_in_difficulty():
    rates_P = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.8, 0.6])
    assert order_prompts("sorted", rates_P, 2, generator()).tolist() == [1, 3, 2, 5, 4, 0]


def test_equal_rates_are_in_random_order():
    orders = {tuple(order_prompts("sorted", torch.full((5,), 0.5), 2, generator(seed)).tolist()) for seed in range(20)}
    assert len(orders) > 10


# --- through the heart ---

IDS = [f"prompt {number}" for number in range(8)]


def step_of(rewards_PG, state, composition="sorted", seed=0, **options):
    config = RiskConfig.from_preset("exact", {"bundle_size": 2, "composition": composition, **options})
    return risk_advantages(rewards_PG, config, state, generator(seed), prompt_ids=IDS[: len(rewards_PG)])


def test_composition_goes_by_the_past_alone():
    """Prompts 0 and 1 were hard, 2 and 3 easy; now it is the other way round. Partners follow the past.

    Exact pairing of 0 with 1 and 2 with 3: with q = (.5, 2) and own + partner's share, a prompt's weight is the mean of
    A(s + 1) - A(s) over its partner's rewards s, slope 1.5 below .5, then 1: A(1) - A(0) = 1.25, A(2) - A(1) = 1.
    """
    past = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0], [1, 1, 1, 1]])
    now = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    before = step_of(past, RiskState()).state
    state = RiskState((0.5, 2.0), 1, before.tracked, None, before.pass_rates)
    advantages_PG = step_of(now, state).advantages_PG
    weight_P = (advantages_PG * (now - now.mean(1, keepdim=True))).sum(1) / now.var(1, correction=0) / 4 * 3 / 4
    assert weight_P.tolist() == pytest.approx([0.25 * 1.25 + 0.75, 0.25 * 1.25 + 0.75, 0.75 * 1.25 + 0.25, 1.1875])


def test_rewards_being_scored_do_not_choose_their_partners():
    state = step_of(torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 0]]), RiskState()).state
    kept = torch.tensor([[1.0, 0], [0, 1], [1, 0], [1, 0]])
    other = kept.clone()
    other[3] = torch.tensor([0.0, 0.0])
    first, second = step_of(kept, state), step_of(other, state)
    changed = (first.advantages_PG != second.advantages_PG).any(1)
    assert changed.tolist() == [True, False, False, True], "only the prompt itself and its partner"


def test_unseen_share_and_state():
    rewards_PG = torch.tensor([[0.0, 1], [1, 0], [1, 1], [0, 0]])
    first = step_of(rewards_PG, RiskState())
    second = step_of(rewards_PG, first.state)
    assert (first.metrics["risk/frac_unseen_prompts"], second.metrics["risk/frac_unseen_prompts"]) == (1.0, 0.0)
    assert RiskState.from_dict(second.state.to_dict()) == second.state


def test_leftover_prompts_and_unscorable_ones():
    rewards_PG = torch.tensor([[0.0, 1], [NAN, NAN], [1, 0], [1, 1], [0, 0], [1, 0]])
    for composition in ("sorted", "stratified"):
        step = step_of(rewards_PG, RiskState(), composition)
        assert step.advantages_PG[1].tolist() == [0.0, 0.0]
        assert set(step.state.pass_rates.visits) == {IDS[number] for number in (0, 2, 3, 4, 5)}


def test_ids_are_needed_one_a_prompt():
    config = RiskConfig.from_preset("sorted", {"bundle_size": 2})
    with pytest.raises(ConfigError, match="composition='sorted' needs `prompt_ids`"):
        risk_advantages(torch.zeros(4, 2), config, RiskState(), generator())
    with pytest.raises(ConfigError, match="3 prompt ids were given for 4 prompts"):
        risk_advantages(torch.zeros(4, 2), config, RiskState(), generator(), prompt_ids=IDS[:3])


@pytest.mark.parametrize("estimator", ["riskpo", "two_level"])
@pytest.mark.parametrize("composition", ["sorted", "stratified"])
@pytest.mark.parametrize("baseline", ["anchor", "batch", "prompt", "loo"])
@pytest.mark.parametrize("measure", ["mean", "cvar", "rvar", "mvar", "upper_tail"])
def test_every_composition_goes_with_every_measure_and_baseline(measure, baseline, composition, estimator):
    options = {"estimator": estimator, "measure": measure, "baseline": baseline, "composition": composition}
    config = RiskConfig.from_preset("paper", {**options, "bundle_size": 2})
    rewards_PG = (torch.rand(8, 4, generator=generator(2)) < 0.5).double()
    step = risk_advantages(rewards_PG, config, RiskState(), generator(), prompt_ids=IDS)
    again = risk_advantages(rewards_PG, config, step.state, generator(), prompt_ids=IDS)
    assert again.advantages_PG.isfinite().all()
    assert again.state.steps == 2
