"""One-digit multiplication as raw text with four worked examples: what a 135M instruct model can almost do."""

from __future__ import annotations

import random
from typing import Any

SHOTS = "2*3=6\n5*5=25\n9*2=18\n4*6=24\n"
_SHOWN = {(2, 3), (5, 5), (9, 2), (4, 6)}
SMALLEST, LARGEST = 2, 9


def rows(split: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Distinct products of two digits in 2..9: `prompt`, `answer`. A quarter of the facts is held out for `test`.

    Raises:
        ValueError: an unknown split, or more rows than there are facts.
    """
    facts = [(a, b) for a in range(SMALLEST, LARGEST + 1) for b in range(SMALLEST, LARGEST + 1) if (a, b) not in _SHOWN]
    random.Random(0).shuffle(facts)
    held_out = len(facts) // 4
    splits = {"test": facts[:held_out], "train": facts[held_out:]}
    if split not in splits:
        raise ValueError(f"unknown split {split!r} of the multiplication task; allowed: {', '.join(splits)}.")
    chosen = splits[split]
    if count > len(chosen):
        raise ValueError(f"the {split} split of the multiplication task has {len(chosen)} problems, {count} wanted.")
    random.Random(seed).shuffle(chosen)
    return [{"prompt": f"{SHOTS}{a}*{b}=", "answer": str(a * b)} for a, b in chosen[:count]]


def first_line_match(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """1.0 where the first line of the completion is the answer, else 0.0: what follows is the model's next example."""
    return [
        float((completion.strip().splitlines() or [""])[0].strip() == right)
        for completion, right in zip(completions, answer, strict=True)
    ]
