"""Figures for papers one by one, and the report as Markdown."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib import rc_context

from riskpo.atomic import write_bytes, write_text
from riskpo.reports.page.build import Report
from riskpo.reports.page.drawing import Drawing
from riskpo.reports.page.palette import STYLE
from riskpo.reports.page.texts import visible
from riskpo.reports.page.views import RunView

_DPI = 200


def write_figures(report: Report, folder: Path, kind: str) -> list[Path]:
    """Writes each figure, and report.md that shows them.

    Args:
        report: what to write.
        folder: made where it is missing; files of these names are replaced.
        kind: `png`, `svg` or `pdf`.

    Returns:
        The files of the figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    # As outlines an SVG looks the same everywhere; without a date the same report gives the same file.
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}[kind]
    for drawing in report.drawings:
        for name, figure in zip(_file_names(drawing, kind), drawing.panels.values(), strict=True):
            file = io.BytesIO()
            with rc_context({**STYLE, "svg.fonttype": "path", "svg.hashsalt": name}):
                figure.savefig(file, format=kind, dpi=_DPI, facecolor="white", metadata=dated)
            write_bytes(folder / name, file.getvalue())
            written.append(folder / name)
    write_text(folder / "report.md", markdown(report, kind))
    return written


def _file_names(drawing: Drawing, kind: str) -> list[str]:
    """`scores.png`, or `scores-1.png`, `scores-2.png` for a panel each."""
    if len(drawing.panels) == 1:
        return [f"{drawing.key}.{kind}"]
    return [f"{drawing.key}-{number}.{kind}" for number in range(1, len(drawing.panels) + 1)]


def markdown(report: Report, kind: str) -> str:
    """The report as Markdown: results, figures beside it as `KEY.kind`, configuration, how to repeat it."""
    lines = [f"# {markdown_text(report.title)}", ""]
    for view in report.views:
        lines += _about(view, several=len(report.views) > 1)
    lines += ["## Figures", ""]
    for one in report.drawings:
        links = zip(_file_names(one, kind), one.panels, strict=True)
        names = [(file, f"{one.title}, {run}" if len(one.panels) > 1 else one.title) for file, run in links]
        shown = [f"{'' if kind == 'pdf' else '!'}[{markdown_text(name)}]({file})" for file, name in names]
        lines += [f"### {one.title}", "", *shown, "", f"{markdown_text(one.caption)} ({one.see})", ""]
    if report.left_out:
        lines += ["Left out:", "", *(f"- {one.title}: {markdown_text(one.why)}" for one in report.left_out), ""]
    if report.differing:
        lines += ["## Options that differ", ""]
        lines += markdown_table(
            ["option", *(view.name for view in report.views)], [[name, *v] for name, v in report.differing]
        )
    for view in report.views:
        suffix = f" of {markdown_text(view.name)}" if len(report.views) > 1 else ""
        lines += [
            f"## Options{suffix}",
            "",
            *markdown_table(["option", "value"], [list(pair) for pair in view.settings]),
        ]
        lines += [f"## Versions and machine{suffix}", ""]
        lines += markdown_table(["what", "value"], [list(pair) for pair in view.versions + view.machine])
        lines += [f"## Repeat{suffix}", ""]
        for word, command in view.commands:
            lines += [f"{word}:", "", *(f"    {line}" for line in visible(command).splitlines()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _about(view: RunView, *, several: bool) -> list[str]:
    lines = [f"## {markdown_text(view.name)}", ""] if several else []
    lines += [markdown_text(view.method), ""]
    if view.results:
        rows = [[row.name, row.before, row.after, row.change] for row in view.results]
        lines += [*markdown_table(["", "before", "after", "change"], rows), f"{view.about_results}.", ""]
    lines += [*markdown_table(["", ""], [list(pair) for pair in view.facts])]
    lines += [*(f"- {markdown_text(note)}" for note in view.notes), ""] if view.notes else []
    if view.diagnosis is not None:
        said = [f"{one.level}, {one.code}: {one.text} ({one.documented})" for one in view.diagnosis.findings]
        said += [f"nothing found by {', '.join(view.diagnosis.quiet)}"] if view.diagnosis.quiet else []
        lines += ["Findings:", "", *(f"- {markdown_text(line)}" for line in said), ""] if said else []
    return lines


def markdown_table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""
    cells = [[markdown_text(cell) for cell in row] for row in rows]
    body = [f"| {' | '.join(row)} |" for row in cells]
    return [f"| {' | '.join(map(markdown_text, heads))} |", f"|{'---|' * len(heads)}", *body, ""]


def markdown_text(text: str) -> str:
    """Foreign text as one line of Markdown that means itself."""
    line = " ".join(visible(text).split())
    for sign in "\\`*_[]<>|":
        line = line.replace(sign, f"\\{sign}")
    return line.replace("&", "&amp;")
