"""What the page and report.md say of each run: facts, results, options, versions, and how to repeat it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from riskpo.diagnosis.finding import Diagnosis
from riskpo.diagnosis.log import as_log, check_settings, mean, moved_of
from riskpo.diagnosis.run import check_run
from riskpo.reports.describe import describe_estimator
from riskpo.reports.page.record import Record
from riskpo.reports.page.texts import DASH, duration, is_number, number, plain, signed
from riskpo.reports.summary import compare
from riskpo.risk.audit import LoggedStep
from riskpo.runs.environment import is_secret, masked, masked_command

# Options that say where a run lies, not what it computes.
_PLACES = {"output_dir", "logging_dir", "run_name", "runs_dir"}
_KS = (1, 8, 32)


@dataclass(frozen=True)
class ResultRow:
    """A line of the table of results: what, before, after, change, as texts."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class RunView:
    """A run in words.

    Args:
        name, method: its name, its estimator in a line.
        facts: label and value, the most telling first.
        results: held-out scores; empty where nothing was evaluated.
        about_results: how they were measured.
        settings: option and value, as given.
        versions: package and version.
        machine: label and value.
        commands: what repeats the run, each with a word.
        notes: what is missing.
        diagnosis: what riskpo doctor run says of it; None where it has logged no reward.
    """

    name: str
    method: str
    facts: list[tuple[str, str]]
    results: list[ResultRow]
    about_results: str
    settings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    machine: list[tuple[str, str]]
    commands: list[tuple[str, str]]
    notes: list[str]
    diagnosis: Diagnosis | None


def view(record: Record, steps: Sequence[LoggedStep] = ()) -> RunView:
    """What is said of a run; `steps`: its logged completions."""
    environment = record.environment
    packages = environment.get("packages")
    versions = [("riskpo", environment.get("riskpo")), ("commit", environment.get("commit"))]
    versions += [("python", environment.get("python")), *(packages.items() if isinstance(packages, dict) else ())]
    machine = environment.get("machine")
    machine_items = list(machine.items()) if isinstance(machine, dict) else []
    results, about = _results(record)
    return RunView(
        record.name,
        _method(record),
        _facts(record),
        results,
        about,
        [(key, plain(masked(value))) for key, value in record.settings.items() if not is_secret(key)],
        [(name, plain(value)) for name, value in versions if value is not None],
        [(name.replace("_", " "), _listed(value)) for name, value in machine_items],
        _commands(record),
        [*record.notes, *_doubts(record)],
        _diagnosis(record, steps),
    )


def _diagnosis(record: Record, steps: Sequence[LoggedStep]) -> Diagnosis | None:
    check_settings(record.arguments, record.folder / "arguments.json")
    log = as_log(record.metrics, record.arguments)
    if not log.rows:
        return None
    return check_run(dataclasses.replace(log, moved=moved_of(steps, record.arguments)), record.name)


def _doubts(record: Record) -> list[str]:
    """What a reader should know of the numbers."""
    lines = []
    resumed = record.environment.get("resumed")
    if isinstance(resumed, list) and resumed:
        lines.append(f"resumed with other versions; environment.json lists them ({len(resumed)})")
    for name, evaluation in record.evaluations.items():
        share = evaluation.get("unscorable")
        if share is not None and is_number(share) and share > 0:
            lines.append(f"evaluation {name}: {share:.1%} of the samples could not be judged, and count as wrong")
    return lines


def _listed(value: Any) -> str:
    return (", ".join(map(plain, value)) or "none") if isinstance(value, list) else plain(value)


def _method(record: Record) -> str:
    if record.own is None:
        return "estimator not known"
    parts = [describe_estimator(record.own.config)]
    ratio, rate = (record.arguments.get(key) for key in ("importance_sampling_level", "learning_rate"))
    parts += [f"{ratio} ratio"] if ratio else []
    parts += [f"lr {rate:g}"] if is_number(rate) else []
    return ", ".join(parts)


