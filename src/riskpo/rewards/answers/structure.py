r"""The shape of an answer: several answers, tuples, intervals, sets, unions, matrices, relations, bases, single values.

`read` cuts a text at the separators outside of all brackets and gives a tree; single values stay texts. Nothing is
evaluated. Two answers of different shapes are not compared by their values at all, which is what keeps `(1, 2)` the
point from being `{1, 2}` the set, `1` from being "1 or 2", and a tuple from losing an element on the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from riskpo.rewards.answers.notation import UnreadableError, closing, tidy

DEEPEST = 40  # brackets within brackets
MOST = 200  # parts of one list


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value."""

    text: str


@dataclass(frozen=True, slots=True)
class Several:
    """Answers in any order: comma-separated, joined by "and" or "or", or a set in braces."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Bracket:
    """Ordered parts in brackets: a tuple, a point, an interval. `opening` is one of `([`, `ending` one of `)]`."""

    opening: str
    ending: str
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Union:
    r"""Sets joined by `\cup`, in any order; `text` is the whole."""

    parts: tuple[Node, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """`parts[0] operators[0] parts[1] operators[1] ...`; operators are of `= ne < > le ge approx`."""

    parts: tuple[Node, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a stated base: `52_8`."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Parts joined by colons: `3:2`, `1:2:3`, `12:30`."""

    parts: tuple[str, ...]


Node = Leaf | Several | Bracket | Union | Matrix | Relation | Based | Ratio

