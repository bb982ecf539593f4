"""Chain arithmetic, the built-in task: `4*7*2-5=` -> `861.`, all partial results modulo 10, from left to right.

The reward is 1 only if the whole trace is right; the last digit alone could be guessed one time in ten. Every fact
(digit, operator, digit) is known to the author of the warm-up corpus with a reliability of its own, and most of the
author's slips on a fact are the same misconception, so that a model warmed up on the corpus finds some prompts easy,
some hard, and some out of reach: what a risk measure needs to have anything to say.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

OPERATORS = "+-*"
FIRST = range(10)
LATER = range(2, 10)
LONGEST = 8
# Chains with more room above: every operation is one more fact that has to be right.
LONG = (5, 6, 7, 8)
# Blanks fill every prompt up to one width: operation i and digit i of the answer stand at the same place in all.
WIDTH = 2 * LONGEST + 2

RELIABILITY = (0.97, 0.85, 0.6, 0.3, 0.05)
RELIABILITY_WEIGHTS = (0.3, 0.25, 0.15, 0.15, 0.15)
MISCONCEPTION_SHARE = 0.7
AUTHOR_SEED = 20251001

SPLITS = {"test": (0,), "tune": (1,), "train": tuple(range(2, 10))}

Fact = tuple[int, str, int]
Chain = tuple[int, tuple[tuple[str, int], ...]]


def apply(value: int, operator: str, operand: int) -> int:
    """One step of a chain, modulo 10."""
    if operator == "+":
        return (value + operand) % 10
    if operator == "-":
        return (value - operand) % 10
    return (value * operand) % 10


@cache
def author() -> dict[Fact, tuple[float, int]]:
    """For each of the 240 facts: how reliably the author knows it, and what the author mostly believes otherwise."""
    rng = random.Random(AUTHOR_SEED)
    facts = [(value, operator, operand) for value in FIRST for operator in OPERATORS for operand in LATER]
    return {
        fact: (
            rng.choices(RELIABILITY, RELIABILITY_WEIGHTS)[0],
            rng.choice([digit for digit in range(10) if digit != apply(*fact)]),
        )
        for fact in facts
    }


def make_chain(rng: random.Random, length: int) -> Chain:
    """A chain of `length` operations."""
    return rng.choice(FIRST), tuple((rng.choice(OPERATORS), rng.choice(LATER)) for _ in range(length))


def prompt_of(chain: Chain) -> str:
    """The prompt, `WIDTH` characters wide."""
    first, steps = chain
    return (str(first) + "".join(f"{operator}{operand}" for operator, operand in steps)).ljust(WIDTH - 1) + "="


def answer_of(chain: Chain) -> str:
    """The right trace: one digit a step, and a full stop."""
    value, trace = chain[0], ""
    for operator, operand in chain[1]:
        value = apply(value, operator, operand)
        trace += str(value)
    return trace + "."


def difficulty_of(chain: Chain) -> float:
    """The chance, in [0, 1], that the author of the corpus gets the chain wrong."""
    value, right = chain[0], 1.0
    for operator, operand in chain[1]:
        right *= author()[value, operator, operand][0]
        value = apply(value, operator, operand)
    return 1.0 - right


def rows(split: str, count: int, seed: int, lengths: Sequence[int] = (2, 3, 4, 5, 6)) -> list[dict[str, Any]]:
    """Distinct problems: `prompt`, `answer`, `difficulty`. Splits share no prompt, whatever the seeds.

    Raises:
        ValueError: an unknown split, a length outside 1..8, or more problems than the lengths allow.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r} of the chain task; allowed: {', '.join(SPLITS)}.")
    if not lengths or not all(1 <= length <= LONGEST for length in lengths):
        raise ValueError(f"chain lengths must lie in 1..{LONGEST}, got {list(lengths)}.")
    rng = random.Random(f"{split}-{seed}")
    found: dict[str, dict[str, Any]] = {}
    misses = 0
    while len(found) < count:
        chain = make_chain(rng, rng.choice(lengths))
        prompt = prompt_of(chain)
        if zlib.crc32(prompt.encode()) % 10 in SPLITS[split] and prompt not in found:
            found[prompt] = {"prompt": prompt, "answer": answer_of(chain), "difficulty": difficulty_of(chain)}
            misses = 0
        else:
            misses += 1
            if misses > 100_000:
                raise ValueError(f"only {len(found)} distinct chains of lengths {list(lengths)} found, {count} wanted.")
    return list(found.values())


def corpus(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """The author's worked chains, lengths 1 to 8, slips included: (prompt, trace)."""
    rng = random.Random(f"corpus-{seed}")
    known = author()
    for _ in range(count):
        chain = make_chain(rng, rng.randint(1, LONGEST))
        value, trace = chain[0], ""
        for operator, operand in chain[1]:
            right = apply(value, operator, operand)
            reliability, misconception = known[value, operator, operand]
            if rng.random() < reliability:
                value = right
            elif rng.random() < MISCONCEPTION_SHARE:
                value = misconception
            else:
                value = rng.choice([digit for digit in range(10) if digit not in (right, misconception)])
            trace += str(value)
        yield prompt_of(chain), trace + "."


def chain_reward(completions: Sequence[str], answer: Sequence[str], **_: Any) -> list[float]:
    """1.0 for the whole right trace, full stop included; 0.0 otherwise. TRL's reward signature."""
    return [float(completion == right) for completion, right in zip(completions, answer, strict=True)]
