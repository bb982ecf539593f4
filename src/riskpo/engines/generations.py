"""Steps and generations: which steps end together with a generation. Imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def steps_between_generations(args: Any) -> int:
    """The least number of steps, from the start of an epoch, that ends together with a generation."""
    block: int = args.steps_per_generation * args.num_iterations
    return math.lcm(block, args.gradient_accumulation_steps) // int(args.gradient_accumulation_steps)


def resumable_steps(args: Any) -> Callable[[int], bool]:
    """Whether a checkpoint of a step lies between generations, as far as the arguments can tell."""
    if (args.steps_per_generation * args.num_iterations) % args.gradient_accumulation_steps:
        return lambda step: True  # where epochs end decides: the trainer checks it when it has the data
    every = steps_between_generations(args)
    return lambda step: step % every == 0
