r"""What runs inside a worker process that can be killed: formulas are parsed and compared here, and nowhere else.

The only module that loads Math-Verify and its parts. Their parser turns LaTeX into SymPy expressions; the comparison
has guards of its own, because `math_verify.verify` accepts what is not equal (measured with 0.9):

- it compares with six decimals where a decimal is involved: 1e-7 is 2e-7. Here decimals become fractions.
- it compares with 15 digits, small numbers cut to 0: 1/2004! is 1/2006!, 2^1009 is 2^1009 + 1. Here values are compared
  to 30 digits behind the last one that counts.
- it takes variables in any case (R - r is 0), ignores the base of `52_8` and all units, also wrong ones, and reads a
  variable at the end as a unit (2t is 2). Here case counts, and bases and units are read before.
- it adds what stands side by side: `3(4)` and `5 3` are 7 and 8. Here the first is a product, the second unreadable.
- an undone sum, integral or limit is equal to its value. Here it is no answer, unless the gold holds one too.
- sets are paired by their printed order, and a tuple, an open interval and a set can pass for each other. Here shapes
  are compared first (`riskpo.rewards.answers.structure`), part by part.

Formulas with variables are the same when their values agree at points drawn once with a fixed seed: rational points of
both signs, integers where something is made for integers (factorials, binomials, rounding). Math-Verify decides what
cannot be evaluated. Nothing is passed to Python's or SymPy's text evaluation.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import sympy  # type: ignore[import-untyped]
from latex2sympy2_extended import NormalizationConfig, latex2sympy  # type: ignore[import-untyped]
from latex2sympy2_extended.latex2sympy2 import ConversionConfig  # type: ignore[import-untyped]
from math_verify import grader, verify  # type: ignore[import-untyped]

from riskpo.rewards.answers.equality import Rules, leaves, same, words
from riskpo.rewards.answers.notation import UnreadableError
from riskpo.rewards.answers.numbers import read_number, without_marks
from riskpo.rewards.answers.structure import Node, read

_DIGITS = 30  # that must agree
_MORE_DIGITS = 400
_MOST_POWER = 2000
_MOST_DIGITS = 50_000  # of a number that is compared by value
_SEED = 20240229
_POINTS = 10

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none", equations=False
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_UNDONE = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
_FOR_INTEGERS = (sympy.factorial, sympy.binomial, sympy.floor, sympy.ceiling, sympy.Mod, sympy.gamma, *_UNDONE)


grader.TIMEOUT_WARNING_SHOWN = True  # its own time limit needs signals of a main thread; the pool's kills


def judge(gold: str, answer: str | None, several: bool | None, tolerance: str | None, unit: str | None) -> list[str]:
    """The task of the workers: one answer against its gold one; or the gold against itself.

    Args:
        gold: the right answer.
        answer: the given one; None checks that the gold can be read and is equal to itself.
        several: see `riskpo.rewards.answers.structure.read`.
        tolerance: how far a number may lie from the gold one, as the text of a fraction.
        unit: of the gold, where its text states none.

    Returns:
        One of "equal", "different", "unparsable" (the answer) and "bad_gold", with a reason.
    """
    try:
        right = _read_gold(gold, several)
        if answer is None:
            return _check(right, several, unit)
    except UnreadableError as error:
        return ["bad_gold", str(error)]
    rules = _rules(tolerance, unit)
    try:
        given = read(answer, several=several)
        equal = same(right, given, rules)
    except UnreadableError as error:
        return ["unparsable", str(error)]
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError) as error:
        return ["unparsable", f"it cannot be compared with the gold answer: {type(error).__name__}."]
    return ["equal", "it is equal to the gold answer."] if equal else ["different", "it is not the gold answer."]


def warm() -> None:
    """Fills the parser's caches, so that workers begin with them."""
    for text in (r"\frac{\sqrt{3}}{2}x^{2} - 5\pi", r"\binom{n}{2} + \sin x", r"(-\infty, 2) \cup [3, 4]"):
        judge(text, text.replace("2", "3"), None, None, None)


