"""The tables of docs/tasks.md are the registry's."""

from pathlib import Path

import pytest

from riskpo.tasks.base import DataTask
from riskpo.tasks.registry import DATA_TASKS, TASKS
from riskpo.tasks.templates import TEMPLATES

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def code(*names):
    return ", ".join(f"`{name}`" for name in names)


def tasks_table():
    lines = [
        "| task | hub id | splits (rows), files | licence | scorer | template | run against the hub |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in (*DATA_TASKS.values(), *TASKS.values()):
        loaded = isinstance(task, DataTask)
        splits = [
            f"{name}{'' if split.rows is None else f' {split.rows}'}"
            + (f" ({code(*split.files)})" if split.files else "")
            for name, split in task.splits.items()
        ]
        hub = f"`{task.hub}`" if loaded and task.hub else "local file" if loaded else "built in"
        parts = dict.fromkeys(part.config for split in task.splits.values() for part in split.hub if part.config)
        hub += f" ({', '.join(parts)})" if parts else ""
        images = ", with images" if "image" in task.modality else ""
        scorer = f"`{task.scorer}`" if loaded else task.scorer
        template = f"`{task.template}`" if loaded else "its own text"
        run = "no" if loaded and task.hub else "-"
        cells = (f"`{task.name}`: {task.about}{images}", hub, "; ".join(splits), task.licence, scorer, template, run)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def templates_table():
    lines = ["| template | for | published in | scorer |", "|---|---|---|---|"]
    kinds = {
        "math": "questions with an answer",
        "choice": "multiple choice or a number",
        "stdio": "programs",
        "function": "functions",
    }
    for template in TEMPLATES.values():
        kind = kinds[template.kind] + ("" if template.chat else ", base models")
        lines.append(f"| `{template.name}` | {kind} | {template.origin} | `{template.scorer}` |")
    return "\n".join(lines)


TABLES = {"tasks": tasks_table, "templates": templates_table}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_the_registrys(name):
    """To write them anew after a change: python -m tests.tasks.test_tasks_docs"""
    block = PAGE.read_text(encoding="utf-8").split(f"<!-- table: {name} -->\n")[1]
    assert block.split("\n\n")[0] == TABLES[name]()


def write():
    text = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        mark = f"<!-- table: {name} -->\n"
        before, after = text.split(mark)
        rest = after if after.startswith("\n") else "\n\n" + after.split("\n\n", 1)[1]
        text = before + mark + table() + ("\n" + rest if after.startswith("\n") else rest)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
