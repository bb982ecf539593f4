"""The `risk/...` metrics of a step: what the risk measure sees, and how much of the step carries a signal."""

from __future__ import annotations

import torch
from torch import Tensor

from riskpo.risk.config import RiskConfig
from riskpo.risk.per_prompt import uniform
from riskpo.risk.quantiles import ScoreLaw

Metrics = dict[str, float]


def risk_metrics(
    rewards_PG: Tensor, advantages_PG: Tensor, law: ScoreLaw | None, quantiles_L: Tensor | None, config: RiskConfig
) -> Metrics:
    """Metrics of one step, each explained with its formula in docs/method.md.

    Args:
        rewards_PG: NaN = unscorable.
        advantages_PG: as returned to the engine.
        law: the law of the step's bundle scores; None for a step without bundles, whose score metrics are left out.
        quantiles_L: the quantiles that the step used; None as above.
        config: the options.
    """
    metrics = _share_metrics(rewards_PG, advantages_PG, config)
    if law is not None and quantiles_L is not None:
        metrics |= _score_metrics(law, config)
        metrics |= {f"risk/{name}": q for name, q in zip(_quantile_names(config), quantiles_L.tolist(), strict=True)}
    return metrics


def _score_metrics(law: ScoreLaw, config: RiskConfig) -> Metrics:
    low, high = config.risk_low, config.risk_high
    tail, window = law.lower_integral(torch.tensor((0.0, low, high), dtype=torch.float64)).diff().tolist()
    return {
        "risk/objective": config.spectrum.value(law),
        "risk/mvar": (1.0 + config.tail_weight) * tail + window,
        "risk/cvar_low": tail / low,
        "risk/rvar_mid": window / (high - low),
        "risk/score_mean": law.mean(),
        "risk/score_std": law.std(),
    }


def _quantile_names(config: RiskConfig) -> list[str]:
    if config.measure == "custom":
        return [f"q_{number}" for number in range(1, len(config.spectrum.levels) + 1)]
    return ["q_low", "q_high"][: len(config.spectrum.levels)]


def _share_metrics(rewards_PG: Tensor, advantages_PG: Tensor, config: RiskConfig) -> Metrics:
    unscorable_PG = rewards_PG.isnan()
    zero_PG = (advantages_PG == 0.0) & ~unscorable_PG
    scorable = max(int((~unscorable_PG).sum()), 1)
    # A prompt is uniform when its scorable responses all score the same; one without any is not counted.
    highest_P = rewards_PG.nan_to_num(nan=-float("inf")).amax(1)
    lowest_P = rewards_PG.nan_to_num(nan=float("inf")).amin(1)
    uniform_P = uniform(rewards_PG)
    slack = 1e-6 * config.reward_width
    size_P = advantages_PG.abs().sum(1)
    total = float(size_P.sum())
    prompts = len(rewards_PG)
    return {
        "risk/frac_zero_advantage": int(zero_PG.sum()) / scorable,
        "risk/frac_uniform_prompts_all_wrong": int((uniform_P & (highest_P <= config.reward_range[0] + slack)).sum())
        / prompts,
        "risk/frac_uniform_prompts_all_right": int((uniform_P & (lowest_P >= config.reward_range[1] - slack)).sum())
        / prompts,
        "risk/advantage_on_uniform_prompts": float(size_P[uniform_P].sum()) / total if total else 0.0,
        "risk/frac_unscorable": int(unscorable_PG.sum()) / unscorable_PG.numel(),
    }
