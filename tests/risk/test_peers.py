"""The peers against numbers worked out by hand, and what all of them must keep: NaN, order, equal rewards, ranges."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riskpo.errors import ConfigError, RewardError
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.peers import PEERS

NAN = math.nan
OF_THE_STEP = ("reinforce_pp", "reinforce_pp_baseline", "gpg")  # the others see one prompt at a time
SIGNED = ("nsr", "psr", "w_reinforce")  # no baseline


def step(name, rows, **options):
    """advantages_PG through the entry point, as lists."""
    config = RiskConfig.from_preset("paper", {"estimator": name, **options})
    rewards_PG = torch.tensor(rows, dtype=torch.float64)
    return risk_advantages(rewards_PG, config, RiskState(), torch.Generator()).advantages_PG.tolist()


def flat(rows):
    return [value for row in rows for value in row]


# --- by hand ---
# One right of four: mean 1/4, squared deviations 9/16 + 3/16 = 3/4, unbiased deviation sqrt((3/4)/3) = 1/2, which
# std_eps = 1/2 makes a divisor of 1.

ONE_OF_FOUR = [1, 0, 0, 0]
HALF = {"std_eps": 0.5}
LN2, LN5, ROOT5 = math.log(2), math.log(5), math.sqrt(5)

BY_HAND = [
    ("grpo", HALF, [ONE_OF_FOUR], [[0.75, -0.25, -0.25, -0.25]]),
    ("dr_grpo", {}, [ONE_OF_FOUR], [[0.75, -0.25, -0.25, -0.25]]),
    ("rloo", {}, [ONE_OF_FOUR], [[1, -1 / 3, -1 / 3, -1 / 3]]),  # the others' means: 0, and 1/3 for a wrong one
    # The four responses of two prompts are one batch; all prompts share its mean.
    ("reinforce_pp", HALF, [[1, 0], [0, 0]], [[0.75, -0.25], [-0.25, -0.25]]),
    ("reinforce_pp", HALF, [[1, 0, 0], [0, NAN, NAN]], [[0.75, -0.25, -0.25], [-0.25, 0, 0]]),
    # Centred: 1/2, -1/2, 0, 0: squares sum to 1/2, over 4 - 1.
    (
        "reinforce_pp_baseline",
        {"std_eps": 0.1},
        [[1, 0], [0, 0]],
        [[0.5 / (math.sqrt(1 / 6) + 0.1), -0.5 / (math.sqrt(1 / 6) + 0.1)], [0, 0]],
    ),
    # Ragged: centred 1/2, -1/2 and 1/3, 1/3, -2/3: squares sum to 1/2 + 2/3 = 7/6, over 5 - 1.
    (
        "reinforce_pp_baseline",
        {"std_eps": 1e-15},
        [[1, 0, NAN], [1, 1, 0]],
        [
            [0.5 / math.sqrt(7 / 24), -0.5 / math.sqrt(7 / 24), 0],
            [x / math.sqrt(7 / 24) for x in (1 / 3, 1 / 3, -2 / 3)],
        ],
    ),
    # One prompt of three is mixed: alpha = 3/(3 - 2). A prompt without a scorable response counts for nothing.
    ("gpg", {}, [ONE_OF_FOUR, [0] * 4, [1] * 4, [NAN] * 4], [[2.25, -0.75, -0.75, -0.75], [0] * 4, [0] * 4, [0] * 4]),
    ("gpg", {}, [[0] * 4, [1] * 4], [[0] * 4, [0] * 4]),
    # e^beta = 5: mean of 5, 1, 1, 1 is 2. e^beta = 1/2: mean of 1/2, 1, 1, 1 is 7/8.
    ("rs_grpo", {"entropic_beta": LN5}, [ONE_OF_FOUR], [[1.5 / LN5, -0.5 / LN5, -0.5 / LN5, -0.5 / LN5]]),
    ("rs_grpo", {"entropic_beta": -LN2}, [ONE_OF_FOUR], [[3 / 7 / LN2, *[-1 / 7 / LN2] * 3]]),
    ("rs_grpo", {"entropic_beta": 0.0}, [ONE_OF_FOUR], [[0.75, -0.25, -0.25, -0.25]]),
    # K = .4 of four is the second smallest: 0, then 1; deviation 1/2 both times.
    ("qae", HALF, [ONE_OF_FOUR, [1, 1, 1, 0]], [[1, 0, 0, 0], [0, 0, 0, -1]]),
    # fail = C(3,2)/C(4,2) = 1/2 = sigma; a wrong one: 1/2 - C(2,1)/C(3,1) = -1/6.
    # Two wrong: fail 1/6, sigma sqrt(5)/6; 1/6 - C(1,1)/C(3,1) = -1/6. One wrong: no subset of two fails.
    (
        "pass_at_k",
        {"k": 2},
        [ONE_OF_FOUR, [1, 1, 0, 0], [1, 1, 1, 0]],
        [[1, -1 / 3, -1 / 3, -1 / 3], [1 / ROOT5, 1 / ROOT5, -1 / ROOT5, -1 / ROOT5], [0, 0, 0, 0]],
    ),
    # k = 1: the prompt's plain deviation sqrt(p(1-p)) = sqrt(3)/4.
    ("pass_at_k", {"k": 1}, [ONE_OF_FOUR], [[math.sqrt(3), *[-1 / math.sqrt(3)] * 3]]),
    # n/C(n,2) = 4/6 times the sum of what a response is above each lower one.
    ("pkpo", {"k": 2}, [[0.2, 1, 0, 0.5], ONE_OF_FOUR], [[0.4 / 3, 4.6 / 3, 0, 1.6 / 3], [2, 0, 0, 0]]),
    ("pkpo", {"k": 1}, [ONE_OF_FOUR], [[1, -1 / 3, -1 / 3, -1 / 3]]),  # RLOO
    # n = k = 3: the best of all, over the best of the others.
    ("pkpo", {"k": 3}, [[0.25, 1, 0.75]], [[0, 0.75, 0]]),
    # CVaR at 1/2 of two: alpha = (1, 0), the lower of two. Over {0,.5}, {0,1}, {.5,1}: 1/6 on average; without the
    # first 1/2, without another 0. Three times (1/6 - v).
    ("order_statistic", {"k": 2, "measure": "cvar", "risk_low": 0.5}, [[0, 1, 0.5]], [[-1, 0.5, 0.5]]),
    ("order_statistic", {"k": 1, "measure": "mean"}, [ONE_OF_FOUR], [[1, -1 / 3, -1 / 3, -1 / 3]]),  # RLOO
    ("nsr", {}, [[1, 0, NAN]], [[0, -1, 0]]),
    ("psr", {}, [[1, 0, NAN]], [[1, 0, 0]]),
    ("w_reinforce", {"positive_weight": 0.25}, [[1, 0, NAN]], [[0.25, -1, 0]]),
    ("maxrl", {}, [ONE_OF_FOUR, [0.5, 1, 0, 0.5], [0] * 4], [[3, -1, -1, -1], [0, 1, -1, 0], [0] * 4]),
]


@pytest.mark.parametrize(("name", "options", "rows", "expected"), BY_HAND)
def test_by_hand(name, options, rows, expected):
    assert flat(step(name, rows, **options)) == pytest.approx(flat(expected), abs=1e-12)


def test_every_peer_is_worked_out_by_hand():
    assert {name for name, *_ in BY_HAND} == set(PEERS)


def test_quantile_baseline_is_no_interpolation():
    """F(0) = 3/8 < .4: b = 1, where an interpolated quantile lies at .8; F(0) = 2/5 = K: b = 0 by F(b) >= K."""
    (row,) = step("qae", [[1, 1, 1, 1, 1, 0, 0, 0]])
    assert row[:5] == [0.0] * 5
    assert max(row[5:]) < 0
    (row,) = step("qae", [[1, 1, 1, 0, 0]])
    assert row[3:] == [0.0] * 2
    assert min(row[:3]) > 0


@pytest.mark.parametrize("beta", [1e-300, 1e-12, -1e-12, 1e-6])
def test_small_beta_keeps_its_digits(beta):
    """To first order in beta: d + beta (d^2 - mean d^2)/2 with d = r - mean; what is left out is of order beta^2."""
    (row,) = step("rs_grpo", [[1.0, 0.3, 0.1, 0.0]], entropic_beta=beta)
    centred = [reward - 0.35 for reward in (1.0, 0.3, 0.1, 0.0)]
    variance = sum(d * d for d in centred) / 4
    assert row == pytest.approx([d + beta * (d * d - variance) / 2 for d in centred], abs=1e-12, rel=0)


@pytest.mark.parametrize(
    ("beta", "expected"), [(1e5, [3e-5, -1e-5, -1e-5, -1e-5]), (-1e5, [1e-5, -1e-5 / 3, -1e-5 / 3, -1e-5 / 3])]
)
def test_large_beta_does_not_overflow(beta, expected):
    """beta > 0: the best holds the whole mean, (4 - 1)/beta and -1/beta; beta < 0: the three worst do, 4/3 each."""
    assert step("rs_grpo", [ONE_OF_FOUR], entropic_beta=beta)[0] == pytest.approx(expected)


def test_large_groups_neither_overflow_nor_lose_their_sum():
    """C(2000, 700) has 560 digits. The highest response gets k (its reward - the mean best of 699 of the others)."""
    rewards = torch.rand(1, 2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    *others, highest = sorted(rewards[0])
    # Downwards, each is the best of the 699 with the chance that it is drawn and no higher one was.
    undrawn, best = 1.0, 0.0
    for left in range(1999, 698, -1):
        best += undrawn * 699 / left * others[left - 1]
        undrawn *= 1 - 699 / left
    assert undrawn == 0.0
    assert max(step("pkpo", rewards, k=700)[0]) == pytest.approx(700 * (highest - best), rel=1e-9)
    (advantages,) = step("order_statistic", rewards, k=700)
    assert sum(advantages) == pytest.approx(0.0, abs=1e-8)
    assert max(map(abs, advantages)) > 0.1


# --- unscorable responses ---


def cases(name):
    """Rows of two-valued or graded rewards with some unscorable, at least one not."""
    values = (0.0, 1.0) if PEERS[name].two_valued else (0.0, 0.1, 0.3, 0.3, 1.0)
    return st.lists(st.one_of(st.sampled_from(values), st.none()), min_size=5, max_size=9).filter(
        lambda row: any(reward is not None for reward in row)
    )


def direct(name, row, **options):
    rewards_PG = torch.tensor([[NAN if reward is None else reward for reward in row]], dtype=torch.float64)
    return PEERS[name].advantages(rewards_PG, RiskConfig(estimator=name, **options))[0].tolist()


@pytest.mark.parametrize("name", PEERS)
def test_an_unscorable_response_is_as_if_it_were_not_there(name):
    @given(cases(name))
    def check(row):
        scorable = [reward for reward in row if reward is not None]
        advantages = direct(name, row)
        assert [value for value, reward in zip(advantages, row, strict=True) if reward is None] == [0.0] * (
            len(row) - len(scorable)
        )
        kept = [value for value, reward in zip(advantages, row, strict=True) if reward is not None]
        assert kept == pytest.approx(direct(name, scorable), abs=1e-12)
        assert all(map(math.isfinite, advantages))

    check()


@pytest.mark.parametrize("name", [name for name in PEERS if name not in OF_THE_STEP])
def test_prompts_do_not_see_each_other(name):
    """Ragged: each with its own number of scorable responses, among them too few."""
    rows = [[1, 0, 0, 1, 0, 0, 1], [1, 0, NAN, NAN, NAN, NAN, NAN], [NAN, 0, 1, 0, 1, 1, 0], [NAN] * 6 + [1]]
    together = step(name, rows)
    alone = [step(name, [row])[0] for row in rows]
    assert flat(together) == pytest.approx(flat(alone), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("pass_at_k", [1, 0, 0, 0, NAN]),  # n = k
        ("pass_at_k", [1, 0, 0, NAN, NAN]),
        ("pkpo", [1, 0, 0, NAN, NAN]),  # n < k
        ("order_statistic", [1, 0, 0, 0, NAN]),  # n = k
        ("order_statistic", [1, 0, NAN, NAN, NAN]),
        *((name, [1, NAN, NAN, NAN, NAN]) for name in PEERS if name not in ("psr", "w_reinforce")),
    ],
)
def test_too_few_scorable_responses_teach_nothing(name, row):
    assert step(name, [row]) == [[0.0] * 5]


# --- order, and equal rewards ---


@pytest.mark.parametrize("name", PEERS)
def test_order_does_not_matter(name):
    source = torch.Generator().manual_seed(3)
    values = torch.tensor([0.0, 1.0] if PEERS[name].two_valued else [0.0, 0.1, 0.3, 1.0, NAN], dtype=torch.float64)
    rewards_PG = values[torch.randint(len(values), (6, 8), generator=source)]
    assert (~rewards_PG.isnan()).any(1).all()
    rows_P, columns_G = torch.randperm(6, generator=source), torch.randperm(8, generator=source)
    advantages_PG = torch.tensor(step(name, rewards_PG.tolist()))
    moved_PG = torch.tensor(step(name, rewards_PG[rows_P][:, columns_G].tolist()))
    torch.testing.assert_close(moved_PG, advantages_PG[rows_P][:, columns_G], rtol=0, atol=1e-12)
    assert advantages_PG.abs().max() > 0.1


@pytest.mark.parametrize(
    ("name", "reward"),
    [
        (name, reward)
        for name, peer in PEERS.items()
        for reward in ((0.0, 1.0) if peer.two_valued else (0.0, 0.1, 1.0))
        if name != "reinforce_pp" and name not in SIGNED
    ],
)
def test_equal_rewards_cancel_exactly(name, reward):
    """Exactly, beside a mixed prompt too: `risk/frac_zero_advantage` counts zeros, and three times .1 is not .3."""
    rows = [[reward] * 6 + [NAN], [1, 0, 1, 0, 0, 1, 0]]
    assert step(name, rows)[0] == [0.0] * 7


def test_who_moves_on_equal_rewards():
    """Whitening over the step, and no baseline at all, do: all wrong, all right, and a mixed prompt."""
    rows = [[0, 0], [1, 1], [1, 0]]
    assert step("nsr", rows) == [[-1, -1], [0, 0], [0, -1]]
    assert step("psr", rows) == [[0, 0], [1, 1], [1, 0]]
    assert step("w_reinforce", rows) == [[-1, -1], [0.1, 0.1], [0.1, -1]]
    # Six responses, half of them right: deviation sqrt(6 (1/4)/5).
    size = 0.5 / (math.sqrt(0.3) + 1e-4)
    assert flat(step("reinforce_pp", rows)) == pytest.approx([-size, -size, size, size, size, -size])
    assert step("reinforce_pp", [[1, 1], [1, 1]]) == [[0, 0], [0, 0]]


# --- other ranges ---

# What twice the range makes of the advantages, with options that are in units of reward scaled along.
DOUBLED = {
    "grpo": (1, {"std_eps": 2e-4}),
    "dr_grpo": (2, {}),
    "rloo": (2, {}),
    "reinforce_pp": (1, {"std_eps": 2e-4}),
    "reinforce_pp_baseline": (1, {"std_eps": 2e-4}),
    "gpg": (2, {}),
    "rs_grpo": (2, {"entropic_beta": 1.0}),
    "qae": (1, {"std_eps": 2e-4}),
    "pass_at_k": (1, {}),
    "pkpo": (2, {}),
    "nsr": (1, {}),
    "psr": (1, {}),
    "w_reinforce": (1, {}),
    "maxrl": (1, {}),
    "order_statistic": (2, {}),
}


@pytest.mark.parametrize("name", PEERS)
def test_rewards_of_minus_one_and_one(name):
    rows = [[1, 0, 0, 1, 0, 0, NAN], [1, 1, 1, 1, 1, 0, 1], [0] * 7, [1] * 7]
    factor, options = DOUBLED[name]
    centred = [[2 * reward - 1 for reward in row] for row in rows]
    advantages = flat(step(name, centred, reward_range=(-1.0, 1.0), **options))
    assert advantages == pytest.approx([factor * value for value in flat(step(name, rows))], abs=1e-12)


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if not peer.two_valued])
def test_graded_rewards_of_another_range(name):
    rows = [[0.25, 0, 1, 0.5, 0.5, 0.75, NAN], [1, 1, 0.25, 1, 0, 0, 0]]
    factor, options = DOUBLED[name]
    moved = [[2 * reward + 3 for reward in row] for row in rows]
    advantages = flat(step(name, moved, reward_range=(3.0, 5.0), **options))
    assert advantages == pytest.approx([factor * value for value in flat(step(name, rows))], abs=1e-12)


# --- what is allowed ---


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.two_valued])
def test_graded_rewards_are_no_right_and_wrong(name):
    with pytest.raises(RewardError, match=f"'{name}' knows right and wrong only, but a reward is 0.5"):
        step(name, [[1, 0, 0.5, 0, 0]])


@pytest.mark.parametrize(("name", "needed"), [("pass_at_k", 5), ("pkpo", 4), ("order_statistic", 5)])
def test_too_few_responses(name, needed):
    with pytest.raises(
        ConfigError, match=f"at least {needed} responses .* by estimator '{name}' with k=4, got {needed - 1}"
    ):
        step(name, [[1, *[0] * (needed - 2)]])
    step(name, [[1, *[0] * (needed - 1)]])


@pytest.mark.parametrize("name", PEERS)
def test_single_responses_are_compared_with_nobody(name):
    if name in SIGNED or name == "reinforce_pp":
        assert len(step(name, [[1.0], [0.0]])) == 2
    else:
        with pytest.raises(ConfigError, match="responses per prompt are needed"):
            step(name, [[1.0], [0.0]])


def test_misspelt_estimator():
    with pytest.raises(ConfigError, match=r"unknown `estimator` 'rlo'\. Did you mean 'rloo'\?"):
        step("rlo", [[1, 0]])


class Recorder:
    """A config that remembers what was asked of it."""

    def __init__(self, config):
        self.config, self.asked = config, set()

    def __getattr__(self, name):
        self.asked.add(name)
        return getattr(self.config, name)


@pytest.mark.parametrize("name", PEERS)
def test_options_are_what_is_read(name):
    recorder = Recorder(RiskConfig(estimator=name))
    PEERS[name].advantages(torch.tensor([[1.0, 0, 0, 0, 1, 0]], dtype=torch.float64), recorder)
    spectrum = {"measure", "risk_low", "risk_high", "tail_weight", "spectrum_levels", "spectrum_weights"}
    read = recorder.asked - {"reward_range", "reward_width", "spectrum"}
    assert read | (spectrum if "spectrum" in recorder.asked else set()) == PEERS[name].options
