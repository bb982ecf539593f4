"""`riskpo report`: one page on a run, or on several beside each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  riskpo report runs/quickstart                    runs/quickstart/report.html
  riskpo report runs/a runs/b --output ab.html     both in every figure, and which options differ
  riskpo report runs/a --figures paper --format pdf    also paper/*.pdf and paper/report.md
  riskpo report runs/a --max-size 10               at most 10 MB: fewer completions, failures and extremes first
  riskpo report runs/a --model-card                also runs/a/model/README.md

The page is one file without network: figures, a table of completions, configuration, the command that repeats the run.
A run that is still going, or was killed, is shown as far as it went. What it holds: docs/reports.md.
"""
FORMATS = ("png", "svg", "pdf")


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        help="write a page on a run, or on several",
        description="Write one self-contained HTML page on a run, or on several beside each other.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", type=Path, help="the folder of a run")
    add("--output", metavar="FILE", type=Path, help="default: RUN/report.html; of several runs report.html right here")
    add(
        "--max-completions",
        "--max_completions",
        metavar="N",
        type=int,
        help="in the table (default: 100000; 0: no table)",
    )
    add("--max-size", "--max_size", metavar="MB", type=float, help="of the page (default: 40)")
    add("--seed", type=int, default=0, help="of the completions drawn, and of redrawn rollouts (default: 0)")
    add("--figures", metavar="DIR", type=Path, help="also write the figures there one by one, and report.md")
    add("--format", choices=FORMATS, help="of --figures (default: png)")
    add(
        "--model-card",
        "--model_card",
        action="store_true",
        help="also write the model card README.md into the model folder of each run",
    )


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status."""
    from riskpo.errors import ConfigError, unknown_name

    if flags:
        known = [f"--{name.replace('_', '-')}" for name in vars(options) if name not in ("runs", "verb")]
        raise ConfigError(unknown_name("option", flags[0].split("=")[0], known))
    if options.format and options.figures is None:
        raise ConfigError(f"--format {options.format} is of --figures DIR, which is not given.")
    output = _output(options)
    from rich.console import Console

    from riskpo.atomic import write_text
    from riskpo.reports.model_card import check_card, write_card
    from riskpo.reports.page.build import MOST_COMPLETIONS, MOST_MEGABYTES, Limits, about_sample, gather, render
    from riskpo.reports.page.export import write_figures
    from riskpo.reports.page.texts import size

    console = Console()
    limits = Limits(
        MOST_COMPLETIONS if options.max_completions is None else options.max_completions,
        MOST_MEGABYTES if options.max_size is None else options.max_size,
        options.seed,
    )
    if options.model_card:
        for folder in options.runs:
            check_card(folder / "model")
    with console.status("reading") as status:
        report = gather(options.runs, limits, status.update)
        page, sample = render(report, status.update)
    write_text(output, page)
    _say(
        console,
        f"{output}: {len(report.drawings)} figures, {size(len(page.encode()))}. {about_sample(sample, limits.seed)}",
    )
    for left_out in report.left_out:
        _say(console, f"left out: {left_out.title}: {left_out.why}")
    if options.figures is not None:
        written = write_figures(report, options.figures, options.format or FORMATS[0])
        _say(console, f"{options.figures}: {len(written)} figures, report.md")
    if options.model_card:
        for record in report.records:
            _say(console, str(write_card(record)))
    return 0


def _output(options: argparse.Namespace) -> Path:
    """Where the page goes, checked before anything is read."""
    from riskpo.cli.places import check_file, check_folder

    output: Path | None = options.output
    if output is None:
        output = options.runs[0] / "report.html" if len(options.runs) == 1 else Path("report.html")
    if options.output is not None or output.parent.is_dir():  # else the run is what does not exist
        check_file("--output", output)
    if options.figures is not None:
        check_folder("--figures", options.figures)
    return output


def _say(console: Any, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
