"""Shaping: what is added to a verifier's score. Format, length, and sums in which "could not be judged" stays that.

TRL's own shaping rewards (`get_soft_overlong_punishment`, `get_repetition_penalty_reward`) take part in a sum as they
are.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from riskpo.rewards.match import text_of

Reward = Callable[..., Sequence[float | None]]


class TagFormat:
    """1.0 where a completion is its tags, each once, in their order, with nothing but blanks around them; else 0.0.

    With the default, `<think>...</think>` and then a text that holds no tag. TRL's `think_format_reward` asks for
    nearly that, but takes conversations only, and lets empty reasoning and an empty text pass.

    Args:
        tags: the tags in their order.
        tail: whether text must follow the last tag; else only blanks may.
        opened: the first tag is opened by the prompt (many chat templates do), so the completion begins inside it.
    """

    def __init__(self, tags: Sequence[str] = ("think",), *, tail: bool = True, opened: bool = False) -> None:
        if not tags or len(set(tags)) != len(tags) or not all(re.fullmatch(r"\w+", tag) for tag in tags):
            raise ValueError(f"tags must be different words, at least one: {list(tags)}.")
        self.tags = tuple(tags)
        self.tail = tail
        self.opened = opened
        self.__name__ = "tag_format"
        # Only the tags are looked for, and what is between them is measured: linear in the length of the text.
        self._any = re.compile("|".join(f"</?{tag}>" for tag in self.tags))

    def __call__(self, completions: Sequence[Any], **_: Any) -> list[float]:
        return [float(self._fits(text_of(completion))) for completion in completions]

    def _fits(self, text: str) -> bool:
        found = list(self._any.finditer(text))
        wanted = [name for tag in self.tags for name in (f"<{tag}>", f"</{tag}>")][int(self.opened) :]
        if [match.group() for match in found] != wanted:
            return False
        edges = [0, *(edge for match in found for edge in match.span()), len(text)]
        gaps = [text[start:end].strip() for start, end in zip(edges[::2], edges[1::2], strict=True)]
        if self.opened:
            gaps.insert(0, "")
        inside, outside, last = gaps[1::2], gaps[:-1:2], gaps[-1]
        return all(inside) and not any(outside) and bool(last) == self.tail


class CosineLength:
    """A verifier's score with a length that counts: of right answers the short ones, of wrong ones perhaps the long.

    score = b + (a - b) (1 + cos(pi min(n, N) / N)) / 2 with n tokens of N allowed, from a at n = 0 to b at n = N;
    (a, b) is `correct` where the verifier gives 1, `wrong` where it gives less. Yeo et al. 2025 (arXiv 2502.03373), the
    cosine reward, without its penalty for reaching N, which TRL's soft overlong punishment is for. None stays None.

    Args:
        reward: the verifier's reward function.
        max_tokens: N.
        correct: score of a right answer at length 0 and at length N.
        wrong: score of a wrong answer at length 0 and at length N.
    """

    def __init__(
        self,
        reward: Reward,
        max_tokens: int,
        *,
        correct: tuple[float, float] = (1.0, 0.5),
        wrong: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1: {max_tokens}.")
        if min(correct) <= max(wrong):
            raise ValueError(
                f"a wrong answer must never score what a right one does: correct={correct} reaches {min(correct)}, "
                f"wrong={wrong} reaches {max(wrong)}."
            )
        self.reward = reward
        self.max_tokens = max_tokens
        self.correct = correct
        self.wrong = wrong
        self.__name__ = f"{name_of(reward)}_cosine_length"

    def __call__(
        self, completions: Sequence[Any], completion_ids: Sequence[Sequence[int]], **given: Any
    ) -> list[float | None]:
        scores = self.reward(completions=completions, completion_ids=completion_ids, **given)
        return [
            None if score is None else self._shaped(score, len(ids))
            for score, ids in zip(scores, completion_ids, strict=True)
        ]

    def _shaped(self, score: float, tokens: int) -> float:
        start, end = self.correct if score >= 1.0 else self.wrong
        share = min(tokens, self.max_tokens) / self.max_tokens
        return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


class WeightedSum:
    """Several reward functions as one: the weighted sum of their scores, None where any of them is None.

    TRL adds up several functions itself, and there None means "does not apply": a completion that the verifier could
    not judge keeps its reward for the format, as if it were wrong. Here it stays unjudged. The mean of each part is
    logged as `reward_parts/NAME`.

    Args:
        rewards: the functions, synchronous, in TRL's signature; all are called with the same arguments.
        weights: one for each; all 1 if not given.
    """

    def __init__(self, rewards: Sequence[Reward], weights: Sequence[float] | None = None) -> None:
        self.rewards = list(rewards)
        self.weights = [1.0] * len(self.rewards) if weights is None else [float(weight) for weight in weights]
        if not self.rewards or len(self.weights) != len(self.rewards):
            raise ValueError(f"{len(self.rewards)} reward functions and {len(self.weights)} weights: one for each.")
        if not all(math.isfinite(weight) for weight in self.weights):
            raise ValueError(f"weights must be finite: {self.weights}.")
        asynchronous = [name_of(reward) for reward in self.rewards if inspect.iscoroutinefunction(_called(reward))]
        if asynchronous:
            raise ValueError(f"the reward functions {asynchronous} are asynchronous; a sum takes plain ones.")
        self.__name__ = "+".join(map(name_of, self.rewards))

    def __call__(self, completions: Sequence[Any], **given: Any) -> list[float | None]:
        parts = [list(reward(completions=completions, **given)) for reward in self.rewards]
        for reward, part in zip(self.rewards, parts, strict=True):
            if len(part) != len(completions):
                raise ValueError(f"{name_of(reward)} gave {len(part)} scores for {len(completions)} completions.")
        self._log(parts, given)
        return [
            None if None in scores else sum(w * s for w, s in zip(self.weights, scores, strict=True))
            for scores in zip(*parts, strict=True)
        ]

    def _log(self, parts: Sequence[Sequence[float | None]], given: Mapping[str, Any]) -> None:
        log_metric = given.get("log_metric")
        if log_metric is None:
            return
        for reward, part in zip(self.rewards, parts, strict=True):
            scores = [score for score in part if score is not None]
            # All ranks must log the same names, so a batch in which nothing could be judged logs 0 as well.
            log_metric(f"reward_parts/{name_of(reward)}", sum(scores) / len(scores) if scores else 0.0)


def name_of(reward: Any) -> str:
    """What logs call a reward function."""
    return str(getattr(reward, "__name__", type(reward).__name__))


def _called(reward: Any) -> Any:
    return reward if inspect.isroutine(reward) else type(reward).__call__
