"""An evaluation as a table, with what its numbers should be distrusted for."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from riskpo.evaluation.compare import Comparison

# Shares above which a sentence is said.
TRUNCATED, UNSCORABLE = 0.02, 0.0


def print_evaluation(results: dict[str, Any], console: Console) -> None:
    """The scores of every task, and a sentence for what is wrong with them."""
    table = Table(box=box.SIMPLE, title_justify="left")
    for name in ("task", "score", "mean", "95 % over questions", "over samples"):
        table.add_column(name, no_wrap=True)
    for name, task in results["tasks"].items():
        rows = [(f"pass@{k}", score) for k, score in task["pass"].items()]
        if task["avg"] is not None and task["avg"]["mean"] != task["pass"].get("1", {}).get("mean"):
            rows.append((task["avg"]["metric"], task["avg"]))
        if task["maj"]:
            last = list(task["maj"].values())[-1]
            rows.append((last["metric"], last))
        for number, (label, score) in enumerate(rows):
            table.add_row(
                escape(name) if number == 0 else "",
                label,
                f"{score['mean']:.3f}",
                _bounds(score["over_questions"]),
                _bounds(score["over_samples"]),
            )
    console.print(table)
    for name, task in results["tasks"].items():
        console.print(f"{name}: {_about(task)}", highlight=False, markup=False)
        for line in _doubts(task):
            console.print(f"  {line}", highlight=False, markup=False)


def print_comparison(found: dict[str, Comparison], notes: list[str], console: Console) -> None:
    """A table, and the sentences of what may be said."""
    table = Table(box=box.SIMPLE)
    for name in ("task", "score", "questions", "A", "B", "A - B", "95 %", "p"):
        table.add_column(name, no_wrap=True)
    for metric, comparison in found.items():
        overall = [one for one in (comparison.macro, comparison.pooled) if one is not None]
        for one in [*comparison.tasks.values(), *overall]:
            table.add_row(
                escape(one.task),
                metric,
                str(one.questions),
                f"{one.a:.3f}",
                f"{one.b:.3f}",
                f"{one.difference:+.3f}",
                f"[{one.low:+.3f}, {one.high:+.3f}]",
                f"{one.p_holm:.2g}",
            )
    console.print(table)
    for metric, comparison in found.items():
        for sentence in comparison.sentences:
            console.print(f"{metric}: {sentence}", highlight=False, markup=False)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)


def _bounds(interval: dict[str, Any]) -> str:
    return "-" if interval["low"] is None else f"[{interval['low']:.3f}, {interval['high']:.3f}]"


def _about(task: dict[str, Any]) -> str:
    parts = [f"{task['questions']} questions x {task['samples']}", f"scorer {task['scorer']}"]
    parts += [f"{key} {task[key]}" for key in ("split", "template") if task.get(key)]
    return ", ".join([*parts, f"{task['tokens']:.0f} tokens a sample, {task['truncated']:.1%} truncated"])


def _doubts(task: dict[str, Any]) -> list[str]:
    lines = []
    if task["avg"] is None:
        return [task["why"]]
    if task["truncated"] > TRUNCATED:
        lines.append(
            f"{task['truncated']:.1%} of the samples were cut at the longest length and count as they stand: raise "
            "--max_new_tokens to see what they would have said."
        )
    if task["unscorable"] > UNSCORABLE:
        lines.append(f"{task['unscorable']:.1%} of the samples could not be judged and are left out of every score.")
    if task["no_answer"] > 0.1:
        lines.append(
            f"{task['no_answer']:.1%} have no answer in the form that {task['scorer']} reads: perhaps the prompt does "
            "not ask for it."
        )
    left_out = [f"{score['left_out']} at {score['metric']}" for score in task["pass"].values() if score["left_out"]]
    if left_out:
        lines.append(f"questions left out, as too few of their samples could be judged: {', '.join(left_out)}.")
    return lines
