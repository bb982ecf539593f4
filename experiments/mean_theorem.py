"""What do random bundles optimise, and what bundles by difficulty? The simulation of docs/method.md.

    python experiments/mean_theorem.py    # one thread, about a minute; writes results/mean_theorem.json and the page

200 prompts, p ~ Beta(.5, 1), G = 8 responses, B = 5, composed anew in each of `STEPS` steps, quantiles tracked after
`WARM_UP` steps without measurement. The weight of a bin of difficulty is the sum over its prompts of E[A (r - p)],
divided by the sum of p (1 - p): what multiplies grad p. The cosine is between the mean gradient with respect to the
prompts' logits and that of the mean accuracy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from benchmarks.common import environment
from riskpo.risk import RiskConfig, RiskState, risk_advantages
from riskpo.risk.difficulty import PassRates

RESULT = Path(__file__).parent / "results" / "mean_theorem.json"
PROMPTS, RESPONSES, WARM_UP, STEPS, SEED = 200, 8, 200, 1500, 0
EDGES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
BINS = ("0-.05", ".05-.2", ".2-.4", ".4-.6", ".6-.8", ".8-.95", ".95-1")
ROWS: dict[str, dict[str, Any]] = {
    "random bundles, random pairing (`paper`)": {"preset": "paper"},
    "random bundles, exact pairing (`exact`)": {"preset": "exact"},
    "bundles sorted by the true p": {"preset": "sorted", "oracle": True},
    "bundles sorted by the running pass rate (`sorted`)": {"preset": "sorted"},
    "stratified bundles, running pass rate": {"preset": "sorted", "composition": "stratified"},
    "prompts themselves (`prompt-mvar`)": {"preset": "prompt-mvar"},
    "prompts themselves, risk-seeking (0, 1, 1.5)": {
        "preset": "prompt-mvar",
        "measure": "custom",
        "spectrum_levels": (0.2, 0.8),
        "spectrum_weights": (0.0, 1.0, 1.5),
    },
}


def simulate(preset: str, oracle: bool = False, **options: Any) -> dict[str, Any]:
    """Weights by difficulty and cosine of one row."""
    source = torch.Generator().manual_seed(SEED)
    p_P1 = torch.rand(PROMPTS, 1, generator=source).double().square()  # U^2 ~ Beta(.5, 1)
    config, state = RiskConfig.from_preset(preset, options), RiskState()
    ids = [str(prompt) for prompt in range(PROMPTS)]
    known = PassRates({key: (1e9 * p, 1e9) for key, p in zip(ids, p_P1.flatten().tolist(), strict=True)}, 1.0, 2.0)
    gradient_P = torch.zeros(PROMPTS, dtype=torch.float64)
    for step in range(WARM_UP + STEPS):
        rewards_PG = (torch.rand(PROMPTS, RESPONSES, generator=source) < p_P1).double()
        if oracle:
            state = RiskState(state.quantiles_L, state.steps, state.tracked, None, known)
        outcome = risk_advantages(rewards_PG, config, state, source, prompt_ids=ids)
        state = outcome.state
        if step >= WARM_UP:
            gradient_P += (outcome.advantages_PG * (rewards_PG - p_P1)).mean(1) / STEPS
    of_mean_P = (p_P1 * (1 - p_P1)).flatten()
    bins_P = torch.bucketize(p_P1.flatten(), torch.tensor(EDGES, dtype=torch.float64))
    weights = [float(gradient_P[bins_P == b].sum() / of_mean_P[bins_P == b].sum()) for b in range(len(BINS))]
    return {"weights": weights, "cosine": float(torch.cosine_similarity(gradient_P, of_mean_P, dim=0))}


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [f"| unit and composition | {' | '.join(BINS)} | cosine |", "|---|" + "---|" * (len(BINS) + 1)]
    for name, row in result["rows"].items():
        weights = " | ".join(f"{weight:.2f}" for weight in row["weights"])
        lines.append(f"| {name} | {weights} | {row['cosine']:.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    rows = {name: simulate(**row) for name, row in ROWS.items()}
    rows = {
        n: {"weights": np.round(r["weights"], 4).tolist(), "cosine": round(r["cosine"], 5)} for n, r in rows.items()
    }
    result = {
        "environment": environment(SEED),
        "prompts": PROMPTS,
        "responses": RESPONSES,
        "steps": STEPS,
        "rows": rows,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    write_block("method.md", "mean_theorem", table(result))
    print(table(result))


if __name__ == "__main__":
    main()
