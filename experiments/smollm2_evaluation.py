"""What a small real model can do: SmolLM2-135M-Instruct on 200 GSM8K questions and on one-digit products.

    python experiments/smollm2_evaluation.py --data FOLDER    # about ten minutes on two cores

Runs `riskpo eval` as a user would, once for each task, and keeps the scores (results/smollm2_evaluation.json) and, for
what compares scorers on real texts (scorer_agreement.py), the completions (results/smollm2_gsm8k.jsonl). Killed and
started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.common import environment
from riskpo.evaluation.intervals import question_interval
from riskpo.rewards.math import MathVerifier

RESULTS = Path(__file__).parent / "results"
MODEL = "builtin:smollm2-135m-instruct"
GSM8K = ["--tasks", "gsm8k", "--limit", "200", "--batch_size", "32", "--temperature", "0", "--max_new_tokens", "320"]
PRODUCTS = ["--tasks", "multiplication", "--samples", "32", "--ks", "1", "8", "--max_new_tokens", "4"]


def evaluate(flags: list[str], folder: Path) -> dict[str, Any]:
    """Runs the command line; its results."""
    command = [sys.executable, "-m", "riskpo.cli", "eval", MODEL, *flags, "--output_dir", str(folder)]
    subprocess.run(command, check=True)
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results


def row_of(results: dict[str, Any], flags: list[str]) -> dict[str, Any]:
    """What a table says of an evaluation of one task."""
    (task,) = results["tasks"].values()
    kept = ("task", "scorer", "asked", "samples", "truncated", "unscorable", "no_answer", "tokens", "pass")
    row = {name: task[name] for name in kept if name in task}
    return {"command": f"riskpo eval {MODEL} {' '.join(flags)}", **row, "backend": results["backend"]}


def read_flexibly(texts: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same completions, of which the last number counts: most lack the mark that the strict convention reads."""
    golds = {f"gsm8k/{row['id']}": row["answer"] for row in rows}
    verifier = MathVerifier("gsm8k-flexible")
    verdicts = verifier.verify([row["completion"] for row in texts], [{"answer": golds[r["question"]]} for r in texts])
    score = question_interval([float(one.score or 0.0) for one in verdicts]).as_dict()
    return {"task": "gsm8k, last number", "asked": len(texts), "samples": 1, "pass": {"1": {"over_questions": score}}}


def table(found: dict[str, Any]) -> str:
    """The scores as Markdown."""
    lines = ["| task | questions x samples | score | mean, 95 % over questions |", "|---|---|---|---|"]
    for row in found["tasks"]:
        for k, score in row["pass"].items():
            bounds = score["over_questions"]
            lines.append(
                f"| {row['task']} | {row['asked']} x {row['samples']} | pass@{k} | {bounds['mean']:.3f} "
                f"[{bounds['low']:.3f}, {bounds['high']:.3f}] |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, type=Path, help="folder with gsm8k_test.jsonl")
    parser.add_argument("--work", type=Path, default=Path("evals"), help="where the evaluations' folders go")
    options = parser.parse_args()
    tasks = []
    for name, flags in (("gsm8k", GSM8K), ("multiplication", PRODUCTS)):
        given = [*flags, "--data_dir", str(options.data)] if name == "gsm8k" else flags
        folder = options.work / f"smollm2-{name}"
        tasks.append(row_of(evaluate(given, folder), flags))
    texts = [json.loads(line) for line in (options.work / "smollm2-gsm8k/samples/gsm8k.jsonl").open(encoding="utf-8")]
    kept = sorted(
        ({key: row[key] for key in ("question", "completion")} for row in texts), key=lambda row: row["question"]
    )
    with (options.data / "gsm8k_test.jsonl").open(encoding="utf-8") as file:
        tasks.insert(1, read_flexibly(kept, [json.loads(line) for line in file]))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    (RESULTS / "smollm2_gsm8k.jsonl").write_text(lines, encoding="utf-8")
    record = {"tasks": tasks, "environment": environment(0)}
    (RESULTS / "smollm2_evaluation.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