@functools.lru_cache(maxsize=4096)
def _read_gold(gold: str, several: bool | None) -> Node:
    return read(gold, several=several)


def _check(gold: Node, several: bool | None, unit: str | None) -> list[str]:
    for text in leaves(gold):
        if read_number(text, tidied=True) is None and words(text) is None:
            _evaluated(expression(without_marks(text).core))
    if not same(gold, gold, _rules(None, unit, by_text=False)):
        return ["bad_gold", "it is not equal to itself, so that nothing can be."]
    return ["equal", "it can be read."]


def _evaluated(gold: Any) -> None:
    """Takes values of the gold formula alone: what hangs here would hang in every comparison, whoever answers."""
    if isinstance(gold, sympy.Expr) and not gold.has(sympy.oo):
        _same_values(gold, gold, None)


def _rules(tolerance: str | None, unit: str | None, *, by_text: bool = True) -> Rules:
    allowed = None if tolerance is None else Fraction(tolerance)
    return Rules(same_expression, same_set, proportional, allowed, unit, by_text)


# --- parsing ---

_REFUSED = re.compile(
    r"\\text|\\f?box|\\boxed|\\ldots|\\dots|\\cdots|\.\.|[\"'#@&?;]|__|\d\s*_|\\\\|(?<![A-Za-z\\_\d])\d+\s+\d"
)
_UNDONE_COMMAND = re.compile(r"\\(?:sum|prod|int|lim)(?![A-Za-z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})")
_PRODUCT = re.compile(r"(?<=[\d)])\s*(?=\()")  # 3(4), (3)(4)
_PLAIN_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)")  # sqrt(2)
_PLAIN_POWER = re.compile(r"\^\s*\(([^()]*)\)")  # x^(n+1)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> Any:
    """A tidied formula as a SymPy object, decimals as fractions.

    Raises:
        UnreadableError: it is none.
    """
    if "\\begin{" not in text:
        if refused := _REFUSED.search(text):
            raise UnreadableError(f"{refused.group()!r} is not read in a formula.")
        if "=" in text and not _UNDONE_COMMAND.search(text):
            raise UnreadableError("an equals sign stands inside a formula.")
        if _TRIGONOMETRIC.search(text):
            text = _DEGREES.sub(r"(\1 \\cdot \\frac{\\pi}{180})", text)
        text = _PLAIN_ROOT.sub(r"\\sqrt{\1}", text)
        text = _PLAIN_POWER.sub(r"^{(\1)}", text)
        text = _PRODUCT.sub(r" \\cdot ", text)
    try:
        parsed = latex2sympy(text, is_real=True, normalization_config=_NORMALIZATION, conversion_config=_CONVERSION)
    except Exception as error:
        raise UnreadableError(f"the formula {text[:60]!r} cannot be read.") from error
    if not isinstance(parsed, (sympy.Basic, sympy.MatrixBase)):
        raise UnreadableError(f"{text[:60]!r} is no formula.")
    if parsed.has(sympy.nan, sympy.zoo):
        raise UnreadableError(f"{text[:60]!r} has no value.")
    if isinstance(parsed, sympy.Expr) and parsed.has(sympy.oo, -sympy.oo) and parsed.args and parsed != -sympy.oo:
        raise UnreadableError("infinity stands inside a formula.")
    floats = parsed.atoms(sympy.Float)
    return parsed.xreplace({number: sympy.Rational(str(number)) for number in floats}) if floats else parsed


# --- comparing ---


def same_expression(gold: str, answer: str, factor: Fraction = Fraction(1), tolerance: Fraction | None = None) -> bool:
    """Whether the answer, times a factor, is the gold formula; with a tolerance, whether it is near enough."""
    ours, theirs = expression(gold), expression(answer)
    if theirs.has(*_UNDONE) and not ours.has(*_UNDONE):
        raise UnreadableError("a sum, product, integral, limit or derivative is left undone.")
    if factor != 1:
        theirs = theirs * sympy.Rational(str(factor))
    ours, theirs = _with_imaginary_unit(ours, theirs)
    return _same_objects(ours, theirs, tolerance)


