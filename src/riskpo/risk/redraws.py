"""Redraws of logged steps: what the rewards could have been, at expected rewards that are known.

Axes: P prompts, G responses, A atoms of a prompt's law of rewards, D draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Rewards of more values than these are redrawn from the prompt's own ones and so many quantiles of all.
MOST_LEVELS = 32
# Where prompts differ less than their sampling noise shows, they are taken to be as alike as so many responses say.
MOST_CONCENTRATED = 1000.0


@dataclass(frozen=True)
class Population:
    """Prompts with known laws of their rewards.

    Args:
        values_PA: rewards that a prompt can get.
        probs_PA: how likely each is; rows sum to 1.
        missing_PG: which responses of a step cannot be scored; the same ones in every draw.
    """

    values_PA: Tensor
    probs_PA: Tensor
    missing_PG: Tensor

    @classmethod
    def of_pass_rates(cls, rates_P: Tensor, responses: int) -> Population:
        """0/1 rewards at given pass rates, all scorable."""
        rates_P = rates_P.double()
        values_PA = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(len(rates_P), 2)
        missing_PG = torch.zeros(len(rates_P), responses, dtype=torch.bool)
        return cls(values_PA, torch.stack([1.0 - rates_P, rates_P], dim=1), missing_PG)

    @property
    def means_P(self) -> Tensor:
        """The expected reward of each prompt."""
        return (self.values_PA * self.probs_PA).sum(1)

    @property
    def variances_P(self) -> Tensor:
        """The variance of each prompt's reward: its gradient of the expected reward with respect to the logit."""
        variances_P: Tensor = (self.probs_PA * (self.values_PA - self.means_P[:, None]).square()).sum(1)
        return variances_P

    def draw(self, draws: int, generator: torch.Generator) -> Tensor:
        """rewards_DPG, independent given the laws; NaN where missing."""
        prompts, responses = self.missing_PG.shape
        index_PN = torch.multinomial(self.probs_PA, draws * responses, replacement=True, generator=generator)
        rewards_DPG = self.values_PA.gather(1, index_PN).view(prompts, draws, responses).transpose(0, 1)
        return rewards_DPG.masked_fill(self.missing_PG, torch.nan)


@dataclass(frozen=True)
class Pool:
    r"""What all logged responses say about the law of a prompt's rewards: the prior of a redraw (derived here).

    A prompt's law is Dirichlet(concentration * probs + its own counts). For 0/1 rewards: the pass rate of a prompt with
    c right of n is Beta(a + c, b + n - c), a / (a + b) the mean rate of all prompts. The plug-in c / n would put
    prompts that scored all the same exactly at 0 and 1, where there is no gradient to weigh and no noise to see, and
    would leave the bins below 1/G and above 1 - 1/G empty. The concentration follows from moments: for a Dirichlet with
    concentration s, the expected variance within a prompt is s times the variance between prompts.

    Args:
        values_A: the rewards, increasing.
        probs_A: their shares.
        concentration: s, in units of responses, > 0.
    """

    values_A: Tensor
    probs_A: Tensor
    concentration: float

    @classmethod
    def of(cls, steps: Sequence[Tensor], reward_range: tuple[float, float]) -> Pool:
        """The pool of the rewards_PG of several steps (NaN = unscorable), within the range.

        Half a response at either end of the range, and one more prompt that is like all of them, keep shares and
        concentration off 0 where all responses were wrong or no prompt was mixed.
        """
        rewards_N = torch.cat([rewards_PG[~rewards_PG.isnan()] for rewards_PG in steps]).double()
        ends = torch.tensor(reward_range, dtype=torch.float64)
        values_A, which_N = torch.unique(torch.cat([rewards_N, ends]), return_inverse=True)
        weight_N = torch.cat([torch.ones_like(rewards_N), torch.full_like(ends, 0.5)])
        probs_A = torch.zeros_like(values_A).index_add_(0, which_N, weight_N) / weight_N.sum()
        mean = (values_A * probs_A).sum()
        total = float((probs_A * (values_A - mean).square()).sum())

        squares, freedom, prompts = 0.0, 0, 0
        for rewards_PG in steps:
            count_P = (~rewards_PG.isnan()).sum(1)
            apart_PG = rewards_PG - rewards_PG.nanmean(1, keepdim=True)
            squares += float(apart_PG.square().nansum())
            freedom += int((count_P - 1).clamp(min=0).sum())
            prompts += int((count_P > 1).sum())
        within = (prompts * squares / max(freedom, 1) + total) / (prompts + 1)
        between = total - within
        concentration = within / between if between * MOST_CONCENTRATED > within else MOST_CONCENTRATED
        return cls(values_A, probs_A, concentration)

    def population(self, rewards_PG: Tensor, seed: int) -> Population:
        """Prompts with laws drawn anew, given their logged rewards."""
        values_PA, shapes_PA = self._posterior(rewards_PG.double())
        with torch.random.fork_rng(devices=[]):  # torch's distributions take no generator
            torch.manual_seed(seed)
            probs_PA = torch.distributions.Dirichlet(shapes_PA).sample()
        return Population(values_PA, probs_PA, rewards_PG.isnan())

    def _posterior(self, rewards_PG: Tensor) -> tuple[Tensor, Tensor]:
        prior_A = self.concentration * self.probs_A
        if len(self.values_A) <= MOST_LEVELS:
            index_PG = torch.searchsorted(self.values_A, rewards_PG.nan_to_num(nan=float(self.values_A[0])))
            scorable_PG = (~rewards_PG.isnan()).double()
            counts_PA = scorable_PG.new_zeros(len(rewards_PG), len(self.values_A)).scatter_add_(
                1, index_PG, scorable_PG
            )
            return self.values_A.expand(counts_PA.shape), counts_PA + prior_A
        cells = torch.searchsorted(
            self.probs_A.cumsum(0), (torch.arange(MOST_LEVELS, dtype=torch.float64) + 0.5) / MOST_LEVELS
        )
        shared_PA = self.values_A[cells.clamp(max=len(self.values_A) - 1)].expand(len(rewards_PG), MOST_LEVELS)
        own_PG = rewards_PG.nan_to_num(nan=float(self.values_A[0]))
        # An unscorable response is no atom; Dirichlet allows no weight of exactly 0.
        weights_PG = torch.ones_like(own_PG).masked_fill(rewards_PG.isnan(), 1e-12)
        shapes_PA = torch.full_like(shared_PA, self.concentration / MOST_LEVELS)
        return torch.cat([own_PG, shared_PA], 1), torch.cat([weights_PG, shapes_PA], 1)
