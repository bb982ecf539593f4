"""Procedural tasks of reasoning-gym (arXiv 2505.24760) by name: `gym:leg_counting`. Needs the extra `reasoning-gym`.

A question is made from the task's name, a seed and a number, here and again by the scorer, which asks the library's own
`score_answer`. Prompt: the library's system message `DeepSeekZero`; the answer is what the last `<answer>` tag holds.
Questions go to splits by a hash of their text, so that splits share none, whatever the seeds.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from riskpo.errors import ConfigError, DataError, MissingExtraError, unknown_name
from riskpo.tasks.base import BuiltInTask, Rows, Split

logger = logging.getLogger(__name__)

PREFIX = "gym:"
SPLITS = {"test": (0,), "tune": (1,), "train": tuple(range(2, 10))}
_BLOCK = 1000  # questions that are made at once
_MISSES = 20  # blocks in a row without a new question


def gym_task(name: str) -> BuiltInTask:
    """The task `gym:NAME`.

    Raises:
        MissingExtraError: reasoning-gym is not installed.
        ConfigError: it has no such task.
    """
    inner = name.removeprefix(PREFIX)
    if name not in gym_names():
        raise ConfigError(unknown_name("task", name, gym_names()))
    return BuiltInTask(
        name,
        "procedural, of reasoning-gym",
        {split: Split(None) for split in ("train", "tune", "test")},
        "Apache-2.0",
        "reasoning-gym's own",
        "train, benchmark",
        rows=partial(rows, inner),
        reward=gym_reward,
    )


def gym_names() -> list[str]:
    """The names of all procedural tasks, with prefix. Raises MissingExtraError."""
    return [PREFIX + name for name in sorted(_library().factory.DATASETS)]


def rows(name: str, split: str, count: int, seed: int) -> Rows:
    """Distinct questions: `prompt`, `answer`, `prompt_id`, and what the scorer makes the question from again.

    Raises:
        ValueError: an unknown split.
        DataError: the task has fewer different questions, or cannot be made without options.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r} of task {PREFIX}{name}; allowed: {', '.join(SPLITS)}.")
    system = _library().utils.SYSTEM_PROMPTS["DeepSeekZero"]
    found: dict[str, dict[str, Any]] = {}
    block, misses = 0, 0
    while len(found) < count and misses < _MISSES:
        before = len(found)
        block_seed = seed * 1_000_003 + block
        made = _block(name, block_seed)
        for index in range(_BLOCK):
            question = made[index]["question"]
            if question in found or zlib.crc32(question.encode()) % 10 not in SPLITS[split]:
                continue
            found[question] = {
                "prompt": [{"role": "system", "content": system}, {"role": "user", "content": question}],
                "answer": str(made[index]["answer"]),
                "prompt_id": f"{PREFIX}{name}/{block_seed}-{index}",
                "gym_name": name,
                "gym_seed": block_seed,
                "gym_index": index,
            }
            if len(found) == count:
                break
        block, misses = block + 1, misses + 1 if len(found) == before else 0
    if len(found) < count:
        raise DataError(f"task {PREFIX}{name} made only {len(found)} different {split} questions, {count} wanted.")
    return list(found.values())


def gym_reward(
    completions: Sequence[Any], gym_name: Sequence[str], gym_seed: Sequence[int], gym_index: Sequence[int], **_: Any
) -> list[float | None]:
    """The library's score, in [0, 1], of what the last `<answer>` tag holds; 0 without one. TRL's signature.

    None where the library's scorer fails: that is no verdict on the answer.
    """
    from riskpo.rewards.match import text_of

    extract = _library().utils.extract_answer
    scores: list[float | None] = []
    for completion, name, seed, index in zip(completions, gym_name, gym_seed, gym_index, strict=True):
        made = _block(name, seed)
        answer = extract(text_of(completion).rpartition("</think>")[2])
        try:
            score = 0.0 if answer is None else float(made.score_answer(answer, made[index]))
        except Exception as error:  # noqa: BLE001  (whatever a task's own scorer raises)
            logger.warning(f"reasoning-gym's scorer of {name} failed: {type(error).__name__}: {error}. No verdict.")
            score = None
        scores.append(score)
    return scores


@lru_cache(maxsize=64)
def _block(name: str, seed: int) -> Any:
    try:
        return _library().create_dataset(name, size=_BLOCK, seed=seed % 2**32)
    except AssertionError as error:
        raise DataError(f"task {PREFIX}{name} cannot be made without options of its own: {error}.") from error


def _library() -> Any:
    try:
        import reasoning_gym  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingExtraError("reasoning-gym", "reasoning-gym") from error
    return reasoning_gym
