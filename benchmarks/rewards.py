"""How many verdicts on mathematical answers a second, beside Math-Verify called plainly?

    python benchmarks/rewards.py --data FOLDER      # two minutes; writes results/rewards.json

Two loads, all in this process and in turns, wall clock: the gold answers of GSM8K's test set in boxes, half of them
with the gold of the next problem, which the fast path decides; and the gold answers of MATH500 that it does not decide,
in another form of the same value, which two workers compare. That form is another one in each repetition, so that no
answer has been read before. Beside each, the plain loop on the same texts: `verify(parse(f"${gold}$"),
parse(completion))`. The workers are warm and have checked the golds, as in training; what the first batch costs stands
apart.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any

from common import environment, write
from math_verify import parse, verify

from riskpo.rewards import math as verifier_module
from riskpo.rewards.answers.equality import words
from riskpo.rewards.answers.numbers import compare
from riskpo.rewards.answers.structure import Leaf, read
from riskpo.rewards.math import MathVerifier

REPETITIONS = 5
Pairs = list[tuple[str, str]]  # gold, completion


def load(path: Path) -> list[str]:
    return [json.loads(line)["answer"] for line in path.read_text(encoding="utf-8").splitlines() if line]


def numbers(data: Path) -> Pairs:
    golds = load(data / "gsm8k_test.jsonl")
    return [(gold, rf"\boxed{{{golds[place - place % 2]}}}") for place, gold in enumerate(golds)]


def formulas(data: Path) -> list[Pairs]:
    """A list for each repetition: single formulas k times a k-th, everything else with other blanks."""
    golds = [gold for gold in load(data / "math500.jsonl") if compare(gold, gold) != "equal"]
    return [[(gold, rf"\boxed{{{rewritten(gold, k)}}}") for gold in golds] for k in range(3, 4 + REPETITIONS)]


def rewritten(gold: str, k: int) -> str:
    node = read(gold)
    single = isinstance(node, Leaf) and words(node.text) is None and "\\text" not in gold and "\\begin" not in gold
    return rf"{k} \cdot \frac{{{gold}}}{{{k}}}" if single else gold.replace(",", ", " + " " * k)


def plain_loop(pairs: Pairs) -> int:
    return sum(verify(parse(f"${gold}$"), parse(completion)) for gold, completion in pairs)


def ours(verifier: MathVerifier, pairs: Pairs) -> int:
    verdicts = verifier.verify([completion for _, completion in pairs], [{"answer": gold} for gold, _ in pairs])
    return sum(verdict.score == 1.0 for verdict in verdicts)


def compared(loads: list[Pairs], verifier: MathVerifier) -> dict[str, Any]:
    """Wall clock, in turns: what counts is the time until the verdicts are there, whoever's processor made them."""
    verifier_module._KNOWN = verifier_module._Memory()
    start = time.perf_counter()
    ours(verifier, loads[0])
    first = time.perf_counter() - start
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    accepted = {"ours": 0, "plain": 0}
    for pairs in loads[1:]:
        for name, candidate in (("ours", lambda p: ours(verifier, p)), ("plain", plain_loop)):
            start = time.perf_counter()
            accepted[name] = candidate(pairs)
            seconds[name].append(time.perf_counter() - start)
    count, ratios = len(loads[0]), [plain / own for own, plain in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {
        "pairs": count,
        "accepted": accepted,
        "verdicts_per_second": {name: round(count / statistics.median(s), 1) for name, s in seconds.items()},
        "times_as_fast": {
            "median": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "most": round(max(ratios), 2),
        },
        "first_batch_s": round(first, 3),
        "repetitions": len(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    data = parser.parse_args().data
    logging.disable(logging.ERROR)
    verifier = MathVerifier("boxed", workers=2)
    ours(verifier, [(r"\sqrt{2}", r"\boxed{2^{1/2}}")] * 4)  # the workers are up
    results = {
        "fast path, GSM8K golds": compared([numbers(data)] * (1 + REPETITIONS), verifier),
        "two workers, MATH500 golds that are no plain numbers": compared(formulas(data), verifier),
    }
    for name, result in results.items():
        print(name, json.dumps(result))
    print("wrote", write("rewards", {"results": results, "environment": environment(seed=0)}))


if __name__ == "__main__":
    main()
