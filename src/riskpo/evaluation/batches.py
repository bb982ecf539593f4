"""What is sampled together: batches of questions of like length, the same ones whenever they are planned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from riskpo.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples of one question: the numbers `first` to `first + count - 1`."""

    question: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sampled in one go, with a seed of its own: a batch that is done again is the same batch.

    Args:
        number: its place in the plan.
        parts: at most one for each question.
        seed: of its sampling.
    """

    number: int
    parts: tuple[Part, ...]
    seed: int

    @property
    def sequences(self) -> int:
        """Samples in it."""
        return sum(part.count for part in self.parts)


def plan_batches(lengths: Sequence[int], samples: int, batch_size: int, seed: int) -> list[Batch]:
    """Divides questions x samples into batches.

    The longest prompts come first: what does not fit into memory fails at once, and the estimate of the remaining time
    errs on the safe side. Questions of like length share a batch, so that little of it is padding.

    Args:
        lengths: of each question's prompt, in tokens.
        samples: of each question.
        batch_size: sequences in a batch, at most.
        seed: of the evaluation.

    Raises:
        ConfigError: nothing to sample, or a batch size below 1.
    """
    if samples < 1 or batch_size < 1 or not lengths:
        raise ConfigError(
            f"nothing to sample: {len(lengths)} questions, {samples} samples, batches of {batch_size}; each must be "
            "at least 1."
        )
    order = sorted(range(len(lengths)), key=lambda question: (-lengths[question], question))
    parts = [
        Part(question, first, min(batch_size, samples - first))
        for question in order
        for first in range(0, samples, batch_size)
    ]
    batches: list[Batch] = []
    held: list[Part] = []
    for part in parts:
        if held and sum(other.count for other in held) + part.count > batch_size:
            batches.append(_batch(len(batches), held, seed))
            held = []
        held.append(part)
    batches.append(_batch(len(batches), held, seed))
    return batches


def derived_seed(seed: int, place: int) -> int:
    """A seed for one place of many, below 2^56 so that any generator takes it."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {place}".encode(), digest_size=7).digest(), "big")


def _batch(number: int, parts: Sequence[Part], seed: int) -> Batch:
    return Batch(number, tuple(parts), derived_seed(seed, number))
