"""A verifier as what the engines call: TRL's reward function, synchronous or not, and verl's `compute_score`."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from riskpo.errors import InfrastructureError
from riskpo.rewards.match import text_of
from riskpo.rewards.verdict import Status, Verdict, Verifier

# Logged as shares of a batch; always all of them, because ranks that log different names would wait for each other.
LOGGED: tuple[Status, ...] = ("no_answer", "unparsable", "timeout", "bad_gold", "infra_error")
WHOLE_BATCH = 8  # completions that do not all fail by chance


class VerifierReward:
    """A verifier as a reward function of TRL: one score per completion, None where it could not be judged.

    The trainer's log gets `verdict/NAME` for the statuses in `LOGGED`, as shares of the batch; its table of completions
    gets the columns `verdict`, `verdict_answer` and `verdict_reason`.

    Args:
        verifier: what judges.
        max_infra_errors: how many of the last `window` completions may fail to be judged because of the machinery (no
            worker, no sandbox, no disk). One more stops the training, and so does a whole batch of at least
            `WHOLE_BATCH`: a verifier that is down would look like a data set that nobody can solve.
        window: completions that are looked back at.
        prefix: of the logged names; tell two verifiers in one run apart by it.

    Raises:
        InfrastructureError: on a call, past that threshold.
    """

    def __init__(
        self, verifier: Verifier, *, max_infra_errors: int = 50, window: int = 1000, prefix: str = "verdict"
    ) -> None:
        if not 0 <= max_infra_errors < window:
            raise ValueError(f"max_infra_errors must be in [0, window): {max_infra_errors} of {window}.")
        self.verifier = verifier
        self.max_infra_errors = max_infra_errors
        self.window = window
        self.prefix = prefix
        self.__name__ = verifier.name
        self._failed: deque[bool] = deque(maxlen=window)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __call__(
        self,
        completions: Sequence[Any],
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Scores completions (texts or conversations) by the columns of their prompts, as TRL hands them over."""
        verdicts = self.verdicts(completions, **columns)
        if log_extra is not None:
            log_extra(self.prefix, [verdict.status for verdict in verdicts])
            log_extra(f"{self.prefix}_answer", [verdict.answer for verdict in verdicts])
            log_extra(f"{self.prefix}_reason", [verdict.reason for verdict in verdicts])
        if log_metric is not None and verdicts:
            for status in LOGGED:
                share = sum(verdict.status == status for verdict in verdicts) / len(verdicts)
                log_metric(f"{self.prefix}/{status}", share)
        self._watch(verdicts)
        return [verdict.score for verdict in verdicts]

    def verdicts(self, completions: Sequence[Any], **columns: Any) -> list[Verdict]:
        """The verdicts themselves. `columns` holds a list of one value per completion for each column.

        Raises:
            ValueError: a column that the verifier needs is missing.
        """
        missing = [name for name in self.verifier.columns if columns.get(name) is None]
        if missing:
            known = sorted(name for name, values in columns.items() if isinstance(values, (list, tuple)))
            raise ValueError(f"reward {self.__name__} needs the columns {missing}; the data have {known}.")
        used = (*self.verifier.columns, *self.verifier.optional_columns)
        given = {name: columns[name] for name in used if columns.get(name) is not None}
        wrong = [name for name, values in given.items() if isinstance(values, str) or len(values) != len(completions)]
        if wrong:
            raise ValueError(
                f"reward {self.__name__} takes a list of {len(completions)} values, one for each completion, in each "
                f"of its columns; not so: {wrong}."
            )
        rows = [{name: values[index] for name, values in given.items()} for index in range(len(completions))]
        return self.verifier.verify([text_of(completion) for completion in completions], rows)

    def _watch(self, verdicts: Sequence[Verdict]) -> None:
        with self._lock:
            self._failed.extend(verdict.status == "infra_error" for verdict in verdicts)
            failed, seen = sum(self._failed), len(self._failed)
        whole = len(verdicts) >= WHOLE_BATCH and all(verdict.status == "infra_error" for verdict in verdicts)
        if failed > self.max_infra_errors or whole:
            last = next(verdict.reason for verdict in reversed(verdicts) if verdict.status == "infra_error")
            raise InfrastructureError(
                f"reward {self.__name__} could not judge {failed} of the last {seen} completions because its machinery "
                f"failed; {self.max_infra_errors} of {self.window} are allowed, and not all of a batch. The last one: "
                f"{last} Training stops here: nothing before the last checkpoint is lost. `riskpo doctor rewards` "
                "tries the verifier by itself."
            )


class AsyncVerifierReward(VerifierReward):
    """The same, awaited: TRL runs it beside other asynchronous reward functions."""

    async def __call__(self, completions: Sequence[Any], **given: Any) -> list[float | None]:  # type: ignore[override]
        """As `VerifierReward`, in a thread of its own."""
        return await asyncio.to_thread(super().__call__, completions, **given)


class ComputeScore:
    """A verifier as verl's `compute_score`: a dictionary for one completion. Needs no signals, so any thread will do.

    verl's `ground_truth` is one column of the row, and `extra_info` are the others. A completion that could not be
    judged has score NaN and `scored` False; 0 would be a verdict.

    Args:
        verifier: what judges.
        gold_column: the column that `ground_truth` is; by default the verifier's first one, or `tests` of programs.
    """

    def __init__(self, verifier: Verifier, gold_column: str | None = None) -> None:
        self.verifier = verifier
        self.gold_column = gold_column or (verifier.columns[0] if verifier.columns else "tests")
        self.__name__ = f"compute_score_{verifier.name}"

    def __call__(
        self,
        data_source: str,
        solution_str: str,
        ground_truth: Any,
        extra_info: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """`score`, and beside it `scored`, `verdict`, `verdict_answer`, `verdict_reason` for the logs."""
        del data_source
        row = {**(extra_info or {}), self.gold_column: ground_truth}
        verdict = self.verifier.verify([solution_str], [row])[0]
        return {
            "score": float("nan") if verdict.score is None else verdict.score,
            "scored": verdict.scored,
            "verdict": verdict.status,
            "verdict_answer": verdict.answer or "",
            "verdict_reason": verdict.reason,
        }