def _same_objects(ours: Any, theirs: Any, tolerance: Fraction | None = None) -> bool:
    if isinstance(ours, (sympy.MatrixBase, sympy.MatrixExpr)) or isinstance(
        theirs, (sympy.MatrixBase, sympy.MatrixExpr)
    ):
        return _same_matrices(ours, theirs)
    if not (isinstance(ours, sympy.Expr) and isinstance(theirs, sympy.Expr)):
        return bool(ours == theirs)
    if ours == theirs:
        return True
    infinite = (sympy.oo, -sympy.oo)
    if ours in infinite or theirs in infinite:
        return bool(ours == theirs)
    decided = _same_values(ours, theirs, tolerance)
    if decided is not None:
        return decided
    if ours.free_symbols != theirs.free_symbols:
        return False
    return bool(verify(ours, theirs, float_rounding=15, numeric_precision=_DIGITS, timeout_seconds=None))


def _same_matrices(ours: Any, theirs: Any) -> bool:
    ours, theirs = (side.doit() if isinstance(side, sympy.MatrixExpr) else side for side in (ours, theirs))
    if not (isinstance(ours, sympy.MatrixBase) and isinstance(theirs, sympy.MatrixBase)):
        return False
    return ours.shape == theirs.shape and all(
        _same_objects(sympy.sympify(a), sympy.sympify(b)) for a, b in zip(ours.flat(), theirs.flat(), strict=True)
    )


