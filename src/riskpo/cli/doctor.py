"""`riskpo doctor`: is what a run relies on in order? The machine, the configuration, the data, the reward, the run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from riskpo.diagnosis.finding import FAIL_ON

EPILOG = """\
examples:
  riskpo doctor env                                                 packages, GPU, disk, sandbox, hub, threads
  riskpo doctor config quickstart --preset paper --learning_rate 1e-3
  riskpo doctor data train.jsonl                                    empty, missing, repeated, in conflict
  riskpo doctor rewards --data train.jsonl --reward math            every gold answer, then a battery of attacks
  riskpo doctor run runs/quickstart --fail-on warning               collapse, dead windows, failing verifiers, ...

Every check, its threshold and the runs that it was tried on: docs/doctor.md. Nothing here asks the network.
"""
REWARDS_EPILOG = """\
examples:
  riskpo doctor rewards --data train.jsonl --reward math            every gold answer, then a battery of attacks
  riskpo doctor rewards --data train.jsonl --reward my.module:score --fail-on error
  riskpo doctor rewards --data humaneval.jsonl --reward code --answer answer --json report.json

The data have prompt (or question) and what the reward needs: answer for mathematics, tests for code (docs/rewards.md).
"""
CONFIG_EPILOG = """\
examples:
  riskpo doctor config quickstart
  riskpo doctor config --config my.yaml --num_generations 4

Recipe, file and flags are read as riskpo train reads them; what cannot be run at all is an error, as there.
"""


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        help="check machine, configuration, data, reward, or a run",
        description="Check what a run relies on, and what a run has logged. Each finding has its numbers, what to "
        "change and where that is explained; a check that lacks what it needs says SKIPPED and what is missing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    env = _kind(kinds, "env", "packages, GPU, disk, sandbox, hub, threads, shared memory")
    env.add_argument("--runs-dir", "--runs_dir", metavar="DIR", type=Path, default=Path("runs"), help="where runs go")
    config = _kind(kinds, "config", "options that are allowed, and unwise", CONFIG_EPILOG)
    config.usage = "riskpo doctor config [RECIPE | --config FILE] [--json FILE] [--fail-on LEVEL] [--OPTION VALUE ...]"
    config.add_argument("--config", metavar="FILE", help="a YAML file of options")
    data = _kind(kinds, "data", "empty prompts, missing golds, repeats, conflicts, benchmark questions")
    data.add_argument("data", metavar="FILE|TASK", help="JSONL or parquet file, or a task of riskpo tasks")
    data.add_argument("--answer", metavar="COLUMN", help="the gold answers of a file (default: answer)")
    data.add_argument("--split", metavar="NAME", help="of a task (default: its first)")
    data.add_argument("--data-file", "--data_file", metavar="FILE", help="the task's data file")
    data.add_argument("--data-dir", "--data_dir", metavar="DIR", help="folder with the files of tasks and benchmarks")
    _add_rewards(kinds)
    run_of = _kind(kinds, "run", "what a run's log says of its health")
    run_of.add_argument("run", metavar="RUN", type=Path, help="a run's folder, or its metrics.jsonl")


def _kind(kinds: Any, name: str, about: str, epilog: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(
        name,
        help=about,
        description=f"Check {about}." if name != "run" else "Check what a run's log says of its health.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything that was found")
    parser.add_argument(
        "--fail-on",
        "--fail_on",
        choices=FAIL_ON,
        default="never",
        help="exit with status 1 where a finding is at least this bad; skipped: or a check was (default: never)",
    )
    return parser


def _add_rewards(kinds: Any) -> None:
    rewards = _kind(
        kinds, "rewards", "gold answers that score below 1, and attacks that slip through a reward", REWARDS_EPILOG
    )
    rewards.add_argument("--data", metavar="FILE", required=True, help="JSONL or parquet file, or a hub id")
    rewards.add_argument("--reward", metavar="NAME", required=True, help="built-in, or package.module:function")
    rewards.add_argument("--answer", metavar="COLUMN", default="answer", help="the gold answers (default: answer)")
    rewards.add_argument("--rows", metavar="N", type=int, default=0, help="the first N rows only (default: all)")
    rewards.add_argument("--sample", metavar="N", type=int, default=32, help="rows that are attacked (default: 32)")
    rewards.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status: 0, or 1 by --fail-on."""
    from riskpo.cli.places import check_file
    from riskpo.errors import ConfigError, unknown_name

    if flags and options.what in ("run", "data") and not flags[0].startswith("-"):
        what = "run" if options.what == "run" else "file or task"
        raise ConfigError(f"one {what} at a time: got {getattr(options, options.what)} and {' and '.join(flags)}.")
    if flags and options.what != "config":
        positional = ("what", "verb", "run", *(("data",) if options.what == "data" else ()))
        known = [f"--{name.replace('_', '-')}" for name in vars(options) if name not in positional]
        raise ConfigError(unknown_name("option", flags[0].split("=")[0], known))
    if options.json is not None:
        check_file("--json", options.json)
    if options.what == "rewards":
        return _rewards(options)
    looks: dict[str, Callable[[], Any]] = {
        "env": lambda: _env(options),
        "config": lambda: _config(options, flags),
        "data": lambda: _data(options),
        "run": lambda: _run(options),
    }
    return _say(looks[options.what](), options)


