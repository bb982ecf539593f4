"""Simulated rollouts of a tabular policy, to try the instruments on."""

from __future__ import annotations

import torch

from riskpo.risk.audit import LoggedStep


def simulated_steps(
    seed: int, *, steps: int = 6, prompts: int = 40, responses: int = 8, answers: int = 10
) -> list[LoggedStep]:
    """Steps in which the same prompts are asked each time.

    Prompt p has `answers` possible answers, of which the first is right; its chance is p ~ Beta(1/2, 1), the others
    share the rest in proportions drawn from Dirichlet(1, .., 1). Responses are drawn independently; the policy does not
    learn.

    Args:
        seed: of everything random.
        steps, prompts, responses: of the log.
        answers: per prompt, at least 2.
    """
    generator = torch.Generator().manual_seed(seed)
    rates_P1 = torch.rand(prompts, 1, generator=generator, dtype=torch.float64).square()  # U^2 ~ Beta(1/2, 1)
    shares_PA = -torch.rand(prompts, answers - 1, generator=generator, dtype=torch.float64).log()
    probs_PA = torch.cat([rates_P1, (1.0 - rates_P1) * shares_PA / shares_PA.sum(1, keepdim=True)], dim=1)
    names = tuple(f"prompt-{number:02d}" for number in range(prompts))
    logged = []
    for step in range(1, steps + 1):
        answers_PG = torch.multinomial(probs_PA, responses, replacement=True, generator=generator)
        logps_PG = probs_PA.gather(1, answers_PG).log()
        logged.append(LoggedStep((answers_PG == 0).double(), names, logps_PG, step))
    return logged
