# ruff: noqa: RUF001  characters that look alike are the subject of this file
r"""One spelling for the many ways to write the same mathematics: text in, text out; nothing is evaluated or compared.

`tidy` is where `\dfrac12`, `\frac{1}{2}` and `½` become one text. It never joins, drops or reorders what carries
meaning: digits, operators, brackets, separators and units all stay.
"""

from __future__ import annotations

import re
import unicodedata

from riskpo.errors import RiskPOError


class UnreadableError(RiskPOError, ValueError):
    """A text that cannot be read as a mathematical answer; the message says why."""


# Typographers' forms of what LaTeX and ASCII write otherwise. Digits of other scripts are not here: full-width forms
# are the same digits in another width, but no gold of an English set is written in, say, Devanagari numerals.
_CHARACTERS = {
    **{chr(0xFF01 + i): chr(0x21 + i) for i in range(94)},  # full width
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63", "-"),
    **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
    **{"×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "∕": "/", "⁄": "/", "∗": "*"},
    **{"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∞": r"\infty ", "∅": r"\emptyset "},
    **{"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "√": r"\sqrt ", "°": r"^\circ ", "º": r"^\circ ", "％": r"\%"},
    **{"π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "φ": r"\phi "},
    **{"⟨": "(", "⟩": ")", "“": '"', "”": '"', "’": "'", "′": "'", "，": ",", "。": ".", "、": ","},
}
_POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))
_TABLE = str.maketrans(_CHARACTERS)

_SYNONYMS = {
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), r"\frac"),
    **dict.fromkeys(("dbinom", "tbinom"), r"\binom"),
    **dict.fromkeys(("leq", "leqslant", "leqq"), r"\le"),
    **dict.fromkeys(("geq", "geqslant", "geqq"), r"\ge"),
    **{"lt": "<", "gt": ">", "neq": r"\ne", "lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]"},
    **{"langle": "(", "rangle": ")", "lparen": "(", "rparen": ")", "degree": r"^\circ", "varnothing": r"\emptyset"},
    **{"colon": ":", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "ast": "*", "div": "/", "to": r"\rightarrow"},
    **dict.fromkeys(("mbox", "textrm", "textnormal", "textup", "textsf", "mathrm", "mathsf", "mathtt"), r"\text"),
    **dict.fromkeys(("textbf", "textit", "emph", "bf"), r"\text"),
    **dict.fromkeys(("mathbf", "boldsymbol", "bm", "mathit", "mathnormal", "ensuremath"), ""),
    **dict.fromkeys(("displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "quad", "qquad"), " "),
    **dict.fromkeys(("space", "enspace", "thinspace", "negthinspace", "rm", "it", "hfill", "null"), " "),
    **dict.fromkeys(("left", "right", "mleft", "mright"), ""),
    **dict.fromkeys(("big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr"), ""),
}
_COMMAND = re.compile(r"\\(" + "|".join(sorted(_SYNONYMS, key=len, reverse=True)) + r")(?![A-Za-z])\s?")
_SPACES = re.compile(r"(?<!\\)\\[;:>\s]|~|\s")
_THOUSANDS_SPACE = re.compile(r"(?<![\d.,])\d{1,3}(?:\\,\d{3})+(?![\d])")  # 12\,000
_THOUSANDS_BRACE = re.compile(r"(?<=\d)\s*(?:\{,\}|,\s*\\!)\s*(?=\d)")  # 12{,}000  12,\!000
_DELIMITERS = re.compile(r"(?<!\\)(?:\$|\\[()\[\]])")
_AND = re.compile(
    r"\s*,?\s*(?:\\text\s?\{\s*(?:and|or)\s*\}|(?<![A-Za-z\\{])(?:and|or)(?![A-Za-z}]))\s*", re.IGNORECASE
)
_TAKES = re.compile(r"\\(?:frac|binom|sqrt)(?![A-Za-z])\s*")  # two arguments, two, one
_OPENING = re.compile(r"\s*\{")
_ARGUMENT = re.compile(r"\s*(\\[A-Za-z]+|[A-Za-z0-9])")
_CONSTANT = re.compile(r"\\text\s?\{\s*([ei])\s*\}")  # an upright e or i is the number
_RUN = re.compile(r"\s+")
LONGEST = 20_000  # characters; longer than any answer
DEEPEST = 40  # braces within braces
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")


def tidy(text: str) -> str:
    """The text in one spelling, without delimiters of mathematics, sizes, spacing and outer wrappers.

    Raises:
        UnreadableError: invisible characters between visible ones, which make a text look like another; more than
            `LONGEST` characters, or than `DEEPEST` braces within each other.
    """
    if len(text) > LONGEST:
        raise UnreadableError(f"more than {LONGEST} characters.")
    text = text.strip()
    if _PLAIN.fullmatch(text) and text.isascii():
        return text
    if not text.isascii():
        text = _without_unicode(text)
    text = _THOUSANDS_SPACE.sub(lambda found: found.group().replace("\\,", ""), text)
    text = _THOUSANDS_BRACE.sub("", text).replace("\\,", " ").replace("\\!", "")
    text = _DELIMITERS.sub(" ", text)
    _refuse_depth(text)
    if "\\" in text:
        text = _COMMAND.sub(lambda found: _SYNONYMS[found.group(1)] + _gap(found), text)
        text = _CONSTANT.sub(r" \1 ", text)
        text = _with_braces(text)
    text = _unwrapped(_SPACES.sub(" ", text))
    text = _AND.sub(",", text) if len(text) > 3 else text
    return _RUN.sub(" ", text).strip()


def _gap(found: re.Match[str]) -> str:
    """A command that was ended by a blank keeps one: `\\le x` must not become `\\lex`."""
    return " " if found.group().endswith((" ", "\n", "\t")) else ""


def _refuse_depth(text: str) -> None:
    depth = 0
    for brace in _BRACE.finditer(text):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth > DEEPEST:
            raise UnreadableError(f"more than {DEEPEST} braces within each other.")


def _with_braces(text: str) -> str:
    r"""Arguments that are a single token get the braces that LaTeX lets one leave out: `\frac12`, `\sqrt3`."""
    done, at = [], 0
    while found := _TAKES.search(text, at):
        done += [text[at : found.start()], found.group().rstrip()]
        at = found.end()
        if "sqrt" in found.group() and text.startswith("[", at) and (end := text.find("]", at)) > 0:
            done.append(text[at : end + 1])  # the degree of a root
            at = end + 1
        for _ in range(1 if "sqrt" in found.group() else 2):
            argument = _ARGUMENT.match(text, at)
            if argument and not _TAKES.match(argument.group(1)):
                done.append(f"{{{argument.group(1)}}}")
                at = argument.end()
            else:  # in braces already: what is in them is looked at in its turn
                brace = _OPENING.match(text, at)
                end = closing(text, brace.end() - 1) if brace else -1
                if brace is None or end < 0:
                    break
                done.append("{" + _with_braces(text[brace.end() : end]) + "}")
                at = end + 1
    return "".join([*done, text[at:]])


def _without_unicode(text: str) -> str:
    characters: list[str] = []
    for character in text.strip("\ufeff\u200b\u200c\u200d\u2060\u200e\u200f \t\n"):
        if character in _POWERS:
            characters.append(f"^{{{_POWERS[character]}}}")
        elif unicodedata.category(character) == "Cf":
            raise UnreadableError("an invisible character stands inside the answer.")
        elif "VULGAR FRACTION" in unicodedata.name(character, "") and (parts := _fraction(character)):
            characters.append(rf"\frac{{{parts[0]}}}{{{parts[1]}}}")
        else:
            characters.append(character)
    return "".join(characters).replace("}^{", "").translate(_TABLE)


def _fraction(character: str) -> list[str] | None:
    parts = unicodedata.normalize("NFKD", character).split("\u2044")
    return parts if len(parts) == 2 and all(part.isdigit() for part in parts) else None


_WRAPPER = re.compile(r"\\(?:boxed|fbox|text)\s?\{")


def _unwrapped(text: str) -> str:
    r"""Without what encloses the whole: emphasis, a full stop, braces, `\text{...}`, `\boxed{...}`."""
    while True:
        before = text
        text = text.strip().strip("*").strip()
        if text.endswith((".", ";", ",", ":")) and not text.lower().endswith((".m.", "...")):
            text = text[:-1].rstrip()
        start = _WRAPPER.match(text)
        if start and closing(text, start.end() - 1) == len(text) - 1:
            text = text[start.end() : -1]
        elif text.startswith("{") and closing(text, 0) == len(text) - 1:
            text = text[1:-1]
        if text == before:
            return text


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def closing(text: str, opening: int) -> int:
    """The place of the brace that closes the one at `opening`; -1 where none does. Escaped braces do not count."""
    depth = 0
    for brace in _BRACE.finditer(text, opening):
        if brace.group() == "{":
            depth += 1
        elif brace.group() == "}":
            depth -= 1
            if depth == 0:
                return brace.start()
    return -1
