"""`riskpo audit`: what each estimator would really optimise on rollouts that were logged."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  riskpo audit --demo                              simulated rollouts: what the tables look like, half a minute
  riskpo audit runs/quickstart                     a run's folder: its completions/*.parquet, and its own estimator
  riskpo audit out/completions/*.parquet           TRL's own files (log_completions=True)
  riskpo audit rollouts/                           verl's trainer.rollout_data_dir
  riskpo audit rows.jsonl --reward_range -1 1      plain rows: prompt_id (or prompt), reward, optional step, logprob
  riskpo audit runs/a --estimators exact,sorted,grpo --json audit.json --figure audit.png

A run's folder also declares the rewards, and its own estimator is the row `this run` (--estimators "this run,exact").
Its completions have the column logprob where the trainer knew it, always with log_covariances.
Several reward columns are added up; --reward picks and weighs them: --reward accuracy --reward format=0.2.
"""

# The row of the estimator that a run's folder was trained with.
OWN = "this run"


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        help="show what each estimator optimises on logged rollouts",
        description="Show what each estimator would really optimise on logged rollouts: weight by difficulty, "
        "signal-to-noise ratio, wrong signs, uniform prompts, entropy, degenerate windows.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="a run's folder, *.parquet or *.jsonl")
    parser.add_argument("--demo", action="store_true", help="simulated rollouts instead of files")
    parser.add_argument("--estimators", metavar="A,B,...", help="presets and estimators (default: all)")
    parser.add_argument(
        "--reward", metavar="NAME[=WEIGHT]", action="append", default=[], help="a column of rewards; may be repeated"
    )
    parser.add_argument(
        "--reward_range",
        "--reward-range",
        metavar=("LOW", "HIGH"),
        nargs=2,
        type=float,
        help="the smallest and the largest possible reward (default: the run's, else 0 1)",
    )
    parser.add_argument(
        "--reward_step", "--reward-step", metavar="STEP", type=float, help="the spacing of graded rewards"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything that was measured")
    parser.add_argument("--figure", metavar="FILE", type=Path, help="also draw it (*.png, *.pdf, *.svg)")
    parser.add_argument("--seed", type=int, default=0, help="of the redraws (default: 0)")
    parser.add_argument(
        "--populations", metavar="N", type=int, default=16, help="redrawn steps; more narrow the errors (default: 16)"
    )
    parser.add_argument("--draws", metavar="N", type=int, default=16, help="draws of each redrawn step (default: 16)")


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status."""
    from riskpo.errors import ConfigError, unknown_name

    if flags:
        known = [f"--{name}" for name in vars(options) if name not in ("files", "verb")]
        raise ConfigError(unknown_name("option", flags[0].split("=")[0], known))
    if bool(options.files) == options.demo:
        raise ConfigError("give either files of rollouts or --demo: see riskpo audit --help.")
    if options.populations < 2 or options.draws < 2:
        raise ConfigError(f"--populations and --draws start at 2, got {options.populations} and {options.draws}.")
    if options.seed < 0:
        raise ConfigError(f"--seed must be at least 0, got {options.seed}.")
    _check_outputs(options)
    from rich.console import Console

    console = Console()
    # Numbers need their columns: a narrow terminal wraps lines, it does not hide digits.
    console.width = min(max(console.width, 80), 100)
    return _audit(options, console)


def _check_outputs(options: argparse.Namespace) -> None:
    from riskpo.errors import ConfigError

    for flag, path in (("--json", options.json), ("--figure", options.figure)):
        if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
            raise ConfigError(f"{flag} {path}: that is a folder, or lies in none that exists.")
    if options.figure is not None and options.figure.suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"--figure {options.figure}: name it *.png, *.pdf or *.svg.")


def _audit(options: argparse.Namespace, console: Any) -> int:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from riskpo.atomic import write_json
    from riskpo.reports.audit import audit_figure, audit_json, print_audit
    from riskpo.reports.figures import save_figure
    from riskpo.risk.audit import Effort, audit

    configs, ends = _estimators(options)
    log = _read(options, ends)
    effort = Effort(populations=options.populations, draws=options.draws)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def say(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        result = audit(log.steps, configs, ends, seed=options.seed, effort=effort, say=say)
    print_audit(result, log, ends, console)
    if options.json is not None:
        write_json(options.json, audit_json(result, log, ends, options.seed))
    if options.figure is not None:
        save_figure(audit_figure(result), options.figure, 150)
    return 0


def _estimators(options: argparse.Namespace) -> tuple[dict[str, Any], tuple[float, float]]:
    """Name to options of what is audited, and the declared range of rewards."""
    from riskpo.errors import ConfigError
    from riskpo.risk.audit import REFERENCES
    from riskpo.risk.named import default_names, resolve
    from riskpo.rollouts.own import own_run

    asked = None if options.estimators is None else [name.strip() for name in options.estimators.split(",")]
    if asked is not None and not all(asked):
        raise ConfigError(f"--estimators takes names separated by single commas, got {options.estimators!r}.")
    own = own_run(options.files[0]) if len(options.files) == 1 and options.files[0].is_dir() else None
    ends, step = _declared(options, own)
    names = default_names() if asked is None else [*asked, *REFERENCES]
    configs = {}
    if own is not None and (asked is None or OWN in asked):
        _check_own(options, own, ends)
        configs[OWN] = own.config
    elif OWN in names:
        raise ConfigError(f"{OWN!r} is the estimator of a run: give its folder, with config.yaml and arguments.json.")
    read = {"reward_range": ends} if step is None else {"reward_range": ends, "reward_step": step}
    return configs | resolve([name for name in names if name != OWN], read), ends


def _check_own(options: argparse.Namespace, own: Any, ends: tuple[float, float]) -> None:
    """The run's estimator is audited on the rewards that it saw, or not at all."""
    from riskpo.errors import ConfigError

    low, high = own.config.reward_range
    if ends != (low, high):
        raise ConfigError(
            f"--reward_range {ends[0]:g} {ends[1]:g}: the run declared {low:g} {high:g}. Leave the flag out, or name "
            f"--estimators without {OWN!r}."
        )
    if any(weight != 1.0 for weight in own.reward_weights or ()) and not options.reward:
        raise ConfigError(
            f"the run weighed its rewards by {' '.join(f'{weight:g}' for weight in own.reward_weights)}: give each "
            f"column and weight as --reward NAME=WEIGHT, or name --estimators without {OWN!r}."
        )


def _declared(options: argparse.Namespace, own: Any) -> tuple[tuple[float, float], float | None]:
    """The range of rewards and their spacing: the flags', else the run's, else 0 to 1."""
    import math

    from riskpo.errors import ConfigError

    if options.reward_range is None and own is not None:
        step = own.config.reward_step if options.reward_step is None else options.reward_step
        return own.config.reward_range, step
    low, high = options.reward_range or (0.0, 1.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"--reward_range takes two finite numbers, the smaller first, got {low:g} {high:g}.")
    return (low, high), options.reward_step


def _read(options: argparse.Namespace, ends: tuple[float, float]) -> Any:
    from riskpo.errors import DataError
    from riskpo.rollouts.read import Rollouts, read_rollouts
    from riskpo.rollouts.simulated import simulated_steps

    if options.demo:
        return Rollouts(simulated_steps(options.seed), "simulated", 0, ["simulated: 40 prompts, p ~ Beta(.5, 1)"])
    log = read_rollouts(options.files, _reward_weights(options.reward) or None)
    low, high = log.reward_bounds
    slack = 1e-6 * (ends[1] - ends[0])
    if low < ends[0] - slack or high > ends[1] + slack:
        found = f"lie between {low:g} and {high:g}" if low < high else f"are all {low:g}"
        # Rewards that are all equal show one end at most: with the declared ones they make a range.
        wide = (low, high) if low < high else (min(low, ends[0]), max(high, ends[1]))
        raise DataError(
            f"the rewards {found}, outside ({ends[0]:g}, {ends[1]:g}): declare the smallest and the largest possible "
            f"reward, e.g. --reward_range {_exactly(wide[0])} {_exactly(wide[1])}."
        )
    return log


def _exactly(value: float) -> str:
    """A number that is read back as the same: rounded, the proposed range could leave out a reward."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _reward_weights(given: Sequence[str]) -> dict[str, float]:
    import math

    from riskpo.errors import ConfigError

    weights = {}
    for item in given:
        name, equals, weight = item.rpartition("=") if "=" in item else (item, "", "1")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = math.nan
        if not math.isfinite(weights[name]) or (equals and not name):
            raise ConfigError(f"--reward takes NAME or NAME=WEIGHT, got {item!r}.")
    return weights
