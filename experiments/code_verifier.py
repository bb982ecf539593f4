"""All of HumanEval and MBPP through the code verifier: references, emptied references, mutants; and the stdio sample.

    python experiments/code_verifier.py            some minutes on two cores; writes the JSON, prints the table
    python experiments/code_verifier.py --show     prints the table of the committed JSON

The data sets lie in `shared/data` beside the repository. A mutant's verdict is compared with the data set's own test
run plainly on it: program and test in one file, passed where Python ends with 0. Where the time is up in one of the two
and not in the other, both run again, alone and with more time. Every disagreement is listed; so is every reference that
does not pass, and every emptied one that does.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.common import environment
from riskpo.rewards.code import CodeVerifier
from riskpo.rewards.sandbox import open_sandbox
from riskpo.rewards.verdict import Verdict
from tests.rewards.jail import fenced, rows
from tests.rewards.mutants import emptied, mutants
from tests.rewards.plainly import passes, whole
from tests.rewards.solutions import SOLUTIONS

# Seconds: the reference of mbpp-123 needs two on a processor of its own, all others less than one.
RESULT = Path(__file__).parent / "results" / "verifier" / "code.json"
SEED, MUTANTS, SECONDS, PATIENCE, WORKERS = 0, 3, 15.0, 90.0, 2


def counted(verdicts: Sequence[Verdict], names: Sequence[str], right: float, seconds: float) -> dict[str, Any]:
    """How many verdicts there are of each status, and the rows with another score than the right one."""
    odd = [
        f"{name}: {one.status}, {one.reason}" for name, one in zip(names, verdicts, strict=True) if one.score != right
    ]
    statuses = dict(Counter(one.status for one in verdicts).most_common())
    return {"programs": len(verdicts), "statuses": statuses, "unexpected": odd, "seconds": round(seconds, 1)}


def timed(
    verifier: CodeVerifier, programs: Sequence[str], problems: Sequence[dict[str, Any]]
) -> tuple[list[Verdict], float]:
    begun = time.monotonic()
    return verifier.verify([fenced(program) for program in programs], problems), time.monotonic() - begun


def references(verifier: CodeVerifier, name: str) -> dict[str, Any]:
    """References pass; references without their bodies fail."""
    problems = rows(name)
    ids = [row["id"] for row in problems]
    programs = {"as they are": [whole(row)[0] for row in problems]}
    for body in ("pass", "return None"):
        programs[body] = [emptied(*whole(row), body) for row in problems]
    return {
        what: counted(found, ids, float(what == "as they are"), seconds)
        for what, (found, seconds) in ((what, timed(verifier, some, problems)) for what, some in programs.items())
    }


def mutated(verifier: CodeVerifier, name: str) -> dict[str, Any]:
    """Mutants of the references fare as they do by the data set's own test, run plainly."""
    made = [
        (row, kind, source)
        for row in rows(name)
        for kind, source in mutants(*whole(row), MUTANTS, random.Random(f"{SEED} {row['id']}"))
    ]
    begun = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as threads:
        plain = list(threads.map(lambda one: passes(one[2], one[0], SECONDS), made))
    plainly = time.monotonic() - begun
    found, seconds = timed(verifier, [source for _, _, source in made], [row for row, _, _ in made])
    pairs = enumerate(zip(plain, found, strict=True))
    again = [number for number, (right, one) in pairs if (right is None) != (one.status == "timeout")]
    patient = CodeVerifier(verifier.sandbox, test_seconds=PATIENCE, total_seconds=PATIENCE, workers=1)
    for number in again:
        row, _, source = made[number]
        plain[number] = passes(source, row, PATIENCE)
        found[number] = patient.verify([fenced(source)], [row])[0]
    patient.close()
    disagreements = [
        {
            "id": row["id"],
            "kind": kind,
            "plainly": right,
            "verdict": one.status,
            "reason": one.reason,
            "program": source,
        }
        for (row, kind, source), right, one in zip(made, plain, found, strict=True)
        if one.score != float(right or False)
    ]
    return {
        "mutants": len(made),
        "kinds": dict(Counter(kind for _, kind, _ in made).most_common()),
        "pass plainly": plain.count(True),
        "run again for want of time": len(again),
        "pass here": sum(one.score == 1.0 for one in found),
        "statuses": dict(Counter(one.status for one in found).most_common()),
        "disagreements": disagreements,
        "seconds plainly": round(plainly, 1),
        "seconds here": round(seconds, 1),
    }


def sample(verifier: CodeVerifier) -> dict[str, Any]:
    """Our own right programs on every test of their problems, compared by checker and word for word."""
    problems = {row["id"]: row for row in rows("code_stdio_sample") if row["id"] in SOLUTIONS}
    order = [problems[name] for name in SOLUTIONS]
    found, seconds = timed(verifier, list(SOLUTIONS.values()), order)
    words, _ = timed(verifier, list(SOLUTIONS.values()), [{**row, "checker": "tokens"} for row in order])
    return {
        "problems": {
            name: {"tests": len(row["tests"]), "score": one.score, "score word for word": round(other.score or 0.0, 4)}
            for name, row, one, other in zip(SOLUTIONS, order, found, words, strict=True)
        },
        "seconds": round(seconds, 1),
    }


def measure() -> dict[str, Any]:
    sandbox = open_sandbox("bubblewrap")
    options: dict[str, Any] = {"test_seconds": SECONDS, "total_seconds": 5 * SECONDS, "workers": WORKERS}
    verifier = CodeVerifier(sandbox, **options)
    found: dict[str, Any] = {
        "environment": environment(SEED),
        "sandbox": sandbox.describe().replace(sys.prefix, "..."),
        "options": options,
    }
    for name in ("humaneval", "mbpp_sanitized"):
        found[name] = {"references": references(verifier, name), "mutants": mutated(verifier, name)}
    found["code_stdio_sample"] = sample(CodeVerifier(sandbox, **{**options, "total_seconds": 60.0}, score="fraction"))
    verifier.close()
    return found


def show(found: dict[str, Any]) -> None:
    for name in ("humaneval", "mbpp_sanitized"):
        for what, one in found[name]["references"].items():
            print(f"{name:16} {what:12} {one['programs']:5} {one['statuses']} in {one['seconds']} s")
            print(*(f"    {line}" for line in one["unexpected"]), sep="\n", end="\n" if one["unexpected"] else "")
        one = found[name]["mutants"]
        print(
            f"{name:16} mutants      {one['mutants']:5} {one['pass plainly']} pass plainly, {one['pass here']} here, ",
            end="",
        )
        print(f"{len(one['disagreements'])} disagree; {one['seconds plainly']} s plainly, {one['seconds here']} s here")
        for odd in one["disagreements"]:
            print(f"    {odd['id']}, {odd['kind']}: plainly {odd['plainly']}, here {odd['verdict']}, {odd['reason']}")
    for name, one in found["code_stdio_sample"]["problems"].items():
        print(f"{name:24} {one['tests']:4} tests: {one['score']}, word for word {one['score word for word']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print the table of the committed JSON")
    if not parser.parse_args().show:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")
    show(json.loads(RESULT.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