def _facts(record: Record) -> list[tuple[str, str]]:
    steps = number(record.last_step)
    if record.planned_steps is not None:
        steps += f" of {number(record.planned_steps)}"
    facts = [("steps", steps)]
    last = record.metrics[-1] if record.metrics else {}
    log = as_log(record.metrics)  # its end is that of riskpo doctor run
    for name in ("reward", "entropy"):
        if log.logged(name):
            values = log.tail(name)
            bad = log.tail_left_out(name)
            said = f" ({bad} of {len(values) + bad} rows left out: not finite)" if bad else ""
            facts.append((f"{name} at the end", f"{number(mean(values))}{said}" if values else "not finite"))
    model = record.settings.get("model_name_or_path")
    facts += [("model", str(model))] if model else []
    data = record.settings.get("task") or record.settings.get("dataset")
    facts += [("data", str(data))] if data else []
    facts.append(("seed", plain(record.arguments.get("seed", record.settings.get("seed", "not known")))))
    times = [row["time"] for row in record.metrics if is_number(row.get("time"))]
    facts += [("first to last log", duration(times[-1] - times[0]))] if len(times) > 1 else []
    tokens = last.get("num_tokens")
    facts += [("tokens", number(int(tokens)))] if tokens is not None and is_number(tokens) else []
    facts += [("started", _moment(str(record.environment["started"])))] if "started" in record.environment else []
    return facts


def _moment(text: str) -> str:
    """`2026-01-02T03:04:05+00:00` as `2026-01-02 03:04 UTC`; anything else as it is."""
    date, middle, time = text.partition("T")
    return f"{date} {time[:5]} UTC" if middle and time.endswith("+00:00") else text


def _results(record: Record) -> tuple[list[ResultRow], str]:
    before, after = (record.evaluations.get(name) for name in ("before", "after"))
    if before is None and after is None:
        return [], ""
    known = after or before
    assert known is not None
    asked = record.arguments.get("eval_ks")
    ks = [k for k in (asked if isinstance(asked, list) and asked else _KS) if 1 <= k <= known["samples"]]
    about = f"{len(known['correct'])} held-out prompts x {known['samples']} samples; 95 % intervals over prompts"
    if before is None or after is None or before["samples"] != after["samples"]:
        part = "before" if after is None else "after"
        table = compare(_with_entropy(known), _with_entropy(known), ks)
        cells = [(f"pass@{k}", _cell(table[f"pass@{k}"]["before"])) for k in ks]
        rows = [ResultRow(name, *((cell, DASH) if part == "before" else (DASH, cell)), DASH) for name, cell in cells]
        return rows, about
    table = compare(_with_entropy(before), _with_entropy(after), ks)
    rows = []
    for k in ks:
        parts = table[f"pass@{k}"]
        rows.append(ResultRow(f"pass@{k}", *(_cell(parts[p], p == "change") for p in ("before", "after", "change"))))
    if is_number(before.get("entropy")) and is_number(after.get("entropy")):
        change = signed(after["entropy"] - before["entropy"])
        rows.append(ResultRow("entropy (nats)", number(before["entropy"]), number(after["entropy"]), change))
    return rows, about + ", of the paired difference for the change"


def _with_entropy(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {"entropy": None, **evaluation}


def _cell(estimate: dict[str, Any], change: bool = False) -> str:
    mean = signed(estimate["mean"]) if change else number(estimate["mean"])
    if estimate["low"] is None:  # one question
        return mean
    return f"{mean} [{number(estimate['low'])}, {number(estimate['high'])}]"


def _commands(record: Record) -> list[tuple[str, str]]:
    commands = []
    if isinstance(record.environment.get("command"), str):
        commands.append(("as it was started", masked_command(record.environment["command"])))
    path = shlex.quote(str(record.folder / "config.yaml"))
    commands.append(("from its options, into a new folder", f"riskpo train --config {path}"))
    return commands


def differences(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """The options that differ between runs, each with its value in every run."""
    if len(records) < 2:
        return []
    sources = [record.arguments or record.settings for record in records]
    names = sorted({name for source in sources for name in source} - _PLACES)
    rows = []
    for name in names:
        values = [plain(masked(source[name])) if name in source else DASH for source in sources]
        if len(set(values)) > 1 and not is_secret(name):
            rows.append((name, values))
    return rows
