"""The estimators users compare with, in one shape: rewards_PG in, advantages_PG out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from riskpo.risk import peers_mean, peers_passk

if TYPE_CHECKING:
    from riskpo.risk.config import RiskConfig


@dataclass(frozen=True)
class Peer:
    """An estimator without bundles, tracked quantiles or randomness.

    Args:
        advantages: (rewards_PG, config) to advantages_PG. Rewards are float64, within the declared range, NaN where
            unscorable; every prompt has at least one scorable response. Advantages are finite, 0 where the reward is
            NaN and for a prompt with too few scorable responses for the formula.
        source: the paper.
        objective: of each prompt, with n its scorable responses; what the estimator is for where it is not unbiased.
        unbiased: whether the expectation of (1/n) sum A grad log pi(y) is the gradient of `objective` (of maxrl, for
            right/wrong rewards).
        options: the options of `RiskConfig` that it reads, besides `reward_range`, `scale` and `scale_floor`.
        two_valued: whether rewards must be the two ends of the declared range.
        responses: the least number of responses per prompt, given the options.
    """

    advantages: Callable[[Tensor, RiskConfig], Tensor]
    source: str
    objective: str
    unbiased: bool
    options: frozenset[str] = frozenset()
    two_valued: bool = False
    responses: Callable[[RiskConfig], int] = lambda config: 2


_STD = frozenset({"std_eps"})
_K = frozenset({"k"})
_SPECTRUM = frozenset({"measure", "risk_low", "risk_high", "tail_weight", "spectrum_levels", "spectrum_weights"})
_REINFORCE_PP = "REINFORCE++, arXiv 2501.03262"
_SIGNED = "NSR / W-REINFORCE, arXiv 2506.01347"


def _one(config: RiskConfig) -> int:
    return 1  # without a baseline from the prompt's other responses


PEERS: dict[str, Peer] = {
    "grpo": Peer(peers_mean.grpo, "GRPO, arXiv 2402.03300", "mean reward over its deviation", False, _STD),
    "dr_grpo": Peer(peers_mean.dr_grpo, "Dr. GRPO, arXiv 2503.20783", "(n - 1)/n mean reward", True),
    "rloo": Peer(peers_mean.rloo, "RLOO, arXiv 2402.14740", "mean reward", True),
    "reinforce_pp": Peer(
        peers_mean.reinforce_pp, _REINFORCE_PP, "mean reward over the step's deviation", False, _STD, False, _one
    ),
    "reinforce_pp_baseline": Peer(
        peers_mean.reinforce_pp_baseline, _REINFORCE_PP, "mean reward over the step's deviation", False, _STD
    ),
    "gpg": Peer(peers_mean.gpg, "GPG, arXiv 2504.02546", "mean reward over the share of mixed prompts", False),
    "rs_grpo": Peer(
        peers_mean.rs_grpo,
        "RS-GRPO, arXiv 2509.24261",
        "(1/beta) log E exp(beta r)",
        False,
        frozenset({"entropic_beta"}),
    ),
    "qae": Peer(
        peers_mean.qae, "QAE, arXiv 2509.22611", "mean reward, gated by accuracy", False, _STD | {"quantile_baseline"}
    ),
    "pass_at_k": Peer(
        peers_passk.pass_at_k,
        "Pass@k training, arXiv 2508.10751",
        "pass@k over its deviation",
        False,
        _K,
        two_valued=True,
        responses=lambda config: config.k + 1,
    ),
    "pkpo": Peer(
        peers_passk.pkpo,
        "PKPO, arXiv 2505.15201",
        "E max of k rewards",
        True,
        _K,
        responses=lambda config: max(config.k, 2),
    ),
    "nsr": Peer(peers_mean.nsr, _SIGNED, "accuracy", True, two_valued=True, responses=_one),
    "psr": Peer(peers_mean.psr, _SIGNED, "accuracy", True, two_valued=True, responses=_one),
    "w_reinforce": Peer(
        peers_mean.w_reinforce,
        _SIGNED,
        "(1 + positive_weight) accuracy",
        True,
        frozenset({"positive_weight"}),
        two_valued=True,
        responses=_one,
    ),
    "maxrl": Peer(peers_mean.maxrl, "MaxRL, arXiv 2602.02710", "-sum_{j<n} (1 - p)^j / j, of log p", True),
    "order_statistic": Peer(
        peers_passk.order_statistic,
        "OrderGrad, arXiv 2606.06096",
        "the measure of k rewards' empirical law, E sum_j alpha_j R_(j:k)",
        True,
        _K | _SPECTRUM,
        responses=lambda config: config.k + 1,
    ),
}
