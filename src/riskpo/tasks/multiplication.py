"""One-digit multiplication as raw text with four worked examples: what a 135M instruct model can almost do."""

from __future__ import annotations

import random
from typing import Any

SHOTS = "2 * 3 = 6\n5 * 5 = 25\n9 * 2 = 18\n4 * 6 = 24\n"
_SHOWN = {(2, 3), (5, 5), (2, 9), (4, 6)}
DIGITS = range(2, 10)


def rows(split: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Distinct products of two digits in 2..9: `prompt`, `answer`. A quarter of the pairs is held out for `test`.

    A pair is held out in both orders, and pairs shown in the prompt are left out: 43 training and 14 test prompts.

    Raises:
        ValueError: an unknown split, or more rows than there are products.
    """
    pairs = [(a, b) for a in DIGITS for b in DIGITS if a <= b and (a, b) not in _SHOWN]
    random.Random(0).shuffle(pairs)
    held_out = len(pairs) // 4
    splits = {"test": pairs[:held_out], "train": pairs[held_out:]}
    if split not in splits:
        raise ValueError(f"unknown split {split!r} of the multiplication task; allowed: {', '.join(splits)}.")
    products = sorted({product for a, b in splits[split] for product in ((a, b), (b, a))})
    if count > len(products):
        raise ValueError(f"the {split} split of the multiplication task has {len(products)} problems, {count} wanted.")
    random.Random(seed).shuffle(products)
    return [{"prompt": f"{SHOTS}{a} * {b} =", "answer": str(a * b)} for a, b in products[:count]]


def first_line_match(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """1.0 where the first line of the completion is the answer, else 0.0: what follows is the model's next example."""
    return [
        float((completion.strip().splitlines() or [""])[0].strip() == right)
        for completion, right in zip(completions, answer, strict=True)
    ]
