"""Where does the verifier disagree with Math-Verify called plainly, and why?

    python experiments/verifier/agreement.py --data FOLDER [--seed 0]
        # ten minutes; writes results/verifier/agreement.json

Plainly: `verify(parse(f"${gold}$"), parse(completion))` with the defaults of both. The pairs, of every set: each gold
answer with itself; with the gold answer of another problem (seeded shuffle); and with rewritings of itself that are
equal (another spelling of a fraction, a unit, another order, ...) or not equal (another sign, a part left out, a small
difference, several guesses, ...). Every disagreement is written down with who is right and why, by the kind of pair and
the rule that `explain` finds; those that no rule covers are listed as "unexplained" and make this script end with
status 1.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

from math_verify import parse, verify
from sets import SETS, load, save

from riskpo.rewards.answers.equality import words
from riskpo.rewards.answers.numbers import read_number
from riskpo.rewards.answers.structure import Bracket, Leaf, Several, read
from riskpo.rewards.math import MathVerifier

Rewriting = Callable[[str], str | None]


def _number(gold: str) -> Fraction | None:
    found = read_number(gold)
    return found.value if found and not found.percent and found.unit is None else None


def _fraction(gold: str) -> str | None:
    value = _number(gold)
    if value is None or value.denominator == 1 or "." not in gold:
        return None
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _decimal(gold: str) -> str | None:
    value = _number(gold)
    if value is None or value.denominator == 1 or "frac" not in gold or 10**9 % value.denominator:
        return None
    return str(float(value))


def _rounded(gold: str) -> str | None:
    value = _number(gold)
    return f"{float(value):.6f}" if value is not None and 10**6 % value.denominator else None


def _reordered(gold: str) -> str | None:
    node = read(gold)
    if not isinstance(node, Several) or "pm" in gold or len(node.items) != gold.count(",") + 1 or "(" in gold:
        return None
    return ", ".join(reversed([part.strip(" $") for part in gold.split(",")]))


def _swapped(gold: str) -> str | None:
    """The parts of a tuple or an interval in reverse: not equal."""
    found = re.fullmatch(r"\(([^(),]+),([^(),]+)\)", gold.replace("\\left", "").replace("\\right", "").strip("$ "))
    return f"({found.group(2)},{found.group(1)})" if found and found.group(1) != found.group(2) else None


def _without_first(gold: str) -> str | None:
    node = read(gold)
    several = isinstance(node, (Several, Bracket)) and len(node.items) > 2 and "(" not in gold.strip("($")
    return gold.split(",", 1)[1].strip(" )$") if several else None


def _if_number(form: str) -> Rewriting:
    return lambda gold: form.format(gold) if _number(gold) and not re.search(r"[$=]", gold) else None


def _if_formula(form: str) -> Rewriting:
    """For a gold that is a single formula, neither a number nor words."""

    def rewritten(gold: str) -> str | None:
        node = read(gold)
        formula = isinstance(node, Leaf) and read_number(gold) is None and words(node.text) is None
        return form.format(node.text) if formula and not re.search(r"\\text|\\begin|\\infty|\$|%|circ", gold) else None

    return rewritten


def _as_set(gold: str) -> str | None:
    node = read(gold)
    return rf"\{{{gold}\}}" if isinstance(node, Several) and "{" not in gold and "$" not in gold else None


def _other_end(gold: str) -> str | None:
    return (
        gold[:-1] + {")": "]", "]": ")"}[gold[-1]] if re.fullmatch(r"[(\[][^()\[\]]+,[^()\[\]]+[)\]]", gold) else None
    )


def _nudged(gold: str) -> str | None:
    value = _number(gold)
    return f"{float(value):.1f}0000001" if value is not None and value.denominator == 1 and abs(value) < 1e6 else None


REWRITINGS: dict[str, tuple[bool, Rewriting]] = {
    "dfrac": (True, lambda gold: gold.replace(r"\frac", r"\dfrac") if r"\frac" in gold else None),
    "decimal as fraction": (True, _fraction),
    "fraction as decimal": (True, _decimal),
    "rounded to six decimals": (False, _rounded),
    "unit in \\text": (True, _if_number(r"{}\text{{ cm}}")),
    "unit in words": (True, _if_number("{} apples")),
    "dollars": (True, _if_number(r"\${}")),
    "x = ": (True, _if_number("x = {}")),
    "percent sign added": (True, lambda gold: _if_number(r"{}\%")(gold) if (_number(gold) or 0) > 1 else None),
    "another order": (True, _reordered),
    "parts of a pair swapped": (False, _swapped),
    "an answer left out": (False, _without_first),
    "twice its half": (True, _if_formula(r"2 \cdot \frac{{{}}}{{2}}")),
    "one more": (False, _if_formula("{} + 1")),
    "the negative of a formula": (False, _if_formula("-({})")),
    "in braces": (True, _as_set),
    "another bracket at the end": (False, _other_end),
    "plus-minus": (False, _if_number(r"\pm {}")),
    "the negative": (False, lambda gold: f"-{gold}" if (_number(gold) or 0) > 0 and "$" not in gold else None),
    "two guesses": (False, _if_number("{}, 123456")),
    "a guess joined by or": (False, _if_number(r"{} \text{{ or }} 123456")),
    "a ten-millionth more": (False, _nudged),
    "a variable behind it": (False, _if_number("{}t")),
    "in base 13": (False, lambda gold: f"{gold}_{{13}}" if re.fullmatch(r"\d{2,4}", gold) else None),
    "not": (False, _if_number("not {}")),
}

PERCENT = (
    "by rule: a plain gold above 1 counts percents; Math-Verify accepts that for integers alone, without separators"
)
# (kind of pair, ours, theirs): the reason, a pattern that the gold must match, and who is right.
Rule = tuple[str, bool | None, bool, str, str]
RULES: list[Rule] = [
    ("twice its half", True, False, r"^[iC]$", "ours is right: Math-Verify takes a symbol that is alone for a word"),
    (
        "another bracket at the end",
        False,
        True,
        r"",
        "ours is right: another end is another interval, and a tuple does not end so",
    ),
    ("parts of a pair swapped", False, True, r"", "ours is right: a point keeps its order"),
    ("x = ", True, False, r",", "ours is right: Math-Verify reads the thousands comma behind a name as a list"),
    ("percent sign added", True, False, r"", PERCENT),
    ("a variable behind it", False, True, r"", "ours is right: Math-Verify drops a final t as a unit"),
    ("in base 13", False, True, r"", "ours is right: Math-Verify ignores the base"),
    ("rounded to six decimals", False, True, r"", "ours is stricter by rule: a rounded value is not the exact one"),
    ("a ten-millionth more", False, True, r"", "ours is right: Math-Verify compares six decimals where one is given"),
]


def explain(kind: str, gold: str, ours: float | None, theirs: bool) -> str:
    for wanted, said, plain, pattern, reason in RULES:
        if wanted == kind and said == (ours == 1.0) and plain == theirs and re.search(pattern, gold):
            return reason
    return "unexplained"


def plainly(gold: str, answer: str) -> bool:
    return bool(verify(parse(f"${gold}$"), parse(rf"\boxed{{{answer}}}")))


def cases(rows: list[dict[str, Any]], source: random.Random) -> list[tuple[str, bool | None, dict[str, Any], str]]:
    """Kind, whether it is equal (None: unknown), row, answer."""
    others = list(rows)
    source.shuffle(others)
    listed: list[tuple[str, bool | None, dict[str, Any], str]] = [("itself", True, row, row["answer"]) for row in rows]
    listed += [
        ("another gold", None, row, other["answer"])
        for row, other in zip(rows, others, strict=True)
        if row["answer"].strip() != other["answer"].strip()
    ]
    for kind, (equal, rewriting) in REWRITINGS.items():
        for row in rows:
            answer = rewriting(row["answer"].strip())
            if answer is not None and answer != row["answer"] and not row.get("unit"):
                listed.append((kind, equal, row, answer))
    return listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=500, help="rows of a set, from its beginning")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # Math-Verify logs each of its time-outs
    disagreements: dict[tuple[str, str, str], dict[str, Any]] = {}
    pairs: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for name in SETS:
        listed = cases(load(options.data, name)[: options.most], random.Random(f"{options.seed} {name}"))
        verdicts = MathVerifier("boxed", seconds=10.0).verify(
            [rf"\boxed{{{a}}}" for *_, a in listed], [r for *_, r, _ in listed]
        )
        for (kind, equal, row, answer), verdict in zip(listed, verdicts, strict=True):
            gold, theirs, ours = row["answer"], plainly(row["answer"], answer), verdict.score == 1.0
            pairs[kind] += 1
            wrong[f"{kind}: ours"] += equal is not None and ours != equal
            wrong[f"{kind}: Math-Verify's"] += equal is not None and theirs != equal
            if ours != theirs:
                why = explain(kind, gold, verdict.score, theirs)
                case = {"kind": kind, "gold": gold, "answer": answer, "ours": ours, "math_verify": theirs, "why": why}
                disagreements[kind, gold, answer] = case
        print(name, len(listed), len(disagreements), flush=True)
    report(options, pairs, wrong, list(disagreements.values()))


def report(options: argparse.Namespace, pairs: Counter[str], wrong: Counter[str], found: list[dict[str, Any]]) -> None:
    kinds = {
        kind: {
            "pairs": pairs[kind],
            "wrong_ours": wrong[f"{kind}: ours"],
            "wrong_math_verify": wrong[f"{kind}: Math-Verify's"],
        }
        for kind in pairs
    }
    by_reason: dict[str, dict[str, Any]] = {}
    for case in found:
        key = f"{case['kind']}: {case['why']}"
        entry = by_reason.setdefault(key, {"ours": case["ours"], "math_verify": case["math_verify"], "pairs": []})
        entry["pairs"].append([case["gold"], case["answer"]])
    content = {"most_rows": options.most, "seed": options.seed, "kinds": kinds, "disagreements": by_reason}
    unexplained = sum(case["why"] == "unexplained" for case in found)
    print(f"{len(found)} disagreements, {unexplained} unexplained; wrote", save("agreement", content, options.seed))
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
