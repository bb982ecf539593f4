r"""The program in a completion: the last complete fenced block of the language, after the reasoning block.

    ```python
    print(sum(map(int, input().split())))
    ```

The conventions, stated because numbers depend on them:

- What stands before the last `</think>` does not count. A `<think>` that is never closed leaves no answer at all: the
  completion was cut, or the answer hides in the reasoning.
- Of several blocks the last counts that says it is Python (`python`, `py`, `python3`, in any case); where none does,
  the last that names no language. Blocks of other languages (`text`, `cpp`, `output`) are skipped.
- A fence is three or more backticks or tildes at the start of a line, after blanks at most; the same character, at
  least as many, alone on its line, closes it. A block that is never closed, because the text ends or another block
  begins, is no answer: its program was cut.
- Without any fence there is no answer, unless `bare` says that the whole text is the program, as base models write it.
- A text that continues a function of the prompt ends where the published evaluations of base models stop sampling
  (HumanEval, arXiv 2107.03374): before a line that begins with `class`, `def`, `#`, `if` or `print` at its left edge.
"""

from __future__ import annotations

from typing import NamedTuple

LANGUAGES = frozenset({"python", "py", "python3", "py3"})
_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
_CLOSED, _OPENED = "</think>", "<think>"


def program_of(completion: str, *, bare: bool = False) -> str | None:
    """The program that a completion gives as its answer, or None where there is none.

    Args:
        completion: the text that the model wrote.
        bare: whether a text without any fence is a program as it stands.
    """
    text = after_reasoning(completion)
    if text is None:
        return None
    blocks, fenced = fenced_blocks(text)
    for languages in (LANGUAGES, {""}):
        for language, body in reversed(blocks):
            if language.lower() in languages:
                return without_bom(body)
    return without_bom(text) if bare and not fenced and text.strip() else None


def continuation_of(text: str) -> str:
    """What of a text belongs to the function that it continues: all before a line that begins something else."""
    ends = [place for stop in _STOPS if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def after_reasoning(completion: str) -> str | None:
    """What follows the reasoning block; the whole text where there is none; None where it is never closed."""
    _, closed, rest = completion.rpartition(_CLOSED)
    return None if _OPENED in rest else rest if closed else completion


def fenced_blocks(text: str) -> tuple[list[tuple[str, str]], bool]:
    """The language and the content of each complete block, and whether there is a fence at all, closed or not."""
    blocks: list[tuple[str, str]] = []
    body: list[str] = []
    opened: _Fence | None = None
    fenced = False
    for line in text.split("\n"):
        fence = _fence(line)
        if fence and (opened is None or (fence.info and fence.marks[0] == opened.marks[0])):
            # Inside a block: that one was never closed, and a new one begins.
            opened, body, fenced = fence, [], True
        elif opened and fence and fence.marks.startswith(opened.marks):
            blocks.append((opened.language, "\n".join(body)))
            opened = None
        elif opened:
            blanks = len(line) - len(line.lstrip(" \t"))
            body.append(line[min(blanks, opened.indent) :])  # a block in a list is indented as a whole
    return blocks, fenced


class _Fence(NamedTuple):
    indent: int
    marks: str
    info: str

    @property
    def language(self) -> str:
        return self.info.split(None, 1)[0].strip("{.}") if self.info else ""


def _fence(line: str) -> _Fence | None:
    """By hand: a pattern with two open ends takes quadratic time on the line that a hostile model writes."""
    rest = line.lstrip(" \t")
    if not rest.startswith(("```", "~~~")):
        return None
    info = rest.lstrip(rest[0])
    if "`" in info:  # a line of code in backticks
        return None
    return _Fence(len(line) - len(rest), rest[: len(rest) - len(info)], info.strip())


def without_bom(text: str) -> str:
    """A byte order mark at the start is no part of a program; Python skips it in files, but not in texts."""
    return text.removeprefix("\ufeff")
