"""Does every gold answer score 1 against itself, in a box and inside its worked solution?

    python experiments/verifier/golds.py --data FOLDER      # two minutes; writes results/verifier/golds.json

Every miss is listed with the verifier's reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

from sets import SETS, load, save

from riskpo.rewards.math import MathVerifier


def measure(verifier: MathVerifier, completions: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rate of full scores, and every other verdict."""
    verdicts = verifier.verify(completions, rows)
    misses = [
        {"id": row["id"], "gold": row["answer"], "answer": v.answer, "status": v.status, "reason": v.reason}
        for row, v in zip(rows, verdicts, strict=True)
        if v.score != 1.0
    ]
    rate = 1 - len(misses) / len(rows)
    return {"rows": len(rows), "rate": round(rate, 5), "misses": misses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    data = parser.parse_args().data
    results: dict[str, Any] = {}
    for name, (_, convention) in SETS.items():
        rows = load(data, name)
        boxed = [rf"\boxed{{{row['answer']}}}" for row in rows]
        results[name] = {"boxed": measure(MathVerifier("boxed", seconds=10.0), boxed, rows)}
        if convention is not None:
            verifier = MathVerifier(convention, seconds=10.0, longest_completion=100_000)
            results[name]["solution"] = measure(verifier, [row["solution"] for row in rows], rows)
        print(name, {kind: (found["rate"], len(found["misses"])) for kind, found in results[name].items()}, flush=True)
    print("wrote", save("golds", {"sets": results}, seed=0))


if __name__ == "__main__":
    main()
