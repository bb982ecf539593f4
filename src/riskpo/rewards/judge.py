"""One way to ask any reward what it says of an answer: a verifier, or a plain function in TRL's signature."""

from __future__ import annotations

import inspect
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from riskpo.errors import RewardError
from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.trial import check_returned, waited_for
from riskpo.rewards.verdict import Verdict

Row = Mapping[str, Any]

# The forms in which models write answers. A reward reads some of them; `phrase_of` finds out which.
PHRASES: dict[str, str] = {
    "bare": "{}",
    "boxed": "The answer is \\boxed{{{}}}.",
    "hashes": "So that is it.\n#### {}",
    "answer line": "So that is it.\nAnswer: {}",
    "fenced": "```python\n{}\n```",
}


LIMIT_SECONDS = 60.0  # for one question to a plain function that is asked apart, and a tenth of a second a completion
_EACH_SECONDS = 0.1


@dataclass(frozen=True)
class Judgement:
    """What a reward said of a completion: a score or None, and where it says so the answer it found and a reason."""

    score: float | None
    status: str
    reason: str
    answer: str | None = None

    @property
    def full(self) -> bool:
        """Full marks."""
        return self.score is not None and self.score >= 1.0 - 1e-6


class Judge:
    """Asks a reward, whatever its kind.

    Args:
        reward: a `VerifierReward`, or a function in TRL's signature, asynchronous ones included.
        name: what reports call it.
        apart: whether a plain function is asked in a forked process, which is killed when it hangs: what would stop a
            training run is then an error with a reason. A verifier kills what hangs by itself.
    """

    def __init__(self, reward: Callable[..., Any], name: str, *, apart: bool = False) -> None:
        self.reward = reward
        self.name = name
        self.apart = apart

    def __call__(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Judgement]:
        """One judgement for each completion, to the question of the row at its place.

        Raises:
            RewardError: the function returns anything but a number or None for each completion; or, where it is asked
                apart, it raises, dies, or does not come back.
        """
        if not completions:
            return []
        columns = {name: [row.get(name) for row in rows] for name in rows[0] if name not in ("prompt", "completion")}
        if isinstance(self.reward, VerifierReward):
            judged = [_judgement(verdict) for verdict in self.reward.verdicts(list(completions), **columns)]
        elif self.apart:
            judged = self._ask_apart(completions, rows, columns)
        else:
            judged = self._ask_function(completions, rows, columns)
        return judged

    def _ask_apart(
        self, completions: Sequence[str], rows: Sequence[Row], columns: dict[str, list[Any]]
    ) -> list[Judgement]:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=self._answer_into, args=(theirs, completions, rows, columns), daemon=True)
        process.start()
        theirs.close()
        seconds = LIMIT_SECONDS + _EACH_SECONDS * len(completions)
        asked = (
            f"the reward {self.name!r}, asked about {len(completions)} completions (the first: {completions[0]!r:.80}),"
        )
        try:
            if not ours.poll(seconds):
                raise RewardError(f"{asked} did not come back within {seconds:g} s.")
            judged, problem = ours.recv()
        except EOFError:
            process.join()
            raise RewardError(f"{asked} ended its process with status {process.exitcode}.") from None
        finally:
            process.kill()
            process.join()
            ours.close()
        if problem:
            raise RewardError(problem if problem.startswith("the reward function") else f"{asked} raised {problem}.")
        result: list[Judgement] = judged
        return result

    def _answer_into(
        self,
        pipe: Connection[Any, Any],
        completions: Sequence[str],
        rows: Sequence[Row],
        columns: dict[str, list[Any]],
    ) -> None:
        try:
            pipe.send((self._ask_function(completions, rows, columns), ""))
        except RewardError as error:
            pipe.send(([], str(error)))
        except BaseException as error:  # noqa: BLE001 (whatever it raises is what a run would have died of)
            pipe.send(([], f"{type(error).__name__}: {error}"[:500]))

    def _ask_function(
        self, completions: Sequence[str], rows: Sequence[Row], columns: dict[str, list[Any]]
    ) -> list[Judgement]:
        prompts = [row.get("prompt", row.get("question")) for row in rows]
        chat = bool(prompts) and isinstance(prompts[0], list)
        given = [[{"role": "assistant", "content": text}] if chat else text for text in completions]
        nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
        returned = self.reward(
            prompts=prompts,
            completions=given,
            completion_ids=[[0] for _ in completions],
            **{**columns, "trainer_state": None, "log_extra": nothing, "log_metric": nothing},
        )
        if inspect.isawaitable(returned):
            returned = waited_for(returned)
        scores = check_returned(returned, len(completions), self.name)
        return [
            Judgement(None if score is None else float(score), "unscored" if score is None else "scored", "")
            for score in scores
        ]


def prompt_text(row: Row) -> str:
    """A row's prompt as text: a conversation's messages one after the other, a `question` where there is no prompt."""
    prompt: Any = row.get("prompt", row.get("question"))
    if isinstance(prompt, list):
        return "\n".join(_content(message) for message in prompt)
    return "" if prompt is None else str(prompt)


def _content(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content if isinstance(block, dict))
    return content if isinstance(content, str) else ""


def is_code(row: Row) -> bool:
    """Whether a row is judged by tests."""
    return any(row.get(name) is not None for name in ("tests", "test", "test_list"))


def gold_text(row: Row, answer: str) -> str | None:
    """A row's gold answer as a model would write it, or None. A function's body gets its head from the prompt."""
    gold = row.get(answer)
    if gold is None:
        return None
    name = row.get("entry_point")
    if is_code(row) and name and f"def {name}" not in str(gold):
        return prompt_text(row) + str(gold)
    return str(gold)


def phrase_of(judge: Judge, rows: Sequence[Row], golds: Sequence[str]) -> tuple[str, dict[str, float]]:
    """The form in which a reward reads answers: the one in which most gold answers have full marks, the first at a tie.

    Args:
        judge: the reward.
        rows: the questions.
        golds: their gold answers, as text.

    Returns:
        The form's name, and for every form the share of gold answers with full marks.
    """
    shares = {}
    for name, phrase in PHRASES.items():
        judged = judge([phrase.format(gold) for gold in golds], rows)
        shares[name] = sum(judgement.full for judgement in judged) / max(len(judged), 1)
    return max(shares, key=lambda name: shares[name]), shares


def _judgement(verdict: Verdict) -> Judgement:
    return Judgement(verdict.score, verdict.status, verdict.reason, verdict.answer)
