"""`riskpo doctor`: is what a run relies on in order? `rewards` asks that of a reward and a data set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  riskpo doctor rewards --data train.jsonl --reward math            every gold answer, then a battery of attacks
  riskpo doctor rewards --data train.jsonl --reward my.module:score --fail-on error
  riskpo doctor rewards --data humaneval.jsonl --reward code --answer answer --json report.json

The data have prompt (or question) and what the reward needs: answer for mathematics, tests for code (docs/rewards.md).
"""


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        help="check a reward against a data set",
        description="Check what a run relies on. `rewards`: does every gold answer score 1, which are duplicate or in "
        "conflict, do the prompts ask for the form that the reward reads, and which attacks slip through?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("what", choices=("rewards",), help="what to look at")
    parser.add_argument("--data", metavar="FILE", required=True, help="JSONL or parquet file, or a hub id")
    parser.add_argument("--reward", metavar="NAME", required=True, help="built-in, or package.module:function")
    parser.add_argument("--answer", metavar="COLUMN", default="answer", help="the gold answers (default: answer)")
    parser.add_argument("--rows", metavar="N", type=int, default=0, help="look at the first N rows only (default: all)")
    parser.add_argument("--sample", metavar="N", type=int, default=32, help="rows that are attacked (default: 32)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything that was found")
    parser.add_argument(
        "--fail-on",
        "--fail_on",
        choices=("error", "warning", "note", "never"),
        default="never",
        help="exit with status 1 where a finding is at least this bad (default: never)",
    )


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status: 0, or 1 by --fail-on."""
    from riskpo.errors import ConfigError, unknown_name

    if flags:
        known = [f"--{name.replace('_', '-')}" for name in vars(options) if name not in ("what", "verb")]
        raise ConfigError(unknown_name("option", flags[0].split("=")[0], known))
    for name, least in (("rows", 0), ("sample", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise ConfigError(f"--{name} must be at least {least}, got {getattr(options, name)}.")
    if options.json is not None and not options.json.parent.is_dir():
        raise ConfigError(f"--json {options.json}: the folder {options.json.parent} does not exist.")
    return _rewards(options)


def _rewards(options: argparse.Namespace) -> int:
    from random import Random

    from rich.console import Console

    from riskpo.atomic import write_text
    from riskpo.reports.doctor import LEVELS, as_json, print_rewards, reward_findings
    from riskpo.rewards.battery import run_attacks
    from riskpo.rewards.gold_audit import audit_gold
    from riskpo.rewards.judge import Judge
    from riskpo.runs.rewards import load_reward

    judge = Judge(load_reward(options.reward), options.reward, apart=True)
    rows = _rows(options, judge.reward)
    console = Console()
    sandbox = getattr(getattr(judge.reward, "verifier", None), "sandbox", None)
    if sandbox is not None:  # it was tried out when the reward was made
        console.print(f"sandbox: {sandbox.describe()}", highlight=False, markup=False, soft_wrap=True)
    with console.status("") as status:

        def says(what: str) -> Callable[[str], None]:
            return lambda name: status.update(f"{what} {name}")

        status.update(f"judging {len(rows)} gold answers")
        gold = audit_gold(judge, rows, options.answer)
        generator = Random(options.seed)
        attacks = run_attacks(
            judge,
            rows,
            gold.form,
            generator,
            sample=options.sample,
            answer=options.answer,
            progress=says("attack"),
        )
    findings = reward_findings(gold, attacks, options.reward)
    print_rewards(gold, attacks, findings, console)
    if options.json is not None:
        write_text(options.json, json.dumps(as_json(gold, attacks, findings), indent=1) + "\n")
    if options.fail_on == "never":
        return 0
    bad = LEVELS[: LEVELS.index(options.fail_on) + 1]
    return int(any(finding.level in bad for finding in findings))


def _rows(options: argparse.Namespace, reward: Any) -> list[dict[str, Any]]:
    from riskpo.errors import DataError
    from riskpo.rewards.adapters import VerifierReward
    from riskpo.tasks.files import load_rows

    data = load_rows(options.data)
    names = data.column_names
    if "prompt" not in names and "question" not in names:
        raise DataError(f"{options.data} has neither the column prompt nor question; it has {', '.join(names)}.")
    needed = reward.verifier.columns if isinstance(reward, VerifierReward) else (options.answer,)
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(f"reward {options.reward} needs the columns {missing}; {options.data} has {', '.join(names)}.")
    if options.rows:
        data = data.select(range(min(options.rows, len(data))))
    rows: list[dict[str, Any]] = data.to_list()
    if isinstance(reward, VerifierReward):
        problems = reward.verifier.check_gold(rows)
        if all(problem is not None for problem in problems):
            raise DataError(
                f"reward {options.reward} can use none of the {len(rows)} rows of {options.data}; of the first: "
                f"{problems[0]}"
            )
    return rows
