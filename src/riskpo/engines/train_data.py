"""The training set of a trainer: what it must satisfy, and its order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from datasets import Dataset
from torch.utils.data import Sampler

from riskpo.engines.prompt_ids import check_prompt_ids
from riskpo.engines.trl_config import RiskPOConfig
from riskpo.tasks.checks import check_train_set

logger = logging.getLogger(__name__)


def check_for_training(dataset: Dataset, args: RiskPOConfig, columns: Iterable[str] = ()) -> None:
    """Raises DataError or ConfigError for a data set that cannot be trained on.

    Args:
        dataset: the training set.
        args: of the training.
        columns: needed by the reward, besides `prompt`.
    """
    check_train_set(dataset, args.prompts_per_generation, args.step_in_words, args.allow_duplicate_prompts, columns)
    if args.risk_config.needs_difficulty:
        check_prompt_ids(dataset.column_names)


def warn_of_left_out(dataset: Dataset, args: RiskPOConfig) -> None:
    """Warns of prompts that do not fill a step, where they are many or always the same ones."""
    needed = args.prompts_per_generation
    left_out = len(dataset) % needed
    if left_out and (not args.shuffle_dataset or left_out * 10 > len(dataset)):
        logger.warning(
            f"{left_out} of {len(dataset)} prompts do not fill a step of {needed} and are left out of each epoch"
            + (", other ones in each." if args.shuffle_dataset else ", always the same ones (shuffle_dataset=False).")
        )


class EpochSampler(Sampler[int]):
    """TRL's sampler with its generator reseeded from the epoch, so that a resumed run sees the order it would have.

    The epoch is asked for when iteration starts: a sampler wrapped for sharding and for skipping batches is out of
    reach of `set_epoch`.
    """

    def __init__(self, sampler: Any, seed: int, epoch: Callable[[], int]) -> None:
        self._sampler = sampler
        self._seed = seed
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self._sampler.generator.manual_seed(self._seed + self._epoch())
        return iter(self._sampler)

    def __len__(self) -> int:
        return len(self._sampler)
