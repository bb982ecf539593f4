"""Is an answer to another problem ever accepted?

    python experiments/verifier/false_accepts.py --data FOLDER [--shuffles 5] [--seed 0]
        # writes results/verifier/false_accepts.json

For each set, gold answers are paired with the gold answers of other problems, in seeded shuffles. Those that are no
plain numbers are also paired among themselves, which is where it is hard: each with each where that makes few enough
pairs, else in shuffles. Every accepted pair of differing texts is written down once. Whether it is equal is judged by
hand: `labels.json` beside the results holds, for each pair, "equal" or "not equal" and why; a pair without a label is
listed as "unlabelled" and makes this script end with status 1, as does one that is not equal.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

from sets import RESULTS, SETS, load, save

from riskpo.rewards.answers.numbers import read_number
from riskpo.rewards.math import MathVerifier

MOST_PAIRS = 40_000
LABELS = RESULTS / "labels.json"


def pairs(rows: list[dict[str, Any]], shuffles: int, source: random.Random) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows, and gold answers of other rows that are written differently."""
    hard = [row for row in rows if read_number(row["answer"]) is None]
    shuffled = [rows] * shuffles + ([hard] * (2 * shuffles) if len(hard) ** 2 > MOST_PAIRS else [])
    for pool in shuffled:
        others = list(pool)
        source.shuffle(others)
        yield from differing(zip(pool, others, strict=True))
    if len(hard) ** 2 <= MOST_PAIRS:
        yield from differing(itertools.product(hard, hard))


def differing(
    paired: Iterable[tuple[dict[str, Any], dict[str, Any]]],
) -> Iterator[tuple[dict[str, Any], str]]:
    for row, other in paired:
        if row["answer"].strip() != other["answer"].strip():
            yield row, other["answer"]


def measure(name: str, data: Path, shuffles: int, seed: int, labels: dict[str, Any]) -> dict[str, Any]:
    tried = list(pairs(load(data, name), shuffles, random.Random(f"{seed} {name}")))
    verdicts = MathVerifier("boxed", seconds=10.0).verify(
        [rf"\boxed{{{other}}}" for _, other in tried], [r for r, _ in tried]
    )
    statuses: dict[str, int] = {}
    accepted: dict[tuple[str, str], dict[str, str]] = {}
    for (row, other), verdict in zip(tried, verdicts, strict=True):
        statuses[verdict.status] = statuses.get(verdict.status, 0) + 1
        if verdict.score == 1.0:
            gold = row["answer"]
            judged = labels.get(f"{gold} || {other}") or labels.get(f"{other} || {gold}") or {"label": "unlabelled"}
            accepted[gold, other] = {"id": row["id"], "gold": gold, "answer": other, **judged}
    return {
        "pairs": len(tried),
        "statuses": statuses,
        "accepted": sorted(accepted.values(), key=lambda pair: (pair["gold"], pair["answer"])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--shuffles", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    labels = json.loads(LABELS.read_text(encoding="utf-8")) if LABELS.exists() else {}
    results = {}
    for name in SETS:
        results[name] = measure(name, options.data, options.shuffles, options.seed, labels)
        print(name, results[name]["pairs"], results[name]["statuses"], flush=True)
    found = [pair for result in results.values() for pair in result["accepted"]]
    counts = {label: sum(pair["label"] == label for pair in found) for label in ("equal", "not equal", "unlabelled")}
    content = {"shuffles": options.shuffles, "seed": options.seed, "accepted": counts, "sets": results}
    print(counts, "wrote", save("false_accepts", content, options.seed))
    sys.exit(counts["not equal"] + counts["unlabelled"] > 0)


if __name__ == "__main__":
    main()
