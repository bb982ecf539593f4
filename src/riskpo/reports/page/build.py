"""The report of a run or of several, from their folders to one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from riskpo import __version__
from riskpo.errors import ConfigError, DataError
from riskpo.reports.page.curves import CURVES, draw_curves, entropy_against_reward
from riskpo.reports.page.drawing import Drawing, LeftOut
from riskpo.reports.page.laws import StepLaw, Window, logged_steps, step_laws, weight_windows
from riskpo.reports.page.maps import pass_curves, score_map, weight_map
from riskpo.reports.page.payload import pack
from riskpo.reports.page.record import Record, named_apart, read_record
from riskpo.reports.page.rows import Rows, Sample, groups_of, read_rows, reward_weights, sample_rows
from riskpo.reports.page.svg import inline_svg
from riskpo.reports.page.texts import number, size, visible
from riskpo.reports.page.views import RunView, differences, view
from riskpo.risk.audit import LoggedStep
from riskpo.rollouts.files import read_table
from riskpo.rollouts.read import Rollouts, rollouts_of

Say = Callable[[str], None]

MOST_COMPLETIONS = 100_000
MOST_MEGABYTES = 40.0
_ATTEMPTS = 8


@dataclass(frozen=True)
class Limits:
    """What a page may hold.

    Args:
        completions: at most so many in the table.
        megabytes: of the whole file; fewer completions where it would be larger.
        seed: of the draw of completions, and of what is redrawn for a figure.
    """

    completions: int = MOST_COMPLETIONS
    megabytes: float = MOST_MEGABYTES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.completions < 0:
            raise ConfigError(f"--max-completions must be at least 0 (no table), got {self.completions}.")
        if not self.megabytes > 0:
            raise ConfigError(f"--max-size must be above 0 megabytes, got {self.megabytes:g}.")


@dataclass(frozen=True)
class Report:
    """Everything that is shown, before it is written in one form or another.

    Args:
        records, views: the runs, and what is said of each.
        drawings, left_out: the figures, and those that could not be drawn.
        differing: options that differ between runs.
        rows: every completion that was logged.
        limits: of the page.
    """

    records: list[Record]
    views: list[RunView]
    drawings: list[Drawing]
    left_out: list[LeftOut]
    differing: list[tuple[str, list[str]]]
    rows: Rows
    limits: Limits

    @property
    def title(self) -> str:
        return " · ".join(record.name for record in self.records)


def gather(folders: Sequence[Path], limits: Limits, say: Say = lambda line: None) -> Report:
    """Reads runs and draws their figures.

    Args:
        folders: of the runs, at least one.
        limits: of the page.
        say: told what is being done, a line each.

    Raises:
        DataError: a folder that is none of a run, or a file in one that is broken.
    """
    records = named_apart([read_record(folder) for folder in folders])
    rows = Rows.none()
    laws: dict[str, list[StepLaw]] = {}
    windows: dict[str, list[Window]] = {}
    why: dict[str, str] = {}
    steps: dict[str, list[LoggedStep]] = {}
    for run, record in enumerate(records):
        say(f"reading {record.name}")
        tables = [read_table(path) for path in record.completion_files]
        own = read_rows(record, run, tables)
        rows.extend(own)
        if not tables:
            why[record.name] = "no completions were logged"
            continue
        say(f"measuring {record.name}")
        try:
            rollouts = rollouts_of(tables, reward_weights(record, tables[0]))
            steps[record.name] = rollouts.steps
            found = _measured(record, own, run, rollouts, limits.seed)
            laws[record.name], windows[record.name], reason = found
        except DataError as error:
            reason = str(error).rstrip(".")
        if reason:
            why[record.name] = reason
    say("drawing")
    wanted = [
        *(draw_curves(spec, records) for spec in CURVES[:2]),
        entropy_against_reward(records),
        score_map(records, laws, why),
        draw_curves(CURVES[2], records),
        weight_map(records, windows, why),
        pass_curves(records),
        *(draw_curves(spec, records) for spec in CURVES[3:]),
    ]
    return Report(
        records,
        [view(record, steps.get(record.name, ())) for record in records],
        [one for one in wanted if isinstance(one, Drawing)],
        [one for one in wanted if isinstance(one, LeftOut)],
        differences(records),
        rows,
        limits,
    )


def _measured(
    record: Record, rows: Rows, run: int, rollouts: Rollouts, seed: int
) -> tuple[list[StepLaw], list[Window], str]:
    """Laws of scores and weight by difficulty, and why there is none of one or the other."""
    logged = logged_steps(record, rollouts, groups_of(rows, run), seed)
    estimator = logged.config.estimator
    laws = step_laws(logged, seed)
    bundled = estimator in ("riskpo", "two_level")
    reason = "no logged step could fill a bundle" if bundled else f"estimator {estimator} scores no bundles"
    return laws, weight_windows(logged, seed), "" if laws else reason


def render(report: Report, say: Say = lambda line: None) -> tuple[str, Sample]:
    """The page, and which completions it holds: fewer than asked for where the file would be too large."""
    limit = report.limits.megabytes * 1e6
    names = [record.name for record in report.records]
    sample = sample_rows(report.rows, report.limits.completions, report.limits.seed)
    drawn = [_panels(one) for one in report.drawings]
    frame = len(_page(report, drawn, sample, "").encode())
    for _ in range(_ATTEMPTS if frame <= limit else 0):
        say(f"packing {len(sample.places)} completions")
        data = pack(report.rows.chosen(sample.places), names) if sample.places else ""
        page = _page(report, drawn, sample, data)
        if len(page.encode()) <= limit:
            return page, sample
        fitting = int(len(sample.places) * 0.95 * max(limit - frame, 0.0) / max(len(data), 1))
        sample = sample_rows(report.rows, fitting, report.limits.seed)
    raise ConfigError(
        f"the page is {size(frame)} without any completion: --max-size {report.limits.megabytes:g} is too small for it."
    )


def _panels(drawing: Drawing) -> list[tuple[str, Markup]]:
    """The panels of a figure as SVG, with the names that they go by where there are several."""
    found = []
    for place, (name, figure) in enumerate(drawing.panels.items()):
        label = f"{drawing.title}{f', {name}' if len(drawing.panels) > 1 else ''}. {drawing.caption}"
        svg = Markup(inline_svg(figure, f"fig-{drawing.key}-{place}", label))
        found.append((name if len(drawing.panels) > 1 else "", svg))
    return found


def _page(report: Report, drawn: Sequence[list[tuple[str, Markup]]], sample: Sample, data: str) -> str:
    files = resources.files("riskpo.reports.page")
    css, js, template = (
        (files / "assets" / name).read_text(encoding="utf-8") for name in ("page.css", "page.js", "page.html.jinja")
    )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    return environment.from_string(template).render(
        title=report.title,
        version=__version__,
        runs=report.views,
        figures=[{"drawing": one, "panels": panels} for one, panels in zip(report.drawings, drawn, strict=True)],
        left_out=report.left_out,
        differing=report.differing,
        shown=about_sample(sample, report.limits.seed),
        any_rows=bool(sample.places),
        total=len(report.rows),
        data=Markup(data),
        css=Markup(css),
        js=Markup(js),
        style_hash=_hash(css),
        script_hash=_hash(js),
    )


def _shown(value: Any) -> Any:
    """Every text that is put into the page: what cannot be seen is written out. Ours (Markup) stays."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def about_sample(sample: Sample, seed: int) -> str:
    """Which completions are shown, in a sentence."""
    if not sample.of:
        return "No completions were logged."
    shown, total = number(len(sample.places)), number(sample.of)
    if len(sample.places) == sample.of:
        return f"All {total} logged completions."
    return (
        f"Shown {shown} of {total} logged completions: {number(sample.failures)} that ended other than right or wrong, "
        f"{number(sample.extremes)} extremes of their step (advantage, length, likelihood), {number(sample.drawn)} "
        f"drawn at random from the others (seed {seed})."
    )
