"""`riskpo compare`: several estimators, several seeds, one table, and what may be concluded from it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riskpo.cli.quiet import quieten
from riskpo.cli.train import recipe_and_flags

EPILOG = """\
examples:
  riskpo compare quickstart --estimators exact,grpo,maxrl --seeds 5
  riskpo compare quickstart --estimators "exact,b10:preset=exact;bundle_size=10" --seeds 3 --no-tune --max_steps 200
  riskpo compare quickstart --estimators exact,grpo --seeds 5 --dry-run       what would be run, and for how long
  riskpo compare paper-hard --estimators paper,grpo --seeds 3 --eval_split math500 --eval_prompts 100 --job-list jobs

The same command again goes on where it was stopped or killed, and says so where nothing is missing. Entries and seeds
may be added. Everything else that begins with -- is an option of `riskpo train`, for every run. docs/compare.md says
what each number means.
"""


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        usage="riskpo compare [RECIPE | --config FILE] --estimators A,B,... [--seeds N] [--jobs J] [--OPTION VALUE]",
        help="compare estimators over seeds",
        description="Run or resume a grid of estimators and seeds, each at its own best learning rate, and report "
        "means with intervals over seeds, paired differences, and what may be concluded.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help="a YAML file of options instead of a recipe")
    add(
        "--estimators",
        metavar="A,B,...",
        help="presets, estimators, or label:option=value;option=value",
    )
    add("--baseline", metavar="LABEL", help="what the others are compared with (default: the first one)")
    add("--seeds", metavar="N", type=int, default=3, help="runs of each, with the seeds 0 to N - 1 (default: 3)")
    add("--jobs", metavar="J", type=int, help="runs at once (default: 1)")
    add("--output_dir", "--output-dir", metavar="DIR", type=Path, help="default: compare/RECIPE")
    tuning = parser.add_argument_group("learning rates")
    tuning.add_argument(
        "--learning_rates",
        "--learning-rates",
        metavar="A,B,...",
        help="tried for every entry, on prompts of their own (default: 1/3, 1 and 3 times the entry's)",
    )
    tuning.add_argument(
        "--tune_steps", "--tune-steps", metavar="N", type=int, help="length of a trial (default: of a run)"
    )
    tuning.add_argument(
        "--no-tune",
        "--no_tune",
        action="store_true",
        help="every entry at its own learning rate, and the report says so",
    )
    how = parser.add_argument_group("instead of running")
    how.add_argument("--dry-run", "--dry_run", action="store_true", help="print the plan, touch nothing")
    how.add_argument(
        "--job-list", "--job_list", metavar="FILE", type=Path, help="write a shell command a line, for a cluster"
    )
    parser.add_argument("--verbose", action="store_true", help="show the warnings of the libraries underneath")


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status: 0; 1 where a run failed or is missing; 130 where it was stopped."""
    from riskpo.errors import ConfigError

    recipe, flags = recipe_and_flags(flags)
    if not options.estimators:
        raise ConfigError("name what is compared: --estimators exact,grpo")
    if options.jobs is not None and options.jobs < 1:
        raise ConfigError(f"--jobs must be at least 1, got {options.jobs}.")
    if options.job_list is not None and (options.jobs is not None or options.dry_run):
        raise ConfigError("--job-list runs nothing: leave out --jobs and --dry-run.")
    if not options.verbose:
        quieten()
    from rich.console import Console

    from riskpo.comparison.design import make_design
    from riskpo.comparison.session import describe, reads_job_list, write_job_list

    console = Console()

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    asked = _asked(options, recipe, flags)
    elsewhere = options.job_list is not None or reads_job_list(asked, options.jobs)
    design = make_design(asked, dry=options.dry_run or elsewhere)
    for note in design.notes:
        say(f"note: {note}")
    if options.dry_run:
        for line in describe(design, options.jobs or 1):
            say(line)
        return 0
    if options.job_list is not None:
        write_job_list(design, options.job_list, say)
        return 0
    return _run(design, options.jobs, console, say)


def _run(design: Any, jobs: int | None, console: Any, say: Any) -> int:
    from riskpo.comparison.session import run_comparison
    from riskpo.reports.comparison import FILES, print_comparison_of_estimators

    say(f"comparing {', '.join(design.labels)} in {design.folder}")
    done = run_comparison(design, jobs, say)
    if done.stopped:
        say(f"Stopped. The same command goes on with what is in {design.folder}.")
        return 130
    if done.summary is not None:
        print_comparison_of_estimators(done.summary, console)
        say(f"{design.folder}: {', '.join(FILES)}")
    for line in done.missing:
        say(line)
    if done.failed:
        say(f"{len(done.failed)} failed: {', '.join(done.failed)}. The same command tries them again.")
        return 1
    return 1 if done.missing else 0


def _asked(options: argparse.Namespace, recipe: str | None, flags: Sequence[str]) -> Any:
    from riskpo.comparison.design import Asked
    from riskpo.comparison.entries import read_entries
    from riskpo.comparison.tuning import read_rates

    entries = read_entries(options.estimators)
    return Asked(
        recipe=recipe,
        config=options.config,
        flags=tuple(flags),
        entries=tuple(entries),
        seeds=options.seeds,
        baseline=options.baseline or entries[0].label,
        tune=not options.no_tune,
        rates=None if options.learning_rates is None else tuple(read_rates(options.learning_rates)),
        tune_steps=options.tune_steps,
        folder=options.output_dir,
    )