def _with_imaginary_unit(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """`i` as the imaginary unit where the gold is a number but for it."""
    name = sympy.Symbol("i", real=True)
    if getattr(ours, "free_symbols", None) == {name} and not ours.has(*_UNDONE):
        return ours.subs(name, sympy.I), theirs.subs(name, sympy.I)
    return ours, theirs


def _same_values(ours: Any, theirs: Any, tolerance: Fraction | None) -> bool | None:
    """Whether two formulas agree wherever both have a value; None where too few points say something."""
    symbols = sorted(ours.free_symbols | theirs.free_symbols, key=str)
    if not symbols:
        return _same_numbers(ours, theirs, tolerance)
    told = 0
    for point in _points(symbols, integers=ours.has(*_FOR_INTEGERS) or theirs.has(*_FOR_INTEGERS)):
        try:
            equal = _same_numbers(ours.subs(point), theirs.subs(point), tolerance, real=True)
        except (ArithmeticError, ValueError, TypeError, AttributeError):
            continue
        if equal is False:
            return False
        told += equal is True
    return True if told >= 4 else None


def _points(symbols: list[Any], *, integers: bool) -> Iterator[dict[Any, Any]]:
    source = random.Random(_SEED)
    for place in range(_POINTS + 6 * integers):
        if integers:  # small ones too: most formulas for integers differ there first; k <= n for binomials as it comes
            values = [sympy.Integer(source.randint(1, 5 + 3 * place)) for _ in symbols]
        else:
            signs = [1 if place < 6 else source.choice((-1, 1)) for _ in symbols]
            values = [sympy.Rational(sign * source.randint(20, 400), source.randint(30, 210)) for sign in signs]
        yield dict(zip(symbols, values, strict=True))


def _same_numbers(ours: Any, theirs: Any, tolerance: Fraction | None, *, real: bool = False) -> bool | None:
    """Whether two constants are equal; None where one has no value (or, if asked, where the gold is not real)."""
    exact = [_rational(side) for side in (ours, theirs)]
    if exact[0] is not None and exact[1] is not None:
        return bool(abs(exact[0] - exact[1]) <= (0 if tolerance is None else sympy.Rational(str(tolerance))))
    right, given = _value(ours, 20 + _DIGITS), _value(theirs, 20 + _DIGITS)
    if right is None or (real and not right.is_real):
        return None
    if given is None:
        return False if not real else None
    if tolerance is not None:
        return bool(abs(right - given) <= sympy.Rational(str(tolerance)))
    size = max(abs(right), abs(given))
    if size == 0:
        return True
    if abs(right - given) > size * sympy.Float(10) ** -12 and min(abs(right), abs(given)) > 0:
        return False
    return _same_to_the_last(ours, theirs, size)


def _same_to_the_last(ours: Any, theirs: Any, size: Any) -> bool | None:
    """Compares all digits of large numbers, and what seems to be 0 by algebra."""
    digits = max(0, int(sympy.log(size, 10).evalf(8))) if size > 1 else 0
    if digits > _MOST_DIGITS:
        raise UnreadableError("the number is too large to be compared.")
    right, given = (_value(side, 20 + _DIGITS + digits) for side in (ours, theirs))
    if right is None or given is None:
        return None
    if right == 0 or given == 0:
        return bool(sympy.simplify(ours - theirs) == 0)
    if abs(right - given) > min(1, abs(right)) * sympy.Float(10, 20) ** -_DIGITS:
        return False
    # What agrees so far is equal, or was made to agree: sqrt(2) + 10^-60.
    right, given = (_value(side, 20 + _MORE_DIGITS + digits) for side in (ours, theirs))
    if right is None or given is None:
        return None
    return bool(abs(right - given) <= min(1, abs(right)) * sympy.Float(10, 20) ** -_MORE_DIGITS)


def _rational(constant: Any) -> Any:
    """The exact value of sums, products and whole powers of fractions that are not evaluated yet; else None."""
    if constant.is_Rational:
        return constant
    if constant.is_Add or constant.is_Mul:
        parts = [_rational(part) for part in constant.args]
        if any(part is None for part in parts):
            return None
        return sympy.Add(*parts) if constant.is_Add else sympy.Mul(*parts)
    if constant.is_Pow:
        base, exponent = _rational(constant.base), _rational(constant.exp)
        whole = base is not None and exponent is not None and exponent.is_Integer and abs(exponent) <= _MOST_POWER
        return base**exponent if whole and base != 0 else None
    return None


def _value(constant: Any, digits: int) -> Any:
    try:
        value = constant.evalf(digits)
    except (ArithmeticError, ValueError, TypeError, AttributeError):
        return None
    parts = value.as_real_imag() if value.is_number else ()
    finite = bool(parts) and all(part.is_Number and part.is_finite for part in parts)
    return value if finite else None


def same_set(gold: str, answer: str) -> bool:
    """Whether two texts are the same set of numbers: intervals, unions, differences, number sets."""
    ours, theirs = (_as_set(text) for text in (gold, answer))
    if ours is None or theirs is None:
        return False
    if ours == theirs:
        return True
    return bool(ours.symmetric_difference(theirs) == sympy.S.EmptySet)


def _as_set(text: str) -> Any:
    if re.fullmatch(r"[-+]?\s*\\infty\s*", text):
        return None
    text = text.replace("\\backslash", "\\setminus").replace("\\infty", "\\infty ")
    text = re.sub(r"(?<=[)\]}])\s*U\s*(?=[(\[\\])", r"\\cup ", text)
    parsed = expression(text.strip())
    if parsed == sympy.S.Complexes:
        return parsed
    return parsed.doit() if isinstance(parsed, sympy.Set) else None


def proportional(gold: tuple[str, str], answer: tuple[str, str], positive: bool) -> bool:
    """Whether left minus right of both relations are multiples of each other by a constant that is not 0."""
    ours, theirs = (expression(sides[0]) - expression(sides[1]) for sides in (gold, answer))
    symbols = ours.free_symbols
    if not symbols or symbols != theirs.free_symbols:
        return False
    point = next(_points(sorted(symbols, key=str), integers=False))
    at, other = (_value(side.subs(point), 50) for side in (ours, theirs))
    if at is None or other is None or other == 0 or at == 0:
        return False
    factor = sympy.simplify(ours / theirs)
    if factor.free_symbols or factor == 0 or not factor.is_number:
        return False
    return bool(factor > 0) if positive else True
