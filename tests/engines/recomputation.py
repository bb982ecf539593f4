"""The advantages of a step by plain loops, written from the equations and from nothing in `riskpo.risk`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch

Matrix = list[list[float]]
ALPHA, BETA, OMEGA, B, GAMMA = 0.2, 0.8, 0.5, 5, 0.02


def signal(score: float, q_low: float, q_high: float) -> float:
    """The paper's A, equation (6) of its objective."""
    return -(1 + OMEGA) * max(q_low - score, 0.0) + min(max(score, q_low), q_high) - q_high


def smallest_with(scores: list[float], level: float) -> float:
    """inf{x : F(x) >= level} of equally likely scores."""
    ordered = sorted(scores)
    return ordered[math.ceil(level * len(ordered) - 1e-9) - 1]


class Recomputation:
    """Follows a run step by step with its own generator and its own tracked quantiles.

    Args:
        preset: `paper` or `exact`.
        seed: the run's.
    """

    def __init__(self, preset: str, seed: int) -> None:
        self.exact = preset == "exact"
        self.generator = torch.Generator().manual_seed(seed)
        self.quantiles: tuple[float, float] | None = None

    def step(self, rewards: Matrix) -> Matrix:
        responses = len(rewards[0])
        order = torch.randperm(len(rewards), generator=self.generator).tolist()
        assert len(order) % B == 0, "the recomputation covers full bundles only"
        groups = [order[start : start + B] for start in range(0, len(order), B)]
        if self.exact:
            assignments = [
                [[choice[member] for member in range(B)] for choice in itertools.product(range(responses), repeat=B)]
                for _ in groups
            ]
        else:
            keys = torch.rand((1, len(groups), B, responses), generator=self.generator)[0]
            slots = keys.argsort(-1).tolist()
            assignments = [[[slots[m][i][j] for i in range(B)] for j in range(responses)] for m in range(len(groups))]
        scores = [
            [sum(rewards[prompt][row[i]] for i, prompt in enumerate(group)) for row in rows]
            for group, rows in zip(groups, assignments, strict=True)
        ]
        flat = [score for group in scores for score in group]
        first = self.quantiles is None
        if self.quantiles is None:
            self.quantiles = (smallest_with(flat, ALPHA), smallest_with(flat, BETA))
        advantages = self._advantages(groups, assignments, scores, len(rewards), responses)
        if not first:
            moved = [
                q + GAMMA * B * (level - sum(score < q for score in flat) / len(flat))
                for q, level in zip(self.quantiles, (ALPHA, BETA), strict=True)
            ]
            self.quantiles = (min(moved), max(moved))
        return advantages

    def _advantages(
        self,
        groups: list[list[int]],
        assignments: list[Matrix],
        scores: list[list[float]],
        prompts: int,
        responses: int,
    ) -> Matrix:
        assert self.quantiles is not None
        act: Callable[[float], float] = lambda score: signal(score, *self.quantiles)  # noqa: E731
        total = [[0.0] * responses for _ in range(prompts)]
        count = [[0] * responses for _ in range(prompts)]
        for group, rows, group_scores in zip(groups, assignments, scores, strict=True):
            for row, score in zip(rows, group_scores, strict=True):
                for i, prompt in enumerate(group):
                    total[prompt][int(row[i])] += act(score)
                    count[prompt][int(row[i])] += 1
        means = [[t / c for t, c in zip(ts, cs, strict=True)] for ts, cs in zip(total, count, strict=True)]
        if not self.exact:
            return means
        return [
            [value - (sum(row) - value) / (len(row) - 1) for value in row] for row in means
        ]  # minus the mean of the prompt's other responses
