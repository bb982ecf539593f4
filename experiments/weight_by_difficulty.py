"""What every estimator multiplies the gradient of a prompt's pass rate with, by that pass rate: p ~ U(0, 1), known.

    python experiments/weight_by_difficulty.py            two minutes in one thread; writes the JSON, prints the table
    python experiments/weight_by_difficulty.py --show     prints the table of the committed JSON

Weight = sum of E[A (r - p)] over sum of p (1 - p), per bin of p. Each of 48 populations has 400 prompts x 10 responses
(5 where a row says so: the released easy setting), 16 draws, bundles of 5. State: quantiles from one step that is not
weighed, pass rates (for `sorted`) from 8 earlier responses.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from benchmarks.common import environment
from riskpo.risk.advantages import risk_advantages
from riskpo.risk.audit import BIN_EDGES, redrawn_gradients
from riskpo.risk.config import RiskConfig
from riskpo.risk.diagnostics import sums_by_bin
from riskpo.risk.difficulty import PassRates
from riskpo.risk.measured import ratio_of_sums
from riskpo.risk.named import default_names, resolve
from riskpo.risk.redraws import Population
from riskpo.risk.state import RiskState

RESULT = Path(__file__).parent / "results" / "weight_by_difficulty.json"
PROMPTS, RESPONSES, PAST, POPULATIONS, DRAWS = 400, 10, 8, 48, 16

# An earlier, independent simulation of the same setting, to two decimals.
EARLIER = {
    "rloo": (0.98, 1.00, 1.00, 1.00, 1.00, 1.00, 1.02),
    "grpo": (2.67, 2.28, 1.92, 1.80, 1.92, 2.27, 2.68),
    "rs_grpo": (1.60, 1.32, 0.97, 0.73, 0.57, 0.49, 0.42),
    "qae": (2.91, 2.47, 2.03, 1.66, 1.61, 2.29, 2.93),
    "released-hard": (0.90, 0.97, 0.93, 0.86, 0.85, 0.94, 1.19),
    "released-easy, G=5": (0.58, 0.88, 1.26, 1.53, 2.03, 2.75, 3.32),
    "released-risk-seeking, G=5": (2.26, 2.28, 1.83, 1.51, 1.38, 1.38, 1.35),
    "sorted, known p": (1.32, 1.27, 1.11, 0.98, 0.77, 0.44, 0.10),
    "sorted": (1.22, 1.21, 1.08, 0.94, 0.77, 0.58, 0.43),
    "prompt-mvar": (1.46, 1.31, 1.10, 0.99, 0.80, 0.36, 0.04),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """An estimator, how far the training is, how many responses a prompt has now and had before."""

    config: RiskConfig
    progress: float = 0.0
    past: int = PAST
    responses: int = RESPONSES


def rows() -> dict[str, Row]:
    """Every preset and peer; both ends of a schedule; `sorted` also with pass rates as good as known."""
    found: dict[str, Row] = {}
    for name, config in resolve(default_names()).items():
        ends = {f"{name}, start": 0.0, f"{name}, end": 1.0} if config.schedule else {name: 0.0}
        found |= {label: Row(config, progress) for label, progress in ends.items()}
        if name == "sorted":
            found["sorted, known p"] = Row(config, past=100_000)
        if name in ("released-easy", "released-risk-seeking"):
            found[f"{name}, G=5"] = Row(config, responses=5)
    return found


def measure(seed: int) -> dict[str, dict[str, list[float]]]:
    """Weights and their standard errors over populations."""
    named, bins = rows(), len(BIN_EDGES) - 1
    above = {name: torch.zeros(POPULATIONS, bins, dtype=torch.float64) for name in named}
    below_Nb = torch.zeros(POPULATIONS, bins, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    ids = [str(number) for number in range(PROMPTS)]
    for n in range(POPULATIONS):
        rates_P = torch.rand(PROMPTS, generator=generator, dtype=torch.float64)
        population = Population.of_pass_rates(rates_P, RESPONSES)
        below_Nb[n] = sums_by_bin(population.variances_P, rates_P, BIN_EDGES)
        rewards_DPG = population.draw(DRAWS, generator)
        warm_PG = population.draw(1, generator)[0]
        past = {past: passed_share(rates_P, past, generator) for past in {row.past for row in named.values()}}
        for name, row in named.items():
            visits = PassRates().after(ids, past[row.past], 1.0)
            before = RiskState(pass_rates=visits)
            first_PG, draws_DPG = warm_PG[:, : row.responses], rewards_DPG[:, :, : row.responses]
            warm = risk_advantages(first_PG, row.config, before, generator, prompt_ids=ids, progress=row.progress)
            state = dataclasses.replace(warm.state, pass_rates=visits)
            gradients_DP = redrawn_gradients(draws_DPG, population, row.config, state, ids, row.progress, n)
            above[name][n] = sums_by_bin(gradients_DP.mean(0), rates_P, BIN_EDGES)
    weights = {name: [ratio_of_sums(sums[:, b], below_Nb[:, b]) for b in range(bins)] for name, sums in above.items()}
    return {
        name: {"weight": [round(w.value, 4) for w in row], "error": [round(w.error, 4) for w in row]}
        for name, row in weights.items()
    }


def passed_share(rates_P: torch.Tensor, past: int, generator: torch.Generator) -> torch.Tensor:
    """Past responses as a [prompts, 8] matrix of shares: 8 responses, or shares as near to the rates as can be."""
    if past == PAST:
        return Population.of_pass_rates(rates_P, PAST).draw(1, generator)[0]
    return (rates_P * past).round()[:, None].expand(-1, PAST) / past


def table(content: dict[str, Any]) -> str:
    """The table of docs/method.md."""
    bins = [f"{BIN_EDGES[b]:g}-{BIN_EDGES[b + 1]:g}" for b in range(len(BIN_EDGES) - 1)]
    lines = [f"| estimator | {' | '.join(bins)} |", "|---" * (len(bins) + 1) + "|"]
    for name, row in content["weights"].items():
        lines.append(f"| {name} | {' | '.join(f'{weight:.2f}' for weight in row['weight'])} |")
    return "\n".join(lines) + "\n"


def markdown(content: dict[str, Any]) -> str:
    """The table, and the earlier simulation beside it."""
    result, lines = content["weights"], table(content).splitlines()
    lines += [
        "",
        "Against an earlier simulation (weight here / there; in bold where off by more than a tenth and .05):",
        "",
    ]
    lines += [lines[0], lines[1]]
    for name, there in EARLIER.items():
        if name in result:
            pairs = zip(result[name]["weight"], there, strict=True)
            lines.append(f"| {name} | {' | '.join(_beside(here, then) for here, then in pairs)} |")
    return "\n".join(lines)


def _beside(here: float, there: float) -> str:
    text = f"{here:.2f} / {there:.2f}"
    return f"**{text}**" if abs(here - there) > max(0.1 * abs(there), 0.05) else text


def main() -> None:
    """Measures, writes, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the committed result")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.show:
        start = time.monotonic()
        weights = measure(options.seed)
        content = {
            "environment": environment(options.seed),
            "setting": {
                "pass_rates": "uniform on (0, 1)",
                "prompts": PROMPTS,
                "responses": RESPONSES,
                "past_responses": PAST,
                "populations": POPULATIONS,
                "draws": DRAWS,
            },
            "bins": list(BIN_EDGES),
            "weights": weights,
            "earlier": EARLIER,
            "seconds": round(time.monotonic() - start, 1),
        }
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    content = json.loads(RESULT.read_text(encoding="utf-8"))
    write_block("method.md", "weight_by_difficulty", table(content))
    print(markdown(content))


if __name__ == "__main__":
    main()