_THOUSANDS = re.compile(r"[-+]?\s*(?:\\\$)?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:\s.*|\\text.*|\\?%)?")
_BASED = re.compile(r"(-?\s*[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)\s*_\s*(?:\{\s*(\d{1,2})\s*\}|(\d))")
_RATIO = re.compile(r"[^:]{1,60}(?::[^:]{1,60}){1,5}")
_MEMBER = re.compile(r"[A-Za-z](?:\([A-Za-z]\))?\s*\\in(?![A-Za-z])\s*")
# t(0,4]: a name before an interval whose membership sign was lost; brackets of two kinds are no function's.
_LOST_MEMBER = re.compile(r"[a-z]\s*(?=\([^()\[\]]*\]$|\[[^()\[\]]*\)$)")
_MATRIX = re.compile(r"\\begin\{(pmatrix|bmatrix|matrix|array|smallmatrix|Bmatrix)\}(?:\{[lcr|]*\})?")
_CUP = re.compile(r"\\cup(?![A-Za-z])|(?<=[)\]}])\s*U\s*(?=[(\[\\])")
_OPERATOR = re.compile(r"\\(le|ge|ne|approx)(?![A-Za-z])|([<>])\s*(=)?|(=)=?|(?<![A-Za-z])(?:\\?~)")
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])|\+/-|\+-")
# Brackets of every kind count as one depth; `\{` and `\}` are brackets, a brace belongs to a command.
_TOKEN = re.compile(r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\[A-Za-z]+|\\.|[(\[{}\])]", re.DOTALL)


def read(text: str, *, several: bool | None = None) -> Node:
    """The shape of an answer.

    Args:
        text: as it stands in a completion or a data set.
        several: whether it is known to be several answers (then `100,200` is two), or a single one (it is 100200 if
            it can be); None = `100,200` is a number, `100, 200` are two.

    Raises:
        UnreadableError: no text, brackets that do not match, too many or too deep parts, invisible characters.
    """
    text = tidy(text)
    _depths(text)  # refuses what is too deep before anything here calls itself
    return _read(text, several)


def _read(text: str, several: bool | None) -> Node:
    text = _bare(text)
    if not text:
        raise UnreadableError("the answer is empty.")
    if several is not True and _THOUSANDS.fullmatch(text):
        return Leaf(text)
    items = [text] if _in_matrix(text) else _separated(text)
    if len(items) > 1:
        return Several(_flat([_read(item, None) for item in items]))
    if member := _MEMBER.match(text) or _LOST_MEMBER.match(text):
        return _read(text[member.end() :], several)
    parts = _split(text, _CUP)
    if len(parts) > 1:
        return Union(tuple(_read(part, None) for part in parts), text)
    relation = _relation(text)
    if relation is not None:
        return relation
    return _bracketed(text) or _matrix(text) or _scalar(text)


def _scalar(text: str) -> Node:
    based = _BASED.fullmatch(text)
    if based and (base := int(based.group(2) or based.group(3))) > 1 and _digits_fit(based.group(1), base):
        return Based(based.group(1).replace(" ", ""), base)
    if ":" in text and _RATIO.fullmatch(text):
        return Ratio(tuple(part.strip() for part in text.split(":")))
    if _PLUS_MINUS.search(text):
        return Several(tuple(Leaf(choice) for choice in _both_signs(text)))
    return Leaf(text)


def _digits_fit(digits: str, base: int) -> bool:
    try:
        return base <= 36 and all(int(digit, 36) < base for digit in digits.strip("- ").replace(".", ""))
    except ValueError:
        return False


def _both_signs(text: str) -> list[str]:
    r"""`a \pm b` as both values."""
    pieces = _PLUS_MINUS.split(text)
    if len(pieces) > 2:
        raise UnreadableError("more than one \\pm in one value can mean two things.")
    before, after = pieces
    return [f"{before} {sign} {after}".strip(" +") if sign == "+" else f"{before} - {after}" for sign in "+-"]


def _bracketed(text: str) -> Node | None:
    """A tuple, an interval or a set, where one pair of brackets holds the whole."""
    opening = next((mark for mark in ("(", "[", "\\{") if text.startswith(mark)), None)
    if opening is None:
        return None
    depths = _depths(text)
    end = next((start for start, depth, token in depths if depth == 0 and token in (")", "]", "\\}")), -1)
    ending = text[-2:] if text.endswith("\\}") else text[-1]
    if end != len(text) - len(ending) or (opening == "\\{") != (ending == "\\}"):
        return None
    inner = text[len(opening) : end].strip()
    if opening == "\\{":
        if "|" in inner or ":" in inner:
            raise UnreadableError("sets given by a condition are not read.")
        parts = _separated(inner)
        return Several(_flat([_read(part, None) for part in parts if part.strip()]))
    parts = _separated(inner)
    if len(parts) == 1:
        return _read(inner, None) if opening == "(" and ending == ")" and _PLUS_MINUS.search(inner) is None else None
    items = tuple(_read(part, None) for part in parts)
    return Bracket(opening, ending, items)


def _matrix(text: str) -> Node | None:
    begin = _MATRIX.match(text)
    if begin is None:
        return None
    end = f"\\end{{{begin.group(1)}}}"
    if not text.endswith(end) or text.count(end) != 1 or text.count("\\begin{") != 1:
        return None
    inner = text[begin.end() : -len(end)].strip()
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr(?![a-z])", inner) if row.strip()]
    return Matrix(tuple(tuple(_read(cell, None) for cell in row.split("&")) for row in rows))


def _in_matrix(text: str) -> bool:
    return text.startswith("\\begin{")


def _relation(text: str) -> Relation | None:
    depths = _depth_at(text)
    operators, parts, last = [], [], 0
    for found in _OPERATOR.finditer(text):
        if depths[found.start()] or text[max(found.start() - 1, 0) : found.start()] in ("\\", "!"):
            continue
        named, angle, equal, plain = found.groups()
        sign = named or ({"<": "le", ">": "ge"}[angle] if equal and angle else angle) or plain or "approx"
        operators.append(sign)
        parts.append(text[last : found.start()])
        last = found.end()
    if not operators:
        return None
    parts.append(text[last:])
    if not all(part.strip() for part in parts):
        raise UnreadableError("a relation lacks a side.")
    if len(parts) > 12:
        raise UnreadableError("too many relations in one answer.")
    return Relation(tuple(_read(part, None) for part in parts), tuple(operators))


def _separated(text: str) -> list[str]:
    """The parts between commas and semicolons outside of all brackets; thousands separators stay."""
    pieces = _split(text, re.compile(r"[;,]"), keep=True)
    parts = [pieces[0]]
    for mark, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        # "1,000, 2,000": a comma without a blank is a separator of thousands where others have a blank.
        if mark == "," and re.search(r",\s", text) and re.match(r"\d{3}(?!\d)", piece) and _ends_group(parts[-1]):
            parts[-1] += mark + piece
        else:
            parts.append(piece)
    if len(parts) > MOST:
        raise UnreadableError(f"more than {MOST} answers.")
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    return [part.strip() for part in parts]


def _ends_group(text: str) -> bool:
    return re.search(r"(?<![\d.,])\d{1,3}(?:,\d{3})*$", text) is not None


def _flat(nodes: list[Node]) -> tuple[Node, ...]:
    """Answers of answers (from a plus-minus sign, or a set in a list) are answers."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.items if isinstance(node, Several) else (node,))
    if len(flat) > MOST:
        raise UnreadableError(f"more than {MOST} answers.")
    return tuple(flat)


def _bare(text: str) -> str:
    text = text.strip()
    while text.startswith("{") and closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _split(text: str, separator: re.Pattern[str], *, keep: bool = False) -> list[str]:
    if separator.search(text) is None:
        return [text]
    depths, pieces, last = _depth_at(text), [], 0
    for found in separator.finditer(text):
        if depths[found.start()] == 0:
            pieces.append(text[last : found.start()])
            if keep:
                pieces.append(found.group())
            last = found.end()
    return [*pieces, text[last:]]


def _depths(text: str) -> list[tuple[int, int, str]]:
    """Each bracket: its place, the depth behind it, and itself.

    Raises:
        UnreadableError: brackets that do not match, or are too deep.
    """
    found, stack = [], []
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in _OPEN or mark.startswith("\\begin{"):
            stack.append(_OPEN.get(mark, "environment"))
        elif mark in _KINDS or mark.startswith("\\end{"):
            if not stack or stack.pop() != _KINDS.get(mark, "environment"):
                raise UnreadableError("the brackets do not match.")
        else:
            continue
        if len(stack) > DEEPEST:
            raise UnreadableError(f"more than {DEEPEST} brackets within each other.")
        found.append((token.start(), len(stack), mark))
    if stack:
        raise UnreadableError("the brackets do not match.")
    return found


# Round and square brackets close each other: [0, 1).
_OPEN = {"(": "round", "[": "round", "{": "brace", "\\{": "set"}
_KINDS = {")": "round", "]": "round", "}": "brace", "\\}": "set"}


def _depth_at(text: str) -> list[int]:
    depths, last, depth = [0] * len(text), 0, 0
    for start, behind, _ in _depths(text):
        depths[last:start] = [depth] * (start - last)
        depths[start] = max(depth, behind)
        last, depth = start + 1, behind
    depths[last:] = [depth] * (len(text) - last)
    return depths
