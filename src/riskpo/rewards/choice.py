r"""Multiple choice, with or without images: letters, option texts, numbers within a tolerance.

The options are lettered A, B, C, ... in their order. An answer names an option by its letter (`B`, `(B)`, `B.`), by
its text (`$12 \mathrm{~m}$`, or what is mathematically equal to it), or by both, which must agree. A single letter is
always the letter, also where some option's text is a letter. Where a row states the options' values (`precise_value`),
a plain number names the nearest option, if it is within a relative tolerance of it. Rows without options go to the
mathematics verifier.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from riskpo.rewards.answers.numbers import read_number
from riskpo.rewards.extract import after_reasoning, convention_named
from riskpo.rewards.math import MathVerifier
from riskpo.rewards.verdict import Verdict

Row = Mapping[str, Any]

_WRAPPED = re.compile(
    r"^(?:\$+|\*+|\\text\s*\{|\\mathrm\s*\{|\\textbf\s*\{|\\mathbf\s*\{|\(|\[|\{)+|(?:\$+|\*+|\)|\]|\}|\.)+$"
)
_PREFIX = re.compile(r"^(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s*(?:is)?\s*:?\s*", re.IGNORECASE)
_LABELLED = re.compile(
    r"^(?:\\(?:text|textbf|mathrm|mathbf)\s*\{)?\s*\(?\s*([A-Z])\s*\)?\s*\}?\s*[.):]\s*\}?\s*(\S.*)$", re.DOTALL
)
_LONGEST = 2000  # characters of an answer; an option is far shorter


@dataclass(frozen=True)
class _Question:
    """A row, read: the options' texts, the right one's place, and the options' values where the row states them."""

    options: tuple[str, ...]
    right: int
    values: tuple[float, ...] | None


class ChoiceVerifier:
    """Judges answers to multiple-choice questions; `Verifier`.

    Columns: `answer` (a letter, or the text of the right option; without options whatever `MathVerifier` takes), and
    where they are `options` or `choices` (a list of texts), `answer_letter`, `precise_value` (a number for each).

    Args:
        convention: where the answer stands, of `extract.CONVENTIONS`. Where there is nothing of it, a last line that
            is a letter and nothing else is the answer.
        tolerance: relative, for numbers against `precise_value`; 0.01 lets two decimals of a root pass.
    """

    columns: tuple[str, ...] = ("answer",)
    optional_columns: tuple[str, ...] = ("options", "choices", "answer_letter", "precise_value", "tolerance", "unit")

    def __init__(self, convention: str = "auto", *, tolerance: float = 0.01) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise ValueError(f"tolerance is relative and in [0, 1): {tolerance}.")
        self.convention = convention_named(convention)
        self.tolerance = tolerance
        self.name = "choice" if convention == "auto" else f"choice:{convention}"
        self._mathematics = MathVerifier(convention)
        self._equality = MathVerifier("boxed")

    def check_gold(self, rows: Sequence[Row]) -> list[str | None]:
        """For each row why its gold answer cannot be used, or None."""
        found: list[str | None] = [None] * len(rows)
        free = [index for index, row in enumerate(rows) if not _options_of(row)]
        for index, problem in zip(free, self._mathematics.check_gold([rows[index] for index in free]), strict=True):
            found[index] = problem
        for index, row in enumerate(rows):
            if _options_of(row):
                read = _read(row)
                found[index] = read if isinstance(read, str) else None
        return found

    def verify(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Verdict]:
        """One verdict for each completion."""
        verdicts: list[Verdict | None] = [None] * len(completions)
        free = [index for index, row in enumerate(rows) if not _options_of(row)]
        judged = self._mathematics.verify([completions[i] for i in free], [rows[i] for i in free])
        for index, verdict in zip(free, judged, strict=True):
            verdicts[index] = verdict
        # What only mathematics can tell is asked in one batch: answers that name no option by letter or text.
        asked: list[tuple[int, str, str]] = []
        for index, (text, row) in enumerate(zip(completions, rows, strict=True)):
            if verdicts[index] is None:
                told = self._choose(text, row)
                if isinstance(told, Verdict):
                    verdicts[index] = told
                else:
                    asked.append((index, *told))
        boxes = [f"\\boxed{{{answer}}}" for _, answer, _ in asked]
        equal = self._equality.verify(boxes, [{"answer": option} for _, _, option in asked])
        for (index, answer, option), verdict in zip(asked, equal, strict=True):
            verdicts[index] = _as_choice(verdict, answer, option)
        return [verdict for verdict in verdicts if verdict is not None]

    def _choose(self, text: str, row: Row) -> Verdict | tuple[str, str]:
        """A verdict, or the answer and the right option's text, which mathematics has to compare."""
        question = _read(row)
        if isinstance(question, str):
            return Verdict(None, "bad_gold", reason=question)
        found = after_reasoning(text)
        if found.answer is not None:
            said = self.convention(found.answer)
            absent = said.answer is None and said.reason.startswith("there is no")
            found = replace(said, answer=_last_letter(found.answer)) if absent else said
        answer = found.answer
        if answer is None:
            return Verdict(0.0, "no_answer", reason=found.reason)
        if len(answer) > _LONGEST:
            return Verdict(0.0, "too_long", answer[:_LONGEST], f"the answer has {len(answer)} characters.")
        stripped = _PREFIX.sub("", answer.strip())
        letter = _letter(stripped, len(question.options))
        if letter is not None:
            return _named(letter, question, answer)
        labelled = _LABELLED.match(stripped)
        if labelled:
            letter = _letter(labelled.group(1), len(question.options))
            if letter is not None:
                return self._both(letter, labelled.group(2), question, answer)
        return self._by_text(stripped, question, answer)

    def _both(self, letter: int, text: str, question: _Question, answer: str) -> Verdict | tuple[str, str]:
        """A letter and a text: they must mean the same option."""
        if letter != question.right:
            return _named(letter, question, answer)
        told = self._by_text(text, question, answer)
        if isinstance(told, Verdict) and told.score != 1.0:
            return Verdict(0.0, "wrong", answer, "the letter is right, the text beside it is another option's.")
        return told

    def _by_text(self, text: str, question: _Question, answer: str) -> Verdict | tuple[str, str]:
        places = [place for place, option in enumerate(question.options) if _plain(option) == _plain(text)]
        if len(places) == 1:
            return _named(places[0], question, answer)
        value = None if question.values is None else read_number(text)
        if value is not None and question.values is not None:
            number = float(value.value)
            nearest = min(range(len(question.values)), key=lambda place: abs(question.values[place] - number))  # type: ignore[index]
            gap = abs(question.values[nearest] - number)
            if gap > self.tolerance * abs(question.values[nearest]):
                return Verdict(0.0, "wrong", answer, f"{number:g} is none of the options' values.")
            return _named(nearest, question, answer)
        if text.count("{") != text.count("}"):
            return Verdict(0.0, "unparsable", answer, "the braces of the answer do not match.")
        return text, question.options[question.right]


