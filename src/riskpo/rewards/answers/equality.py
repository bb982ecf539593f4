r"""When two answers are the same: the rules for each shape, down to single values.

The gold answer decides. Several gold answers may come in any order, also as a set, and repeated ones count once; a gold
tuple, point or interval keeps its order and its brackets (from three parts on, round ones may be left out or added:
with two, `-2, 1` is no `(-2, 1)`); a name before an equals sign may be left out or added, but
two stated names must agree; of a chain `x = 10/2 = 5` every part behind the name must be right; an inequality that is
solved for its variable is the interval it describes. Digits in a base (`52_8`) may come without the base; in another
base they are wrong, since such a problem asks for the digits. Against a plain gold a stated base gives the value.
Nothing here evaluates an expression: that is the comparison handed in as `Rules.same_expression`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from riskpo.rewards.answers.numbers import Marked, equal_quantities, read_number, without_marks
from riskpo.rewards.answers.structure import Based, Bracket, Leaf, Matrix, Node, Ratio, Relation, Several, Union
from riskpo.rewards.answers.units import conversion


@dataclass(frozen=True)
class Rules:
    """What a comparison needs besides the two answers.

    Args:
        same_expression: whether two formulas are the same; the second one times a factor.
        same_set: whether two texts are the same set of numbers.
        proportional: whether two differences of sides, given as pairs of texts, are multiples of each other; the last
            argument says whether by a positive number only.
        tolerance: how far a number may lie from the gold one.
        unit: of the gold, where its text states none.
        by_text: whether equal texts are equal without being read.
    """

    same_expression: Callable[[str, str, Fraction, Fraction | None], bool]
    same_set: Callable[[str, str], bool]
    proportional: Callable[[tuple[str, str], tuple[str, str], bool], bool]
    tolerance: Fraction | None = None
    unit: str | None = None
    by_text: bool = True


def same(gold: Node, answer: Node, rules: Rules) -> bool:
    """Whether an answer is the gold one, by the rules at the top of this module.

    Raises:
        UnreadableError: from the comparison of formulas.
    """
    if isinstance(answer, Relation) and not isinstance(gold, Relation):
        return _unnamed(gold, answer, rules)
    match gold:
        case Leaf():
            return _same_leaf(gold, answer, rules)
        case Several():
            return _same_several(gold, answer, rules)
        case Bracket():
            return _same_bracket(gold, answer, rules)
        case Union():
            return _same_union(gold, answer, rules)
        case Matrix():
            return _same_matrix(gold, answer, rules)
        case Relation():
            return _same_relation(gold, answer, rules)
        case Based():
            return _same_based(gold, answer)
        case Ratio():
            return _same_ratio(gold, answer, rules)
    raise TypeError(type(gold).__name__)


def leaves(node: Node) -> Iterable[str]:
    """The texts of all single values; the name in `x = 5` is none."""
    match node:
        case Leaf():
            yield node.text
        case Several() | Bracket():
            yield from (text for item in node.items for text in leaves(item))
        case Relation():
            named = set(node.operators) == {"="} and _is_name(node.parts[0])
            yield from (text for part in node.parts[named:] for text in leaves(part))
        case Union():
            yield from (text for part in node.parts for text in leaves(part))
        case Matrix():
            yield from (text for row in node.rows for cell in row for text in leaves(cell))
        case _:
            return


# --- single values ---


def _same_leaf(gold: Leaf, answer: Node, rules: Rules) -> bool:
    if isinstance(answer, Several):
        if not answer.items:
            return _is_empty_set(gold)
        return all(same(gold, item, rules) for item in answer.items)
    if isinstance(answer, Based):
        right = read_number(gold.text, tidied=True)
        return right is not None and not right.percent and right.value == based_value(answer)
    if isinstance(answer, Ratio):
        return _ratio_is(answer, gold.text)
    if isinstance(answer, (Union, Bracket)):
        return _SETS.search(gold.text) is not None and _same_sets(gold, answer, rules)
    if isinstance(answer, Matrix):
        return "\\begin{" in gold.text and rules.same_expression(gold.text, _matrix_text(answer), Fraction(1), None)
    return isinstance(answer, Leaf) and same_texts(gold.text, answer.text, rules)


def same_texts(gold: str, answer: str, rules: Rules) -> bool:
    """Whether two single values are the same: numbers exactly, words as words, the rest as formulas."""
    if rules.by_text and _GAPS.sub("", gold) == _GAPS.sub("", answer):
        return True
    right, given = read_number(gold, tidied=True), read_number(answer, tidied=True)
    if right is not None and given is not None:
        return equal_quantities(right, given, tolerance=rules.tolerance, unit=rules.unit)
    if words(gold) is not None or words(answer) is not None:
        ours, theirs = words(gold, short=True), words(answer, short=True)
        return ours is not None and ours == theirs
    marked, marks = without_marks(gold), without_marks(answer)
    if _SETS.search(gold) and _SETS.search(answer):
        return rules.same_set(gold, answer)
    factor = conversion(marked.unit or rules.unit, marks.unit)
    if factor is None:
        return False
    tolerance = rules.tolerance
    return any(
        rules.same_expression(marked.core, marks.core, factor * percent * marks.scale / marked.scale, tolerance)
        for percent in _percents(marked, marks, None if right is None else right.value, rules.unit)
    )


def _percents(gold: Marked, answer: Marked, value: Fraction | None, unit: str | None) -> tuple[Fraction, ...]:
    if gold.percent:
        return (Fraction(1),) if answer.percent else (Fraction(1), Fraction(100))
    if answer.percent and unit != "%":
        return (Fraction(1),) if value is not None and abs(value) > 1 else (Fraction(1, 100),)
    return (Fraction(1),)


_GAPS = re.compile(r"(?<![0-9A-Za-z])\s+|\s+(?![0-9A-Za-z])")  # blanks that part nothing: "4 2" is not 42
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9 .:'/-]*")
# A word, not a product of variables: four letters in a row, or two with a capital, or what stood in \text{}.
_WORD = re.compile(r"[A-Za-z]{4}|[A-Z][A-Za-z]|[A-Za-z][A-Z]|[A-Za-z] +[A-Za-z]{2}|[A-Za-z]{2} ")


def words(text: str, *, short: bool = False) -> str | None:
    """A text of words in one spelling (small letters, no points), or None where it is mathematics.

    Args:
        text: a single value.
        short: whether two or three letters, which may be a product of variables, are a word too.
    """
    plain = _TEXT.sub(r" \1 ", text).strip()
    if "\\" in plain or not _WORDS.fullmatch(plain):
        return None
    if not short and "\\text" not in text and not _WORD.search(plain):
        return None
    return " ".join(plain.lower().replace(".", "").split())


# --- shapes ---


def _same_several(gold: Several, answer: Node, rules: Rules) -> bool:
    given: tuple[Node, ...]
    if isinstance(answer, Bracket) and _is_plain_list(answer):
        # "(1, 2, 3)" for "1, 2, 3": harmless brackets, unless the gold answers are points themselves.
        given = answer.items if not any(isinstance(item, Bracket) for item in gold.items) else (answer,)
    elif isinstance(answer, Union):
        intervals = [_interval(item) if isinstance(item, Relation) else item for item in gold.items]
        return all(intervals) and _each_matched([i for i in intervals if i], answer.parts, rules)
    else:
        given = answer.items if isinstance(answer, Several) else (answer,)
    if not gold.items or not given:
        return len(gold.items) == len(given) or (not gold.items and _is_empty_set(answer))
    return _each_matched(gold.items, given, rules)


def _each_matched(gold: Iterable[Node], answer: Iterable[Node], rules: Rules) -> bool:
    """Every gold answer is given, and nothing else: as sets, so that what is repeated counts once."""
    golds, given = list(gold), list(answer)
    if len(given) > 2 * len(golds):  # a long list of guesses
        return False
    open_golds = set(range(len(golds)))
    for item in given:
        found = {place for place, right in enumerate(golds) if same(right, item, rules)}
        if not found:
            return False
        open_golds -= found
    return not open_golds


def _same_bracket(gold: Bracket, answer: Node, rules: Rules) -> bool:
    if isinstance(answer, Several) and answer.items and all(isinstance(item, Bracket) for item in answer.items):
        return all(same(gold, item, rules) for item in answer.items)
    if isinstance(answer, Several):  # the brackets left out: the order counts all the same
        return _is_plain_list(gold) and _in_order(gold.items, answer.items, rules)
    if isinstance(answer, (Union, Leaf)):
        return (_SETS.search(answer.text) is not None) and _same_sets(gold, answer, rules)
    if not isinstance(answer, Bracket):
        return False
    ours, theirs = gold.opening + gold.ending, answer.opening + answer.ending
    alike = ours == theirs or (len(gold.items) > 2 and {ours, theirs} == {"()", "[]"})  # (1,2,3) is [1,2,3]
    return alike and _in_order(gold.items, answer.items, rules)


def _is_plain_list(bracket: Bracket) -> bool:
    """Whether its brackets may be left out: not those of an interval, or of what could be one."""
    return (bracket.opening, bracket.ending) == ("(", ")") and len(bracket.items) > 2


def _in_order(gold: tuple[Node, ...], answer: tuple[Node, ...], rules: Rules) -> bool:
    return len(gold) == len(answer) and all(same(g, a, rules) for g, a in zip(gold, answer, strict=True))


def _same_union(gold: Union, answer: Node, rules: Rules) -> bool:
    if isinstance(answer, Union) and _each_matched(gold.parts, answer.parts, rules):
        return True
    if isinstance(answer, Several):
        intervals = [_interval(item) if isinstance(item, Relation) else None for item in answer.items]
        return all(intervals) and _each_matched(gold.parts, [i for i in intervals if i], rules)
    return isinstance(answer, (Union, Bracket, Leaf)) and _same_sets(gold, answer, rules)


_SETS = re.compile(r"\\(?:cup|cap|setminus|backslash|mathbb|emptyset)(?![A-Za-z])")


def _same_sets(gold: Node, answer: Node, rules: Rules) -> bool:
    ours, theirs = _set_text(gold), _set_text(answer)
    return ours is not None and theirs is not None and rules.same_set(ours, theirs)


def _set_text(node: Node) -> str | None:
    if isinstance(node, (Union, Leaf)):
        return node.text
    if isinstance(node, Bracket) and len(node.items) == 2 and all(isinstance(item, Leaf) for item in node.items):
        return node.opening + ",".join(leaves(node)) + node.ending
    return None


def _is_empty_set(node: Node) -> bool:
    return isinstance(node, Leaf) and node.text.strip() == "\\emptyset"


def _same_matrix(gold: Matrix, answer: Node, rules: Rules) -> bool:
    if isinstance(answer, Leaf) and "\\begin{" in answer.text:
        return rules.same_expression(_matrix_text(gold), answer.text, Fraction(1), None)
    if not isinstance(answer, Matrix) or len(gold.rows) != len(answer.rows):
        return False
    return all(_in_order(g, a, rules) for g, a in zip(gold.rows, answer.rows, strict=True))


def _matrix_text(node: Matrix) -> str:
    rows = r" \\ ".join(" & ".join("".join(leaves(cell)) for cell in row) for row in node.rows)
    return rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}"


def _same_based(gold: Based, answer: Node) -> bool:
    if isinstance(answer, Based):
        return answer.base == gold.base and _digits(answer.digits) == _digits(gold.digits)
    return isinstance(answer, Leaf) and _digits(answer.text) == _digits(gold.digits)


def _digits(text: str) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, part = digits.replace(" ", "").replace(",", "").upper().partition(".")
    return sign + (whole.lstrip("0") or "0") + "." + part.rstrip("0")


def based_value(based: Based) -> Fraction:
    """The number that digits in a base stand for."""
    whole, _, part = based.digits.lstrip("-").partition(".")
    value = Fraction(int(whole + part, based.base), based.base ** len(part))
    return -value if based.digits.startswith("-") else value


def _same_ratio(gold: Ratio, answer: Node, rules: Rules) -> bool:
    if isinstance(answer, Leaf):
        return _ratio_is(gold, answer.text)
    if not isinstance(answer, Ratio) or len(gold.parts) != len(answer.parts):
        return False
    ours, theirs = _whole(gold), _whole(answer)
    if ours is not None and theirs is not None and any(ours) and any(theirs):
        pairs = list(zip(ours, theirs, strict=True))
        return all(a * d == b * c for a, b in pairs for c, d in pairs)
    return all(same_texts(g, a, rules) for g, a in zip(gold.parts, answer.parts, strict=True))


def _whole(ratio: Ratio) -> list[int] | None:
    """Its parts as integers; None for a time of day (12:05), whose parts are no shares, and for anything else."""
    if any(not re.fullmatch(r"0|[1-9]\d{0,17}", part, re.ASCII) for part in ratio.parts):
        return None
    return [int(part) for part in ratio.parts]


def _ratio_is(ratio: Ratio, text: str) -> bool:
    parts, number = _whole(ratio), read_number(text, tidied=True)
    if parts is None or len(parts) != 2 or parts[1] == 0 or number is None or number.percent:
        return False
    return number.value == Fraction(parts[0], parts[1])


# --- relations ---

_NAME = re.compile(r"(?![0-9])(?=.*[A-Za-z])[^+*/^=<>-]{1,60}")
_VALUES = re.compile(r"\\(?:frac|sqrt|pi|cdot|times|binom|infty)(?![A-Za-z])")
_VARIABLE = re.compile(r"\\?[A-Za-z]+(?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]+\}))?")


def _is_name(node: Node) -> bool:
    return isinstance(node, Leaf) and bool(_NAME.fullmatch(node.text)) and not _VALUES.search(node.text)


def _is_named(node: Node) -> bool:
    """A name, or several in brackets: `(x, y) = (1, 2)`."""
    return _is_name(node) or (isinstance(node, Bracket) and all(_is_name(item) for item in node.items))


def _unnamed(gold: Node, answer: Relation, rules: Rules) -> bool:
    """A relation given where the gold answer is none: `x = 5` for 5, `x > 2` for an interval."""
    if set(answer.operators) <= {"=", "approx"}:
        parts, operators = list(answer.parts), answer.operators
        while len(parts) > 1 and _is_named(parts[0]) and gold != parts[0]:
            parts, operators = parts[1:], operators[1:]
        exact = operators.index("approx") + 1 if "approx" in operators else len(parts)
        return all(same(gold, part, rules) for part in parts[:exact])
    interval = _interval(answer)
    return interval is not None and isinstance(gold, (Bracket, Union)) and same(gold, interval, rules)


def _interval(relation: Relation) -> Bracket | None:
    """The interval of an inequality that is solved for a single variable."""
    operators = set(relation.operators)
    parts, signs = relation.parts, relation.operators
    if operators <= {">", "ge"}:
        parts, signs = parts[::-1], tuple({">": "<", "ge": "le"}[sign] for sign in signs[::-1])
    elif not operators <= {"<", "le"}:
        return None
    places = [place for place, part in enumerate(parts) if isinstance(part, Leaf) and _VARIABLE.fullmatch(part.text)]
    if len(places) != 1 or len(parts) > 3 or (len(parts) == 3 and places != [1]):
        return None
    place = places[0]
    low = parts[place - 1] if place else Leaf("-\\infty")
    high = parts[place + 1] if place + 1 < len(parts) else Leaf("\\infty")
    opening = "[" if place and signs[place - 1] == "le" else "("
    ending = "]" if place + 1 < len(parts) and signs[place] == "le" else ")"
    return Bracket(opening, ending, (low, high))


_FLIPPED = {"<": ">", ">": "<", "le": "ge", "ge": "le", "=": "=", "ne": "ne", "approx": "approx"}


def _same_relation(gold: Relation, answer: Node, rules: Rules) -> bool:
    if not isinstance(answer, Relation):
        if set(gold.operators) == {"="} and _is_name(gold.parts[0]):
            return same(gold.parts[-1], answer, rules)
        interval = _interval(gold)
        return interval is not None and isinstance(answer, (Bracket, Union)) and same(interval, answer, rules)
    if set(gold.operators) == {"="} == set(answer.operators) and _is_name(gold.parts[0]) and _is_name(answer.parts[0]):
        named = (gold.parts[0], answer.parts[0])
        if _spelt(named[0]) == _spelt(named[1]):
            return all(same(gold.parts[-1], part, rules) for part in answer.parts[1:])
    for parts, operators in (
        (answer.parts, answer.operators),
        (answer.parts[::-1], tuple(_FLIPPED[sign] for sign in answer.operators[::-1])),
    ):
        if operators == gold.operators and _in_order(gold.parts, parts, rules):
            return True
    ours, theirs = _sides(gold), _sides(answer)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return False
    return rules.proportional(ours[0], theirs[0], ours[1] not in ("=", "ne"))


def _spelt(node: Node) -> str:
    return "".join(leaves(node)).replace(" ", "").replace("{", "").replace("}", "")


def _sides(relation: Relation) -> tuple[tuple[str, str], str] | None:
    """Both sides of a single relation, turned so that it is none of `> ge`."""
    if len(relation.operators) != 1 or not all(isinstance(part, Leaf) for part in relation.parts):
        return None
    (left,), (right,) = (tuple(leaves(part)) for part in relation.parts)
    sign = relation.operators[0]
    return ((right, left), _FLIPPED[sign]) if sign in (">", "ge") else ((left, right), sign)
