r"""Does an evaluation here score texts as lm-evaluation-harness does?

    pip install "lm-eval[math]"                # 0.4.13; in an environment of its own, it wants an older antlr4
    python experiments/verifier/harness.py --data FOLDER [--seed 0]    # a minute; writes results/verifier/harness.json

The harness's own code on the one side (tasks `gsm8k`, filters strict-match and flexible-extract, metric exact_match;
`minerva_math500`, metric math_verify; `hendrycks_math`, is_equiv of the last box), a verifier of one convention on the
other, on the same texts: what SmolLM2-135M wrote for 200 questions of GSM8K (results/smollm2_gsm8k.jsonl), worked
solutions, and seeded corruptions of them: another number, no mark, two marks, a comma, a currency sign, a unit, a
decimal point, the answer of another problem, a text behind the answer. Every disagreement is written down with the two
verdicts, by the kind of text and the reason that `explain_...` finds; one without a reason makes this script end with
status 1.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

sys.path.append(str(Path(__file__).resolve().parent.parent))

from pages import write_block
from sets import RESULTS, load, save

from riskpo.rewards.math import MathVerifier

Text = tuple[str, str, dict[str, Any]]  # kind, text, the problem
MODEL_TEXTS = RESULTS.parent / "smollm2_gsm8k.jsonl"

# --- texts ---


def gsm8k_texts(rows: list[dict[str, Any]], rng: random.Random) -> Iterator[Text]:
    """What a model wrote, worked solutions, and corruptions of them."""
    by_name = {f"gsm8k/{row['id']}": row for row in rows}
    for line in MODEL_TEXTS.read_text(encoding="utf-8").splitlines():
        written = json.loads(line)
        yield "model", written["completion"], by_name[written["question"]]
    for row in rng.sample(rows, 120):
        steps, gold = row["solution"].rsplit("#### ", 1)
        gold = gold.strip()
        number, other = gold.replace(",", ""), str(int(gold.replace(",", "")) + rng.choice([-10, -1, 1, 2, 7]))
        yield "solution", row["solution"], row
        yield "other number", f"{steps}#### {other}", row
        yield "no mark", f"{steps}The answer is {number}.", row
        yield "no mark, other number", f"{steps}So we get {other}.", row
        yield "currency and comma", f"{steps}#### ${int(number):,}", row
        yield "comma", f"{steps}#### {int(number):,}", row
        yield "full stop", f"{steps}#### {number}.", row
        yield "decimal zero", f"{steps}#### {number}.00", row
        yield "unit", f"{steps}#### {number} apples", row
        yield "text behind", f"{steps}#### {number}\nI checked it twice.", row
        yield "number behind", f"{steps}#### {number}\nThis took {rng.randint(2, 9)} steps.", row
        yield "two marks, last right", f"{steps}#### {other}\nWait.\n#### {number}", row
        yield "two marks, first right", f"{steps}#### {number}\nWait.\n#### {other}", row
        yield "no blank", f"{steps}####{number}", row
        yield "cut off", steps[: len(steps) // 2], row


def math_texts(rows: list[dict[str, Any]], rng: random.Random) -> Iterator[Text]:
    """Worked solutions of MATH500 and corruptions of them."""
    for row in rng.sample(rows, 120):
        other = rng.choice(rows)
        boxed = rf"\boxed{{{row['answer']}}}"
        yield "solution", row["solution"], row
        yield "box alone", f"So the answer is ${boxed}$.", row
        yield "other answer", rf"So the answer is $\boxed{{{other['answer']}}}$.", row
        yield "other solution", other["solution"], row
        yield "negated", rf"So the answer is $\boxed{{-({row['answer']})}}$.", row
        yield "display fractions", boxed.replace(r"\frac", r"\dfrac"), row
        yield "equation", rf"Hence $\boxed{{m = {row['answer']}}}$.", row
        yield "cut off", row["solution"][: len(row["solution"]) // 2], row
        yield "no box", f"The answer is ${row['answer']}$.", row


# --- the harness ---


def harness_gsm8k(pattern: str, select: int) -> Callable[[str, dict[str, Any]], bool]:
    """Task `gsm8k` of the harness: a filter and exact_match as its YAML gives them."""
    from lm_eval.api.metrics import exact_match_fn
    from lm_eval.filters.extraction import RegexFilter

    taken = RegexFilter(regex_pattern=pattern, group_select=select)
    ignored = [",", r"\$", r"(?s).*#### ", r"\.$"]

    def right(text: str, row: dict[str, Any]) -> bool:
        ((answer,),) = taken.apply([[text]], [row])
        score = exact_match_fn(
            predictions=[answer], references=[row["solution"]], ignore_case=True, regexes_to_ignore=ignored
        )
        return float(score["exact_match"]) == 1.0

    return right


def harness_verify(text: str, row: dict[str, Any]) -> bool:
    """Task `minerva_math500` of the harness, its metric math_verify."""
    from lm_eval.tasks.minerva_math import utils

    doc = {"problem": row["question"], "solution": row["solution"], "answer": row["answer"]}
    return bool(utils.process_results(doc, [text])["math_verify"] == 1)


def harness_equal(text: str, row: dict[str, Any]) -> bool:
    """Task `hendrycks_math` of the harness: `is_equiv` of the last box with the solution's."""
    from lm_eval.tasks.hendrycks_math import utils

    box, gold = utils.last_boxed_only_string(text), utils.last_boxed_only_string(row["solution"])
    return box is not None and bool(utils.is_equiv(utils.remove_boxed(box), utils.remove_boxed(gold)))