def _options_of(row: Row) -> list[Any]:
    for name in ("options", "choices"):
        options = row.get(name)
        if options is not None and len(options):
            return list(options)
    return []


def _read(row: Row) -> _Question | str:
    """The question of a row with options, or why it is none."""
    options = tuple(str(option) for option in _options_of(row))
    if len(options) > len(string.ascii_uppercase):
        return f"{len(options)} options are more than there are letters."
    gold, letter = row.get("answer"), row.get("answer_letter")
    right = _letter(str(letter), len(options)) if letter is not None else None
    if letter is not None and right is None:
        return f"answer_letter {letter!r} names none of the {len(options)} options."
    if right is None and gold is not None:
        right = _letter(str(gold).strip(), len(options))
    if right is None and gold is not None:
        places = [place for place, option in enumerate(options) if _plain(option) == _plain(str(gold))]
        right = places[0] if len(places) == 1 else None
    if right is None:
        return f"the gold answer {gold!r:.80} is neither a letter nor the text of one of the {len(options)} options."
    stated = row.get("precise_value")
    values = None if stated is None else tuple(float(value) for value in stated)
    if values is not None and (len(values) != len(options) or not all(map(math.isfinite, values))):
        return f"precise_value has {len(values)} numbers for {len(options)} options, or one that is not finite."
    return _Question(options, right, values)


def _letter(text: str, options: int) -> int | None:
    """The place of an option that a text names by its letter and by nothing else."""
    bare = text.strip()
    while (shorter := _WRAPPED.sub("", bare).strip()) != bare:
        bare = shorter
    if len(bare) == 1 and bare in string.ascii_uppercase[:options]:
        return string.ascii_uppercase.index(bare)
    return None


def _last_letter(text: str) -> str | None:
    lines = text.strip().splitlines()
    last = lines[-1].strip() if lines else ""
    return last if len(last) <= 12 and _letter(last, len(string.ascii_uppercase)) is not None else None


def _named(place: int, question: _Question, answer: str) -> Verdict:
    letters = string.ascii_uppercase
    if place == question.right:
        return Verdict(1.0, "correct", answer, f"it names option {letters[place]}.")
    reason = f"it names option {letters[place]}; right is {letters[question.right]}."
    return Verdict(0.0, "wrong", answer, reason)


def _as_choice(verdict: Verdict, answer: str, option: str) -> Verdict:
    """A verdict on the equality of answer and right option. An option that is no mathematics can only be named."""
    if verdict.status == "bad_gold":
        return Verdict(0.0, "wrong", answer, f"it is not the text of the right option, {option!r:.80}.")
    return replace(verdict, answer=answer)


def _plain(text: str) -> str:
    """An option's text for comparison: without blanks, dollar signs, text commands, a final point; in lower case."""
    bare = re.sub(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}", r"\1", text)
    return re.sub(r"[\s$~]|\\[,;! ]", "", bare).removesuffix(".").lower()
