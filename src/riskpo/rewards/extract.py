r"""Where the answer of a completion stands: after the reasoning, and by the rule of a named convention.

A number is only worth something with its convention beside it, so each has a name, and each says its rule:

`boxed`: the content of the last `\boxed{}` or `\fbox{}`.
`gsm8k-strict`: the number of the last `#### number`, the form of GSM8K's own solutions (lm-evaluation-harness's
    strict-match: one blank, then digits, commas, points and a minus sign). The harness takes the first and cuts the
    generation at the next "Question:"; we take the last. It compares texts without commas, `$` and a final point; we
    compare numbers (18.00 is 18).
`gsm8k-flexible`: the last number of the completion, whatever stands around it. Unlike the harness's flexible-extract,
    which takes any run of digits, commas and points, a fraction `3/4` is one number, and a trailing point is none.
`dapo`: what follows the last "Answer:" on its line, within the last 300 characters, any case, as in verl's `math_dapo`.
    verl then compares texts after Minerva's normalisation (units of a list removed, everything before the last `=`
    dropped, `\boxed{}`, `\text{}` and `$` taken off); we compare values, so 0.5 is 1/2, and a unit, an `=` or a box on
    that line is read by the same rules as everywhere in this package. verl's score of -1 for a wrong answer is 0 here.
`auto`: the last box; where there is none, what follows the last "answer is", "answer:" or "answer ="; where there is
    none, what follows the last `####` on its line. The default for training.

Rules for all of them. Only what follows the reasoning block counts; a block that is not closed has no answer after it.
The last answer wins, also where it is worse: a last box whose braces do not close (a truncated one) is no answer, and
no earlier one stands in for it. A box inside a box is part of the outer one.
Every search is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from riskpo.errors import ConfigError, unknown_name

THINK = ("<think>", "</think>")
_LATEST = 300  # characters that verl's math_dapo looks at


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found: the answer as it stands in the completion, or None and the reason."""

    answer: str | None
    reason: str = ""


Source = Callable[[str], Extraction]


def last_box(text: str) -> Extraction:
    r"""The content of the last `\boxed{}` or `\fbox{}` that is in no other box."""
    opened: list[tuple[int, int]] = []  # of each open brace: where its box begins (-1: no box), where its content does
    boxes: list[tuple[int, int]] = []  # start and end of closed contents, none within another
    latest = -1
    for token in _BOX_TOKEN.finditer(text):
        found = token.group()
        if found == "}":
            start, content = opened.pop() if opened else (-1, -1)
            if start >= 0:
                while boxes and boxes[-1][0] > start:
                    boxes.pop()
                boxes.append((content, token.start()))
        elif found[-1] == "{" and found != "\\{":
            start = token.start() if len(found) > 1 else -1
            opened.append((start, token.end()))
            latest = token.end() if len(found) > 1 else latest
    if latest < 0:
        return Extraction(None, "there is no \\boxed{}.")
    if not boxes or boxes[-1][1] < latest:
        return Extraction(None, "the last \\boxed{} is not closed.")
    return Extraction(text[boxes[-1][0] : boxes[-1][1]].strip())


_BOX_TOKEN = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)


def last_hashed_number(text: str) -> Extraction:
    """The number of the last `#### number`."""
    found = _last(re.compile(r"#### (-?[0-9.,]+)"), text)
    if found is None:
        return Extraction(None, "there is no '#### number'.")
    return Extraction(found.group(1).rstrip(".,"))


def last_hashed_line(text: str) -> Extraction:
    """What follows the last `####` on its line."""
    at = text.rfind("####")
    if at < 0:
        return Extraction(None, "there is no '####'.")
    line = text[at + 4 :].split("\n", 1)[0].strip()
    return Extraction(line, "") if line else Extraction(None, "nothing follows the last '####'.")


def last_number(text: str) -> Extraction:
    """The last number, with its sign, thousands separators, decimals, and the whole of a fraction `a/b`."""
    found = _last(_NUMBER, text)
    return Extraction(found.group()) if found else Extraction(None, "there is no number.")


