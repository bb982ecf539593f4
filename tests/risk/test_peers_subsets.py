"""The peers of k responses at once against all subsets, one by one."""

import itertools
import math

import pytest
import torch

from riskpo.risk import RiskConfig
from riskpo.risk.peers import PEERS
from riskpo.risk.quantiles import ScoreLaw

SIZES = [(n, k) for n in range(2, 9) for k in range(1, n + 1)]


def advantages(name, row, **options):
    rewards_PG = torch.tensor([row], dtype=torch.float64)
    return PEERS[name].advantages(rewards_PG, RiskConfig(estimator=name, **options))[0].tolist()


def rows(n):
    """Graded rewards without and with ties, in no order."""
    source = torch.Generator().manual_seed(n)
    yield torch.rand(n, generator=source, dtype=torch.float64).tolist()
    yield (torch.randint(4, (n,), generator=source) / 4).double().tolist()


def subsets(n, k):
    return list(itertools.combinations(range(n), k))


def best_of(row, k):
    """E max of k of the row's rewards, drawn without replacement."""
    return sum(max(row[i] for i in chosen) for chosen in subsets(len(row), k)) / math.comb(len(row), k)


# --- PKPO ---


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if k >= 2])
def test_pkpo_is_its_sum_over_subsets(n, k):
    for row in rows(n):
        gained = [0.0] * n
        for chosen in subsets(n, k):
            for i in chosen:
                others = max(row[j] for j in chosen if j != i)
                gained[i] += (max(row[i], others) - others) / math.comb(n, k)
        assert advantages("pkpo", row, k=k) == pytest.approx([n * s for s in gained], abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_pkpo_with_its_baseline_put_back_is_the_papers_closed_form(k):
    """Right: k/n; wrong: (k/n) rho(n - 1, c, k - 1), the share of subsets of the others with a right one."""
    n = 7
    for right in range(n + 1):
        row = [1.0] * right + [0.0] * (n - right)
        found = advantages("pkpo", row, k=k)
        for i in range(n):
            others = [max(row[j] for j in chosen if j != i) for chosen in subsets(n, k) if i in chosen]
            without_baseline = found[i] / n + sum(others) / math.comb(n, k)
            rho = 1 - math.comb(n - 1 - right, k - 1) / math.comb(n - 1, k - 1) if right < n else 1.0
            assert without_baseline == pytest.approx(k / n if row[i] else k / n * rho, abs=1e-14)


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if k >= 2])
def test_pkpo_of_right_and_wrong(n, k):
    """A right response counts where the subset's others are all wrong: n C(n - c, k - 1)/C(n, k); a wrong one never."""
    for right in range(n + 1):
        row = [1.0] * right + [0.0] * (n - right)
        gain = n * math.comb(n - right, k - 1) / math.comb(n, k)
        assert advantages("pkpo", row, k=k) == pytest.approx([gain] * right + [0.0] * (n - right), abs=1e-13)


# --- pass@k training ---


def deviation_of_groups(row, k):
    """The standard deviation of max over all k-subsets, which is what the method normalises with."""
    rho = best_of(row, k)
    squares = [(max(row[i] for i in chosen) - rho) ** 2 for chosen in subsets(len(row), k)]
    return math.sqrt(sum(squares) / len(squares))


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if k < n])
def test_pass_at_k_averages_the_groups_advantages(n, k):
    """A response's advantage is the mean, over the groups of k with it, of (the group's reward - mean)/deviation."""
    for right in range(n + 1):
        row = [1.0] * right + [0.0] * (n - right)
        found = advantages("pass_at_k", row, k=k)
        rho, sigma = best_of(row, k), deviation_of_groups(row, k)
        if sigma == 0.0:
            assert found == [0.0] * n
            continue
        for i in range(n):
            groups = [chosen for chosen in subsets(n, k) if i in chosen]
            mean = sum(max(row[j] for j in chosen) for chosen in groups) / len(groups)
            assert found[i] == pytest.approx((mean - rho) / sigma, abs=1e-12)


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if k < n])
def test_numerators_of_pass_at_k(n, k):
    """They sum to 0 and are (n/k)(s_i - (k/n) rho), s_i PKPO's form without a baseline, rho the estimate of pass@k."""
    for right in range(1, n - k + 1):
        row = [1.0] * right + [0.0] * (n - right)
        rho = best_of(row, k)
        numerators = [value * deviation_of_groups(row, k) for value in advantages("pass_at_k", row, k=k)]
        assert sum(numerators) == pytest.approx(0.0, abs=1e-13)
        for i, numerator in enumerate(numerators):
            s = sum(max(row[j] for j in chosen) for chosen in subsets(n, k) if i in chosen) / math.comb(n, k)
            assert numerator == pytest.approx(n / k * (s - k / n * rho), abs=1e-13)


