"""What a run's folder holds, read and checked: also of a run that is still going, or was killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from riskpo.atomic import read_json
from riskpo.errors import DataError
from riskpo.reports.page.texts import is_number, visible
from riskpo.rollouts.files import SUFFIXES, find_files, without_half
from riskpo.rollouts.own import OwnRun, own_run
from riskpo.runs.files import read_metrics, read_object

Metrics = list[dict[str, Any]]
WATCHED = ("reward", "loss", "grad_norm", "entropy")  # what the page says of values that are no finite numbers


@dataclass(frozen=True)
class Record:
    """A run as its folder tells it.

    Args:
        name: what the page calls it.
        folder: where it lies.
        settings: config.yaml.
        arguments: arguments.json, every option of the engine; empty where it is missing.
        environment: environment.json; empty where it is missing.
        metrics: rows of metrics.jsonl, each with a whole `step`.
        evaluations: the files of eval/ by name (`before`, `step-00100`, `after`).
        own: its estimator; None without arguments.json.
        completion_files: of completions/, in order; may be none.
        notes: sentences on what is missing or was passed over.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    arguments: dict[str, Any]
    environment: dict[str, Any]
    metrics: Metrics
    evaluations: dict[str, dict[str, Any]]
    own: OwnRun | None
    completion_files: list[Path]
    notes: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """The last step that was logged; 0 where none was."""
        return int(self.metrics[-1]["step"]) if self.metrics else 0

    @property
    def planned_steps(self) -> int | None:
        """How many steps were asked for; None where that depends on the data."""
        steps = self.arguments.get("max_steps")
        return int(steps) if isinstance(steps, int) and steps > 0 else None

    @property
    def reward_ends(self) -> tuple[float, float]:
        """The declared smallest and largest reward."""
        return (0.0, 1.0) if self.own is None else self.own.config.reward_range


def read_record(folder: Path) -> Record:
    """Reads a run's folder.

    Raises:
        DataError: a folder that is none of a run, or a file in it that is broken; the message names file and line.
    """
    _check_is_run(folder)
    notes: list[str] = []
    arguments = _object(folder / "arguments.json", notes, "which estimator the run had is not known")
    environment = _object(folder / "environment.json", notes, "versions, machine and command are not known")
    metrics = read_metrics(folder / "metrics.jsonl")
    notes += metrics.notes
    evaluations = {path.stem: _evaluation(path) for path in sorted((folder / "eval").glob("*.json"))}
    files = _completion_files(folder, notes)
    half = None
    if "after" not in evaluations:  # a run that goes on, or was killed
        files, half = without_half(files)
    record = Record(
        visible(folder.resolve().name),
        folder,
        _settings(folder / "config.yaml"),
        arguments,
        environment,
        metrics.rows,
        evaluations,
        own_run(folder),
        files,
        notes,
    )
    if record.planned_steps is not None and "after" not in evaluations and record.last_step < record.planned_steps:
        notes.append(f"not finished: step {record.last_step} of {record.planned_steps} is the last one logged")
    if half is not None:
        notes.append(f"{half.name} is not whole, and was left out: it was being written")
    notes += [_said_of(record, name) for name in WATCHED if _bad_steps(record, name)]
    return record


def not_finite(record: Record, name: str) -> tuple[int, int]:
    """How many rows hold a metric that is no finite number, and how many hold it at all."""
    return len(_bad_steps(record, name)), sum(name in row for row in record.metrics)


def _bad_steps(record: Record, name: str) -> list[int]:
    """The steps at which a metric was logged and was no finite number."""
    return [row["step"] for row in record.metrics if name in row and not is_number(row[name])]


def _said_of(record: Record, name: str) -> str:
    bad, logged = not_finite(record, name)
    first = _bad_steps(record, name)[0]
    return f"{name} not finite in {bad} of {logged} rows, first at step {first}: lines and tables leave these out"


def named_apart(records: list[Record]) -> list[Record]:
    """The records with names that tell them apart: folders of one name get a number."""
    import dataclasses

    seen: dict[str, int] = {}
    named = []
    for record in records:
        seen[record.name] = seen.get(record.name, 0) + 1
        count = seen[record.name]
        named.append(record if count == 1 else dataclasses.replace(record, name=f"{record.name} ({count})"))
    return named


def _check_is_run(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}: give the folder of a run, e.g. runs/quickstart.")
    if (folder / "config.yaml").is_file():
        return
    inside = folder / "completions" if (folder / "completions").is_dir() else folder
    rollouts = any(path.name.endswith(SUFFIXES) for path in inside.iterdir())
    hint = f" It holds rollouts: riskpo audit {folder} reads those of any trainer." if rollouts else ""
    raise DataError(f"{folder} is not the folder of a run of riskpo train: it has no config.yaml.{hint}")


def _settings(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} could not be read: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} holds a {type(values).__name__}, not the options of a run.")
    return values


def _object(path: Path, notes: list[str], without: str) -> dict[str, Any]:
    if not path.is_file():
        notes.append(f"{path.name} is missing: {without}")
        return {}
    return read_object(path)


def _evaluation(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} could not be read: {error}") from error
    samples = values.get("samples") if isinstance(values, Mapping) else None
    correct = values.get("correct") if isinstance(values, Mapping) else None
    whole = isinstance(samples, int) and samples > 0 and isinstance(correct, list) and len(correct) > 0
    if not whole or not all(isinstance(right, int) and 0 <= right <= samples for right in correct):  # type: ignore
        raise DataError(f"{path}: expected `samples` (above 0) and `correct`, a list of counts of 0 to `samples`.")
    return dict(values)


def _completion_files(folder: Path, notes: list[str]) -> list[Path]:
    if not (folder / "completions").is_dir():
        notes.append("no completions were logged (completions_every)")
        return []
    try:
        return find_files([folder])
    except DataError:
        notes.append("completions/ holds no file yet")
        return []
