r"""The verifier for mathematics: the answer of each completion against its gold answer.

    verifier = MathVerifier(convention="boxed")
    verifier.check_gold(rows)                       # [None, "the formula '\\frac{1}{' cannot be read.", ...]
    verifier.verify([r"so \boxed{\frac12}"], [{"answer": "0.5"}])      # [Verdict(score=1.0, status="correct", ...)]

Three steps. The answer is found by a named convention (`riskpo.rewards.extract`). Plain numbers are compared exactly
and at once (`riskpo.rewards.answers.numbers`). Everything else goes to worker processes that can be killed
(`riskpo.rewards.answers.symbolic` in a `riskpo.rewards.worker.WorkerPool`): no formula is parsed in this process. Each
gold answer is parsed on its own before anything is compared with it, so that a hang afterwards is the completion's
doing.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from riskpo.errors import ConfigError, RiskPOError
from riskpo.rewards.answers.numbers import compare
from riskpo.rewards.extract import THINK, after_reasoning, convention_named, last_box
from riskpo.rewards.verdict import Status, Verdict
from riskpo.rewards.worker import Outcome, WorkerPool

_TASK = "riskpo.rewards.answers.symbolic:judge"
_WARM = "riskpo.rewards.answers.symbolic:warm"
_MOST_GOLDS = 200_000  # checked golds that are remembered in a process


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold answer with what a row says about it.

    Args:
        text: the answer.
        several: whether it is several answers (`is_multiple_answer`); None = its text decides.
        tolerance: how far a number may lie from it (`error`), as the text of a fraction; None = exact.
        unit: its unit where the text states none (`unit`).
    """

    text: str
    several: bool | None = None
    tolerance: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class _Known:
    """What is known of a gold answer: no reason where it can be used, else why not."""

    reason: str | None
    status: Status = "bad_gold"