# A minus only where it is no hyphen (10-12). No part of a number is skipped: each run of digits is read once.
_NUMBER = re.compile(r"(?:(?<![\w)])[-\u2212])?\d[\d,]*(?:\.\d+)?(?:/\d+(?:\.\d+)?)?(?<!,)|(?<!\d)\.\d+", re.ASCII)


def last_answer_line(text: str) -> Extraction:
    """What follows the last "Answer:" on its line, within the last 300 characters."""
    found = _last(re.compile(r"answer\s*:\s*([^\n]+)", re.IGNORECASE), text[-_LATEST:])
    if found is None:
        return Extraction(None, f"there is no 'Answer:' in the last {_LATEST} characters.")
    return Extraction(found.group(1).strip())


def last_stated(text: str) -> Extraction:
    """What follows the last "answer is", "answer:" or "answer =", up to the end of its clause."""
    found = _last(_STATED, text)
    if found is None:
        return Extraction(None, "there is no 'answer is', 'answer:' or 'answer ='.")
    rest = text[found.end() :].lstrip()
    mathematics = _DELIMITED.match(rest)
    if mathematics and (stated := mathematics.group()):
        tail = rest[mathematics.end() :].split("\n", 1)[0]
        return Extraction((stated + _CLAUSE.split(tail, maxsplit=1)[0]).strip())
    clause = _CLAUSE.split(rest.split("\n", 1)[0], maxsplit=1)[0].strip()
    return Extraction(clause) if clause else Extraction(None, "nothing follows the last 'answer'.")


_STATED = re.compile(r"\banswer(?:\s*\*\*)?\s*(?:is\b\s*:?|:|=)(?:\s*\*\*)?", re.IGNORECASE)
_DELIMITED = re.compile(r"\$\$[^$]{1,2000}\$\$|\\\[[^\[\]]{1,2000}\\\]")  # displayed mathematics may span lines
_CLAUSE = re.compile(r"[.;,]\s+(?!or\b|and\b)(?=[A-Za-z]{2,})|[.;]\s+(?=[A-Z])")


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007
        pass
    return found


@dataclass(frozen=True, slots=True)
class Convention:
    """A rule that says where the answer stands.

    Args:
        name: what a table calls it.
        sources: tried in order; the next one only where the text holds nothing of the one before: an unclosed box is
            no reason to look for "Answer:".
    """

    name: str
    sources: tuple[Source, ...] = field(repr=False)

    def __call__(self, text: str) -> Extraction:
        reasons = []
        for source in self.sources:
            found = source(text)
            if found.answer is not None or not found.reason.startswith("there is no"):
                return found
            reasons.append(found.reason)
        return Extraction(None, " ".join(reasons))


CONVENTIONS: Mapping[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention("auto", (last_box, last_stated, last_hashed_line)),
        Convention("boxed", (last_box,)),
        Convention("gsm8k-strict", (last_hashed_number,)),
        Convention("gsm8k-flexible", (last_number,)),
        Convention("dapo", (last_answer_line,)),
    )
}


def convention_named(name: str) -> Convention:
    """The convention of a name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in CONVENTIONS:
        raise ConfigError(unknown_name("convention", name, CONVENTIONS))
    return CONVENTIONS[name]


def after_reasoning(text: str, tags: tuple[str, str] = THINK, *, opened: bool = False) -> Extraction:
    """What follows the reasoning block; the whole text where there is none.

    Args:
        text: a completion.
        tags: what opens and what closes the block.
        opened: the prompt has opened it already, so that a completion that does not close it has no answer.
    """
    opening, closing = text.rfind(tags[0]), text.rfind(tags[1])
    if opening > closing:
        return Extraction(None, f"the reasoning that {tags[0]} opened is not closed.")
    if closing < 0 and opened:
        return Extraction(None, f"the reasoning that the prompt opened is not closed: there is no {tags[1]}.")
    return Extraction(text[closing + len(tags[1]) :] if closing >= 0 else text)
