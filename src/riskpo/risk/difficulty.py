"""The running pass rate of each prompt, kept across steps and epochs: which prompts are hard, by the past alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# A prompt's own visits outweigh the prior as soon as they hold more than this many responses.
PRIOR_RESPONSES = 1.0


@dataclass(frozen=True)
class PassRates:
    """What earlier visits say about each prompt's pass rate (derived here; the paper composes bundles at random).

    A visit with n scorable responses and mean normalised reward m, in [0, 1], leaves

        passed <- decay * passed + n m,    seen <- decay * seen + n,

    and a prompt's rate is (passed + prior * w) / (seen + w), w = 1 response. The prior is the rate over all prompts
    seen so far, 1/2 before any. A composition that uses these rates is independent of the rewards being scored: an
    estimator that ranked prompts by those would be biased.

    Args:
        visits: prompt id to (passed, seen).
        passed, seen: the sums over all prompts.
    """

    visits: dict[str, tuple[float, float]] = field(default_factory=dict)
    passed: float = 0.0
    seen: float = 0.0

    def rates(self, prompt_ids: Sequence[str]) -> Tensor:
        """rates_P, float64 in [0, 1]."""
        prior = self.passed / self.seen if self.seen > 0.0 else 0.5
        found = torch.tensor([self.visits.get(key, (0.0, 0.0)) for key in prompt_ids], dtype=torch.float64)
        passed_P, seen_P = found.unbind(1)
        return (passed_P + prior * PRIOR_RESPONSES) / (seen_P + PRIOR_RESPONSES)

    def unseen(self, prompt_ids: Sequence[str]) -> float:
        """Share of the prompts that no earlier step has visited."""
        return sum(key not in self.visits for key in prompt_ids) / len(prompt_ids)

    def after(self, prompt_ids: Sequence[str], shares_PG: Tensor, decay: float) -> PassRates:
        """The rates after one more step; `self` stays as it is.

        Args:
            prompt_ids: one a prompt; a prompt that stands in a step twice is visited twice.
            shares_PG: rewards, normalised to [0, 1]; NaN = unscorable. A prompt without a scorable response is not
                visited.
            decay: in [0, 1].
        """
        visits, passed, seen = dict(self.visits), self.passed, self.seen
        counts = (~shares_PG.isnan()).sum(1).tolist()
        for key, total, count in zip(prompt_ids, shares_PG.nansum(1).tolist(), counts, strict=True):
            if not count:
                continue
            before = visits.get(key, (0.0, 0.0))
            visits[key] = (decay * before[0] + total, decay * before[1] + count)
            passed += visits[key][0] - before[0]
            seen += visits[key][1] - before[1]
        return PassRates(visits, passed, seen)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"visits": {key: list(value) for key, value in self.visits.items()}, "sums": [self.passed, self.seen]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PassRates:
        """The inverse of `to_dict`."""
        visits = {key: (float(passed), float(seen)) for key, (passed, seen) in values["visits"].items()}
        return cls(visits, *map(float, values["sums"]))


def order_prompts(composition: str, rates_P: Tensor, bundle_size: int, generator: torch.Generator) -> Tensor:
    """order_P whose consecutive groups of B are `sorted` or `stratified` by rate; equal rates in random order.

    `sorted`: neighbours in difficulty share a group. `stratified`: the sorted prompts are cut into B strata of (nearly)
    one size, and each group takes one prompt from each, at random. Where P is no multiple of B, the last group borrows
    from the one before it (`compose`); the order puts prompts of the missing strata there.
    """
    shuffled_P = torch.randperm(len(rates_P), generator=generator)
    ranked_P = shuffled_P[rates_P[shuffled_P].argsort(stable=True)]
    if composition == "sorted":
        return ranked_P
    groups, left_over = divmod(len(ranked_P), bundle_size)
    # Which strata are the larger ones is drawn: otherwise the leftover prompts would always be the hardest.
    larger = torch.randperm(bundle_size, generator=generator)[:left_over].tolist()
    sizes = [groups + (stratum in larger) for stratum in range(bundle_size)]
    strata = [part[torch.randperm(len(part), generator=generator)] for part in torch.split(ranked_P, sizes)]
    # Within a group, prompts of the larger strata come first: what stands right before the leftovers are the others.
    strata = [strata[s] for s in larger] + [strata[s] for s in range(bundle_size) if s not in larger]
    full_MB = torch.stack([stratum[:groups] for stratum in strata], dim=1)
    return torch.cat([full_MB.flatten(), *(stratum[groups:] for stratum in strata[:left_over])])