def _say(found: Any, options: argparse.Namespace) -> int:
    from rich.console import Console

    from riskpo.atomic import write_json
    from riskpo.diagnosis.finding import fails
    from riskpo.reports.doctor import diagnosis_json, print_diagnosis

    print_diagnosis(found, Console())
    if options.json is not None:
        write_json(options.json, diagnosis_json(found))
    return int(fails(found.findings, options.fail_on, found.skipped))


def _env(options: argparse.Namespace) -> Any:
    from riskpo.diagnosis.env import check_env, look

    return check_env(look(options.runs_dir))


def _config(options: argparse.Namespace, flags: Sequence[str]) -> Any:
    from riskpo.cli.quiet import quieten
    from riskpo.cli.train import recipe_and_flags
    from riskpo.diagnosis.config import check_config, setup_of

    recipe, flags = recipe_and_flags(flags)
    quieten()
    from riskpo.runs.arguments import plan_new
    from riskpo.runs.session import check

    plan = plan_new(recipe, options.config, flags, dry=True)
    train = check(plan).train
    return check_config(setup_of(plan, None if train is None else len(train)), plan.name)


def _data(options: argparse.Namespace) -> Any:
    from riskpo.diagnosis.data import check_data, seen_in_file, seen_in_split
    from riskpo.errors import ConfigError
    from riskpo.tasks.files import is_local

    if is_local(options.data):
        if options.split or options.data_file:
            raise ConfigError("--split and --data-file are a task's: a file is looked at as it is.")
        return check_data(seen_in_file(options.data, options.answer, options.data_dir), Path(options.data).name)
    if options.answer:
        raise ConfigError("--answer is a file's: a task knows where its gold answers are.")
    return check_data(*seen_in_split(options.data, options.split, options.data_file, options.data_dir))


def _run(options: argparse.Namespace) -> Any:
    from riskpo.diagnosis.log import read_run
    from riskpo.diagnosis.run import check_run

    return check_run(read_run(options.run), options.run.resolve().name)


def _rewards(options: argparse.Namespace) -> int:
    from random import Random

    from rich.console import Console

    from riskpo.atomic import write_json
    from riskpo.diagnosis.finding import fails
    from riskpo.diagnosis.rewards import reward_findings, rows_to_judge
    from riskpo.errors import ConfigError
    from riskpo.reports.doctor import as_json, print_rewards
    from riskpo.rewards.battery import run_attacks
    from riskpo.rewards.gold_audit import audit_gold
    from riskpo.rewards.judge import Judge
    from riskpo.runs.rewards import load_reward

    for name, least in (("rows", 0), ("sample", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise ConfigError(f"--{name} must be at least {least}, got {getattr(options, name)}.")
    judge = Judge(load_reward(options.reward), options.reward, apart=True)
    rows = rows_to_judge(options.data, judge.reward, options.reward, options.answer, options.rows)
    console = Console()
    sandbox = getattr(getattr(judge.reward, "verifier", None), "sandbox", None)
    if sandbox is not None:  # it was tried out when the reward was made
        console.print(f"sandbox: {sandbox.describe()}", highlight=False, markup=False, soft_wrap=True)
    with console.status("") as status:

        def says(what: str) -> Callable[[str], None]:
            return lambda name: status.update(f"{what} {name}")

        status.update(f"judging {len(rows)} gold answers")
        gold = audit_gold(judge, rows, options.answer)
        attacks = run_attacks(
            judge,
            rows,
            gold.form,
            Random(options.seed),
            sample=options.sample,
            answer=options.answer,
            progress=says("attack"),
        )
    findings = reward_findings(gold, attacks, options.reward)
    print_rewards(gold, attacks, findings, console)
    if options.json is not None:
        write_json(options.json, as_json(gold, attacks, findings))
    return int(fails(findings, options.fail_on))