# --- OrderGrad ---

MEASURES = [
    {"measure": "mean"},
    {"measure": "cvar", "risk_low": 0.3},
    {"measure": "mvar"},
    {"measure": "upper_tail", "risk_low": 0.4, "risk_high": 0.7, "tail_weight": 2.0},
    {"measure": "custom", "spectrum_levels": (0.1, 0.5, 0.55), "spectrum_weights": (0.5, 0.0, 3.0, 1.0)},
]


def statistic(config, values):
    """sum_j alpha_j R_(j:K): the measure of the empirical law of K values, by its definition."""
    return config.spectrum.value(ScoreLaw.of_samples(torch.tensor(values, dtype=torch.float64)))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in SIZES if k < n])
def test_order_statistic_is_its_sum_over_subsets(n, k, measure):
    """K (mean over the K-subsets with the response - mean over those without)."""
    config = RiskConfig(estimator="order_statistic", k=k, **measure)
    for row in rows(n):
        found = advantages("order_statistic", row, k=k, **measure)
        values = {chosen: statistic(config, [row[i] for i in chosen]) for chosen in subsets(n, k)}
        for i in range(n):
            inside = [value for chosen, value in values.items() if i in chosen]
            outside = [value for chosen, value in values.items() if i not in chosen]
            expected = k * (sum(inside) / len(inside) - sum(outside) / len(outside))
            assert found[i] == pytest.approx(expected, abs=1e-11)


def test_coefficients_of_mvar_by_hand():
    """Quarters of (0, 1) under 1.5 up to .2, 1 up to .8, then 0: .3 + .05, .25, .25, .05.

    Of five rewards 0 .. 0 1, four others: a subset without the 1 is worth 0, one with it alpha_4 = .05, all four of
    which hold it. k (q - v): 4 (.05 - 0) for the 1; a 0: q = 3/4 of .05 (the chance that the 1 is among the other three
    of four), v = .05.
    """
    found = advantages("order_statistic", [0.0, 0.0, 0.0, 0.0, 1.0], k=4)
    assert found == pytest.approx([4 * (0.75 * 0.05 - 0.05)] * 4 + [4 * 0.05], abs=1e-12)
    # Mirrored, 1 1 1 1 0: a subset with the 0 is worth .25 + .25 + .05 = .55, one without it .9.
    found = advantages("order_statistic", [1.0, 1.0, 1.0, 1.0, 0.0], k=4)
    assert found == pytest.approx([4 * (0.25 * 0.9 + 0.75 * 0.55 - 0.55)] * 4 + [4 * (0.55 - 0.9)], abs=1e-12)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (8, 3)])
def test_best_of_k_by_either_peer_differs_in_the_baseline_alone(n, k):
    """OrderGrad with all weight on the best, and PKPO: given the others' rewards, what one's own reward changes is the
    same, k times the mean best of the subsets with oneself."""
    top = {"measure": "custom", "spectrum_levels": ((k - 1) / k,), "spectrum_weights": (0.0, float(k)), "k": k}
    for row in rows(n):
        higher = [1.0, *row[1:]]
        lower = [0.3, *row[1:]]
        one = advantages("order_statistic", higher, **top)[0] - advantages("order_statistic", lower, **top)[0]
        other = advantages("pkpo", higher, k=k)[0] - advantages("pkpo", lower, k=k)[0]
        assert one == pytest.approx(other, abs=1e-11)