@dataclass
class MathVerifier:
    """Verdicts on mathematical answers; see the top of this module.

    Args:
        convention: where the answer stands: a name of `riskpo.rewards.extract.CONVENTIONS`.
        reasoning: the tags around the reasoning, of which nothing counts; None = there is none.
        reasoning_opened: the prompt ends with the opening tag, so that a completion without the closing one is not
            finished: it has no answer.
        workers: processes for what is no plain number.
        seconds: wall-clock limit of one comparison.
        memory_mb: address space of a worker.
        longest_answer: characters; a longer answer scores 0 unread.
        longest_completion: characters; a longer completion scores 0 unread.
        column: of the gold answers. One that holds `####`, or else a `\\boxed{}`, is a worked solution: its last answer
            counts.

    Raises:
        ConfigError: an unknown convention, or a limit that is not above 0.
    """

    convention: str = "auto"
    reasoning: tuple[str, str] | None = THINK
    reasoning_opened: bool = False
    workers: int = 2
    seconds: float = 5.0
    memory_mb: int = 2048
    longest_answer: int = 2000
    longest_completion: int = 2_000_000
    column: str = "answer"
    name: str = "math"
    columns: tuple[str, ...] = field(init=False)
    optional_columns: tuple[str, ...] = field(init=False, default=("error", "unit", "is_multiple_answer"))

    def __post_init__(self) -> None:
        convention_named(self.convention)
        self.columns = (self.column,)
        if self.reasoning is not None and not (len(self.reasoning) == 2 and all(self.reasoning)):
            raise ConfigError(f"reasoning={self.reasoning!r}: give the opening and the closing tag, or None.")
        for limit in ("workers", "seconds", "memory_mb", "longest_answer", "longest_completion"):
            value = getattr(self, limit)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{limit}={value!r}: must be above 0.")

    def check_gold(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """For each row why its gold answer cannot be used; None where it can. Each different one is parsed once."""
        golds = [self._gold(row) for row in rows]
        known = self._check({gold for gold in golds if isinstance(gold, Gold)})
        return [known[gold].reason if isinstance(gold, Gold) else gold for gold in golds]

    def verify(self, completions: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """One verdict for each completion; `rows[i]` holds the gold answer of completion i.

        Equal answers to equal golds are compared once. Blocks until the slowest comparison is over: at most about
        comparisons / workers x seconds.

        Raises:
            ValueError: not as many rows as completions.
        """
        if len(completions) != len(rows):
            raise ValueError(f"{len(completions)} completions and {len(rows)} rows: give one row for each completion.")
        golds = [self._gold(row) for row in rows]
        known = self._check({gold for gold in golds if isinstance(gold, Gold)})
        verdicts: dict[int, Verdict] = {}
        waiting: dict[tuple[Gold, str], list[int]] = {}
        for place, (completion, gold) in enumerate(zip(completions, golds, strict=True)):
            start = time.perf_counter()
            answer = self._answer(completion)
            if isinstance(gold, str):
                verdicts[place] = Verdict(None, "bad_gold", _found(answer), gold)
            elif known[gold].reason is not None:
                verdicts[place] = Verdict(None, known[gold].status, _found(answer), known[gold].reason or "")
            elif isinstance(answer, Verdict):
                verdicts[place] = answer
            elif decided := _at_once(gold, answer, start):
                verdicts[place] = decided
            else:
                waiting.setdefault((gold, answer), []).append(place)
        for (gold, answer), outcome in zip(waiting, self._map(list(waiting)), strict=True):
            verdict = _verdict(answer, outcome)
            verdicts.update(dict.fromkeys(waiting[gold, answer], verdict))
        return [verdicts[place] for place in range(len(rows))]

    # --- reading ---

    def _gold(self, row: Mapping[str, Any]) -> Gold | str:
        """The gold answer of a row, or why there is none."""
        value = row.get(self.column)
        if value is None or isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return f"the column {self.column!r} holds a {type(value).__name__}: it must hold a text or a number."
        try:
            text = str(value).strip()
        except ValueError:
            return "an integer of more digits than Python prints."
        if "####" in text:
            text = text.rsplit("####", 1)[1].strip()
        elif "\\boxed" in text or "\\fbox" in text:
            text = last_box(text).answer or ""
        if not text or text.lower() in ("nan", "inf", "-inf", "none"):
            return f"the gold answer is {str(value)[:60]!r}."
        if len(text) > self.longest_answer:
            return f"the gold answer has {len(text)} characters, more than {self.longest_answer}."
        several = row.get("is_multiple_answer")
        try:
            tolerance = _tolerance(row.get("error"))
        except ValueError:
            return f"the tolerance in the column 'error' is {str(row['error'])[:60]!r}: it must be a number from 0."
        unit = row.get("unit")
        return Gold(text, several if several is True else None, tolerance, _unit(unit) if unit else None)

    def _answer(self, completion: str) -> str | Verdict:
        """The answer of a completion, or the verdict where there is none to compare."""
        start = time.perf_counter()
        if len(completion) > self.longest_completion:
            return _zero("too_long", None, f"more than {self.longest_completion} characters.", start)
        text = completion
        if self.reasoning is not None:
            spoken = after_reasoning(completion, self.reasoning, opened=self.reasoning_opened)
            if spoken.answer is None:
                return _zero("no_answer", None, spoken.reason, start)
            text = spoken.answer
        found = convention_named(self.convention)(text)
        if found.answer is None:
            return _zero("no_answer", None, found.reason, start)
        if not found.answer.strip():
            return _zero("no_answer", found.answer, "the answer is empty.", start)
        if len(found.answer) > self.longest_answer:
            reason = f"the answer has {len(found.answer)} characters, more than {self.longest_answer}."
            return _zero("too_long", found.answer[:60], reason, start)
        return found.answer

    # --- comparing ---

    def _check(self, golds: set[Gold]) -> dict[Gold, _Known]:
        """Parses each gold answer on its own, those that this process has not seen before."""
        limits = (self.seconds, self.memory_mb)
        known = {gold: found for gold in golds if (found := _KNOWN.get((gold, *limits))) is not None}
        unknown = []
        for gold in golds - known.keys():
            if not gold.several and compare(gold.text, gold.text) == "equal":
                known[gold] = _KNOWN.put((gold, *limits), _Known(None))
            else:
                unknown.append(gold)
        for gold, outcome in zip(unknown, self._map([(gold, None) for gold in unknown]), strict=True):
            if outcome.status == "done":
                status, reason = outcome.value
                known[gold] = _KNOWN.put((gold, *limits), _Known(None if status == "equal" else reason))
            elif outcome.status in ("timeout", "memory"):
                reason = f"reading the gold answer ended with {outcome.status}: {outcome.detail}"
                known[gold] = _KNOWN.put((gold, *limits), _Known(reason))
            else:  # not the gold's fault, perhaps: not remembered, so that it is tried again
                reason = f"the gold answer could not be checked ({outcome.status}): {outcome.detail}"
                known[gold] = _Known(reason, "infra_error")
        return known

    def _map(self, pairs: Sequence[tuple[Gold, str | None]]) -> list[Outcome]:
        if not pairs:
            return []
        tasks = [(gold.text, answer, gold.several, gold.tolerance, gold.unit) for gold, answer in pairs]
        try:
            return _pool(self.workers, self.seconds, self.memory_mb).map(tasks)
        except RiskPOError as error:  # no worker starts: nobody's answer is wrong for that
            return [Outcome("crash", detail=str(error))] * len(tasks)


def _found(answer: str | Verdict) -> str | None:
    return answer.answer if isinstance(answer, Verdict) else answer


def _at_once(gold: Gold, answer: str, start: float) -> Verdict | None:
    """The verdict where gold and answer both are plain numbers."""
    if gold.several:
        return None
    tolerance = None if gold.tolerance is None else Fraction(gold.tolerance)
    decided = compare(gold.text, answer, tolerance=tolerance, unit=gold.unit)
    if decided == "unknown":
        return None
    equal = decided == "equal"
    reason = f"the number {'is' if equal else 'is not'} the gold number {gold.text}."
    return Verdict(float(equal), "correct" if equal else "wrong", answer, reason, time.perf_counter() - start)


def _verdict(answer: str, outcome: Outcome) -> Verdict:
    if outcome.status == "done":
        status, reason = outcome.value
        named: dict[str, Status] = {"equal": "correct", "different": "wrong", "unparsable": "unparsable"}
        score = float(status == "equal")
        return Verdict(score, named[status], answer, reason, outcome.seconds)
    if outcome.status in ("timeout", "memory"):
        ended: Status = "timeout" if outcome.status == "timeout" else "memory"
        return Verdict(0.0, ended, answer, f"the comparison was ended: {outcome.detail}", outcome.seconds)
    reason = f"the comparison failed ({outcome.status}): {outcome.detail}"
    return Verdict(None, "infra_error", answer, reason, outcome.seconds)


def _zero(status: Status, answer: str | None, reason: str, start: float) -> Verdict:
    return Verdict(0.0, status, answer, reason, time.perf_counter() - start)


def _tolerance(value: Any) -> str | None:
    if value is None or value == "":
        return None
    allowed = Fraction(str(value).strip())
    if allowed < 0:
        raise ValueError(value)
    return str(allowed)


def _unit(value: Any) -> str:
    return re.sub(r"[$\\{}]|text|mathrm", "", str(value)).strip()


class _Memory:
    """Golds that have been checked, the latest kept; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Gold, float, int], _Known] = OrderedDict()

    def get(self, gold: tuple[Gold, float, int]) -> _Known | None:
        with self._lock:
            return self._known.get(gold)

    def put(self, gold: tuple[Gold, float, int], known: _Known) -> _Known:
        with self._lock:
            self._known[gold] = known
            while len(self._known) > _MOST_GOLDS:
                self._known.popitem(last=False)
        return known


_KNOWN = _Memory()
_POOLS: dict[tuple[int, float, int], WorkerPool] = {}
_POOLS_LOCK = threading.Lock()


def _pool(workers: int, seconds: float, memory_mb: int) -> WorkerPool:
    """The pool of these options in this process: verifiers of equal options share it."""
    with _POOLS_LOCK:
        key = (workers, seconds, memory_mb)
        if key not in _POOLS:
            _POOLS[key] = WorkerPool(_TASK, workers=workers, seconds=seconds, memory_mb=memory_mb, initializer=_WARM)
        return _POOLS[key]


def _new_locks() -> None:
    """In a forked child: another thread of the parent may have held the old ones."""
    global _POOLS_LOCK, _KNOWN
    _POOLS_LOCK, _KNOWN = threading.Lock(), _Memory()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_locks)
