"""Trying a reward function before anything expensive: does it run, and does it return what a reward must return?"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from riskpo.errors import RewardError

CONTRACT = "Each must return one number per completion, or None for a completion that cannot be scored."


def trial_completions(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A completion for each row: its gold answer, as text or, after a conversation, as a message.

    Args:
        rows: rows of a training set with `prompt`, and perhaps `answer` or `solution`.
    """
    texts = [str(row.get("answer") or row.get("solution") or "0") for row in rows]
    if isinstance(rows[0]["prompt"], str):
        return list(texts)
    return [[{"role": "assistant", "content": text}] for text in texts]


@contextmanager
def trial_errors(names: Sequence[str], completions: Sequence[Any]) -> Iterator[None]:
    """Turns whatever a reward function raises on trial into a RewardError that says what it was called with."""
    try:
        yield
    except RewardError:
        raise
    except Exception as error:
        raise RewardError(
            f"the reward functions {list(names)} failed on a trial with the first {len(completions)} rows and the "
            f"completions {list(completions)}: {type(error).__name__}: {str(error).rstrip('.')}. {CONTRACT} If they "
            "cannot be called like this, set check_rewards=False."
        ) from error


def checked_reward(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function, with what it returns checked: one number, or None, for each completion.

    The copy is awaited where the function is. It raises RewardError, naming function and type, for anything else.
    """
    if _is_async(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> list[Any]:
            return check_returned(await function(*args, **kwargs), len(kwargs["completions"]), name)

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> list[Any]:
        return check_returned(function(*args, **kwargs), len(kwargs["completions"]), name)

    return called


def check_returned(values: Any, count: int, name: str) -> list[Any]:
    """What a reward function returned, as a list.

    Args:
        values: what it returned.
        count: how many completions it was called with.
        name: the function's, for the message.

    Raises:
        RewardError: anything but `count` numbers or None.
    """
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise RewardError(f"the reward function {name!r} returned a {type(values).__name__}, not a list. {CONTRACT}")
    listed = list(values)
    for position, value in enumerate(listed):
        # Numbers of any library, arrays of a single one included, but no lists, texts and complex numbers.
        if value is not None and not hasattr(value, "__float__"):
            raise RewardError(
                f"the reward function {name!r} returned a list with a {type(value).__name__} in it (position "
                f"{position}: {value!r:.60}). {CONTRACT}"
            )
    if len(listed) != count:
        raise RewardError(
            f"the reward function {name!r} returned {len(listed)} rewards for {count} completions. {CONTRACT}"
        )
    return listed


def try_reward(function: Callable[..., Any], rows: Sequence[Mapping[str, Any]], **given: Any) -> None:
    """Calls a reward function once on a few rows, in TRL's signature.

    Args:
        function: plain or asynchronous.
        rows: the first rows of a training set with the column `prompt`.
        given: what the trainer hands over besides the columns.

    Raises:
        RewardError: it raises, or returns anything but one number, or None, per completion.
    """
    name = getattr(function, "__name__", type(function).__name__)
    completions = trial_completions(rows)
    columns = {key: [row[key] for row in rows] for key in rows[0] if key not in ("prompt", "completion")}
    prompts = [row["prompt"] for row in rows]
    ids = [[0] for _ in rows]
    with trial_errors([name], completions):
        returned = checked_reward(function, name)(
            prompts=prompts, completions=completions, completion_ids=ids, **{**columns, **given}
        )
        if inspect.isawaitable(returned):
            waited_for(returned)


def waited_for(returned: Any) -> Any:
    """What an awaitable gives."""
    import asyncio

    async def wait() -> Any:
        return await returned

    return asyncio.run(wait())


def _is_async(function: Any) -> bool:
    """As TRL tells: partial functions and instances with an asynchronous `__call__` included."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
