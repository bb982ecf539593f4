"""What a finished run leaves beside its numbers: report.html, and the card of its model."""

from __future__ import annotations

from pathlib import Path

from riskpo.atomic import write_text
from riskpo.reports.model_card import write_card
from riskpo.reports.page.build import Limits, gather, render


def write_report(run_dir: Path) -> Path:
    """Writes report.html into a run's folder, and README.md beside its model where there is none; the page's path.

    Raises:
        RiskPOError: a folder that cannot be reported on.
    """
    report = gather([run_dir], Limits())
    page, _ = render(report)
    write_text(run_dir / "report.html", page)
    if not (run_dir / "model" / "README.md").exists():
        write_card(report.records[0])
    return run_dir / "report.html"