# --- who is right ---


def explain_strict(kind: str, text: str, theirs: bool) -> str | None:
    """Why the harness's strict filter says something else."""
    marks = re.findall(r"#### (-?[0-9.,]+)", text)
    if len(marks) > 1:
        return "several marks: the harness reads the first, we read the last"
    if kind == "decimal zero" and not theirs:
        return "the harness compares texts: 18.00 is not 18 to it"
    if "####" in text and not marks and not theirs:
        return "the harness wants one blank and no currency sign behind the mark"
    return None


def explain_flexible(kind: str, text: str, theirs: bool) -> str | None:
    """Why the harness's flexible filter says something else."""
    if kind == "decimal zero" or (not theirs and re.search(r"\d\.0+\D*$", text)):
        return "the harness compares texts: 18.00 is not 18 to it"
    if re.search(r"(?<!\d)[$.,]{2,}[^0-9]*$", text) or re.search(r"[^0-9]([.,$]{2,})(?![0-9])", text):
        return "the harness takes signs without a digit for a number"
    if re.search(r"\d[-/:]\d[\d,]*\D*$", text):
        return "a fraction, or a range, is one number to us; the harness reads its second part, with the sign before it"
    return None


def explain_verify(kind: str, text: str, theirs: bool) -> str | None:
    """Why the harness's math_verify says something else."""
    if theirs and r"\boxed" not in text:
        return "no box: the harness's math_verify reads any formula or number"
    if kind == "equation" and not theirs:
        return "an equation with a text or a comma on its right: math_verify reads it whole"
    return None


def explain_equal(kind: str, text: str, theirs: bool) -> str | None:
    """Why the harness's is_equiv says something else."""
    if kind == "equation" and theirs:
        return "an equation of a letter and a text: we read it whole"
    if kind == "negated" and not theirs:
        return "the harness compares texts: -(0) is not 0 to it"
    return None


# --- both on the same texts ---


def compared(
    texts: list[Text],
    ours: MathVerifier,
    theirs: Callable[[str, dict[str, Any]], bool],
    explain: Callable[[str, str, bool], str | None],
) -> dict[str, Any]:
    """Counts of agreement, and every disagreement."""
    verdicts = ours.verify([text for _, text, _ in texts], [{"answer": row["answer"]} for _, _, row in texts])
    counts, listed, reasons = Counter[str](), [], Counter[str]()
    for (kind, text, row), verdict in zip(texts, verdicts, strict=True):
        right, harness = verdict.score == 1.0, theirs(text, row)
        counts["both right" if right and harness else "both wrong" if not right and not harness else "differ"] += 1
        counts["harness right"] += harness
        if right != harness:
            reason = explain(kind, text, harness) or "unexplained"
            reasons[reason] += 1
            shown = {"kind": kind, "end": text[-160:], "gold": row["answer"][-60:], "ours": right, "harness": harness}
            listed.append({**shown, "read": verdict.answer, "reason": reason})
    kinds = Counter(kind for kind, _, _ in texts)
    share = counts["harness right"] / len(texts)
    return {
        "texts": len(texts),
        "kinds": dict(kinds),
        "harness_right": round(share, 4),
        "agree": counts["both right"] + counts["both wrong"],
        **{name: counts[name] for name in ("both right", "both wrong", "differ")},
        "reasons": dict(reasons.most_common()),
        "disagreements": listed,
    }


def table(found: dict[str, Any]) -> str:
    """Agreement as Markdown."""
    lines = ["| convention | texts | right by the harness | agree | differ, and why |", "|---|---|---|---|---|"]
    for name, one in found["conventions"].items():
        reasons = "; ".join(f"{count}: {reason}" for reason, count in one["reasons"].items())
        agree = f"{one['agree']:,} ({one['agree'] / one['texts']:.1%})"
        lines.append(f"| {name} | {one['texts']:,} | {one['harness_right']:.0%} | {agree} | {reasons} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    school, competition = load(options.data, "gsm8k_test"), load(options.data, "math500")
    school_texts, math = list(gsm8k_texts(school, rng)), list(math_texts(competition, rng))
    strict = harness_gsm8k(r"#### (\-?[0-9\.\,]+)", 0)
    flexible = harness_gsm8k(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
    boxed = MathVerifier("boxed")
    found = {
        "gsm8k strict": compared(school_texts, MathVerifier("gsm8k-strict"), strict, explain_strict),
        "gsm8k flexible": compared(school_texts, MathVerifier("gsm8k-flexible"), flexible, explain_flexible),
        "math500, is_equiv": compared(math, boxed, harness_equal, explain_equal),
        "math500, math_verify": compared(math, boxed, harness_verify, explain_verify),
    }
    for name, one in found.items():
        share = one["harness_right"]
        print(f"{name}: {one['agree']} of {one['texts']} agree, harness right {share:.0%}; {one['reasons']}")
    record = {"lm_eval": version("lm-eval"), "conventions": found}
    save("harness", record, options.seed)
    write_block("evaluation.md", "harness", table(record))
    return int(any("unexplained" in one["reasons"] for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
