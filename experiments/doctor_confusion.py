"""Is the doctor right about runs? Thresholds on the runs of even seeds, the table of right and wrong on the odd ones.

    python experiments/doctor_confusion.py           # results/doctor/confusion.json, and the tables of docs/doctor.md

Runs: those of experiments/doctor_runs.py, healthy and made sick on purpose, and those of experiments/estimators.py,
whose logs have fewer columns (checks that lack theirs are skipped). A run of the grid counts as diverged where its
held-out pass@1 at the end is below half of what it was before, else as healthy; seeds of tuning (100) are even.

Every threshold of `riskpo.diagnosis.measures` is shown beside what it is compared with on the even seeds: in healthy
runs, and in those made sick in the way it is for. The confusion table counts, on the odd seeds, how many runs of each
kind got each finding. A warning or an error that is neither the kind's own nor one of its consequences is a false
alarm. A run is also looked at while it goes on: after ten logged steps, and every five from there.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from riskpo.atomic import write_text
from riskpo.diagnosis.finding import Finding
from riskpo.diagnosis.log import LEAST_ROWS, RunLog
from riskpo.diagnosis.measures import MEASURES, THRESHOLDS
from riskpo.diagnosis.run import CHECKS, check_run
from riskpo.risk.audit import FLAT_SLOPE

RESULTS = Path(__file__).parent / "results"
PATH = RESULTS / "doctor" / "confusion.json"
EVERY = 5  # logged steps between two looks at a run that goes on
_DESTROYED = {"entropy_collapse", "uniform_prompts", "starved_gradients", "length_drift", "dead_window", "divergence"}

# Kind: the finding that it must get, and those that are its consequences. The kinds of the grid come first.
EXPECTED: dict[str, tuple[str | None, set[str]]] = {
    "grid, healthy": (None, set()),
    "grid, diverged": ("divergence", _DESTROYED),
    "healthy exact": (None, set()),
    "healthy dr_grpo": (None, set()),
    "healthy paper": (None, set()),
    "diverged": ("divergence", _DESTROYED),
    "learning rate 3e-3": ("divergence", _DESTROYED),
    "entropy collapse": ("entropy_collapse", {"length_drift", "uniform_prompts", "starved_gradients"}),
    "dead window": ("dead_window", {"starved_gradients"}),
    "bundle of one": (None, {"dead_window", "starved_gradients"}),  # flat at first in some seeds, then never
    "verifier fails on 3 in 10": ("verifier_errors", set()),
    "verifier reads nothing": ("uniform_prompts", {"starved_gradients", "dead_window"}),
    "reward always 1": ("uniform_prompts", set()),
    "reward for length": ("length_drift", {"uniform_prompts", "starved_gradients"}),
    "reward for brevity": ("length_drift", {"uniform_prompts", "starved_gradients"}),
}
# Threshold: the kinds that it is to tell from the healthy ones.
SICK = {
    "fallen": ("diverged", "grid, diverged", "learning rate 3e-3"),
    "entropy_left": ("entropy collapse",),
    "flat_steps": ("dead window",),
    "all_wrong": ("verifier reads nothing", "diverged"),
    "all_right": ("reward always 1",),
    "starved": ("verifier reads nothing",),
    "cut": ("reward for length",),
    "cut_most": ("diverged",),
    "shrunk": ("reward for brevity",),
    "unscorable": ("verifier fails on 3 in 10",),
    "flips": ("healthy paper",),
}


@dataclass(frozen=True)
class Recorded:
    """A recorded run."""

    kind: str
    seed: int
    log: RunLog

    @property
    def healthy(self) -> bool:
        return EXPECTED[self.kind][0] is None


def recorded() -> Iterable[Recorded]:
    """Every run that has its JSON, in a fixed order."""
    for path in sorted((RESULTS / "doctor").glob("*_seed*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        yield Recorded(values["kind"], values["seed"], RunLog(values["metrics"], values["settings"], values["moved"]))
    for path in sorted((RESULTS / "estimators").rglob("*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        before, after = (sum(values["evaluations"][part]["correct"]) for part in ("before", "after"))
        kind = "grid, diverged" if after < 0.5 * before else "grid, healthy"
        yield Recorded(
            kind, values["seed"], RunLog(values["metrics"], {"learning_rate": float(values["learning_rate"])})
        )


def thresholds(runs: list[Recorded]) -> dict[str, Any]:
    """What each threshold is compared with, on runs of even seeds: the outermost healthy and sick values."""
    found = {}
    for name, (measure, above) in MEASURES.items():
        healthy = [run for run in runs if run.healthy and run.kind not in SICK[name]]
        sick = [run for run in runs if run.kind in SICK[name]]
        values = {
            side: [value for run in group if (value := measure(run.log)) is not None]
            for side, group in (("healthy", healthy), ("sick", sick))
        }
        worst = max if above else min
        found[name] = {
            "threshold": THRESHOLDS[name][0],
            "said": "at or above" if above else "below",
            "healthy": {"runs": len(values["healthy"]), "worst": _rounded(worst(values["healthy"], default=math.nan))},
            "sick": {
                "kinds": list(SICK[name]),
                "runs": len(values["sick"]),
                "mildest": _rounded((min if above else max)(values["sick"], default=math.nan)),
            },
        }
    return found


def confusion(runs: list[Recorded]) -> dict[str, Any]:
    """For each kind how many runs got each finding, and the false alarms and misses."""
    kinds: dict[str, Any] = {}
    for kind, (must, consequences) in EXPECTED.items():
        of_kind = [check_run(run.log, run.kind) for run in runs if run.kind == kind]
        counts = {code: sum(any(f.code == code for f in one.findings) for one in of_kind) for code in CHECKS}
        alarms = [[f for f in one.findings if f.level != "note"] for one in of_kind]
        kinds[kind] = {
            "runs": len(of_kind),
            "must": must,
            "findings": {code: count for code, count in counts.items() if count},
            "began_flat": sum(_began_flat(run.log) for run in runs if run.kind == kind),
            "missed": sum(not any(f.code == must for f in one.findings) for one in of_kind) if must else 0,
            "false_alarms": sum(any(_is_false(f, must, consequences) for f in one) for one in alarms),
        }
    return kinds


def _began_flat(log: RunLog) -> bool:
    """Whether most of the first logged steps had a window without slope."""
    slopes = log.head("risk/mean_slope")
    return sum(slope < FLAT_SLOPE for slope in slopes) > len(slopes) / 2


def on_the_way(runs: list[Recorded]) -> dict[str, Any]:
    """What is said to beginnings of runs: false alarms, and the step at which each sick run is first seen to be so."""
    found: dict[str, Any] = {kind: {"looks": 0, "false_alarms": 0, "seen_at": []} for kind in EXPECTED}
    for run in runs:
        must, consequences = EXPECTED[run.kind]
        seen = None
        for rows in range(LEAST_ROWS, run.log.rows + 1, EVERY):
            columns = {name: values[:rows] for name, values in run.log.columns.items()}
            said = check_run(RunLog(columns, run.log.settings), run.kind).findings
            found[run.kind]["looks"] += 1
            found[run.kind]["false_alarms"] += any(
                one.level != "note" and _is_false(one, must, consequences) for one in said
            )
            if seen is None and any(one.code == must for one in said):
                seen = columns["step"][-1]
        if must is not None:
            found[run.kind]["seen_at"].append(seen)
    return found


def _is_false(finding: Finding, must: str | None, consequences: set[str]) -> bool:
    return finding.code != must and finding.code not in consequences


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.3g}")


def thresholds_table(content: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| threshold | said | healthy runs, the worst | sick runs, the mildest |", "|---|---|---|---|"]
    for name, one in content["thresholds"].items():
        healthy, sick = one["healthy"], one["sick"]
        lines.append(
            f"| `{name}` | {one['said']} {one['threshold']:g} | {_shown(healthy['worst'])} ({healthy['runs']} runs) | "
            f"{_shown(sick['mildest'])} ({sick['runs']} runs: {'; '.join(sick['kinds'])}) |"
        )
    return "\n".join(lines) + "\n"


def confusion_table(content: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| kind | runs | findings (runs that got them) | missed | false alarms | first seen at step |",
        "|---|---|---|---|---|---|",
    ]
    for kind, one in content["confusion"].items():
        if not one["runs"]:
            continue
        said = ", ".join(f"{'**' * (code == one['must'])}{code}{'**' * (code == one['must'])} {count}"
                         for code, count in one["findings"].items())  # fmt: skip
        seen = ", ".join("never" if step is None else f"{step:g}" for step in content["on_the_way"][kind]["seen_at"])
        lines.append(
            f"| {kind} | {one['runs']} | {said or 'none'} | {one['missed']} | {one['false_alarms']} | {seen} |"
        )
    healthy = [one for kind, one in content["on_the_way"].items() if EXPECTED[kind][0] is None]
    looks, alarms = (sum(one[name] for one in healthy) for name in ("looks", "false_alarms"))
    lines += ["", f"While healthy runs went on they were looked at {looks} times, with {alarms} false alarms."]
    return "\n".join(lines) + "\n"


def _shown(value: float | None) -> str:
    return "none to compare" if value is None else f"{value:g}"


def main() -> None:
    runs = list(recorded())
    even, odd = ([run for run in runs if run.seed % 2 == parity] for parity in (0, 1))
    content = {"thresholds": thresholds(even), "confusion": confusion(odd), "on_the_way": on_the_way(odd)}
    content["even_seeds"] = {"confusion": confusion(even), "on_the_way": on_the_way(even)}
    write_text(PATH, json.dumps(content, indent=1) + "\n")
    write_block("doctor.md", "thresholds", thresholds_table(content))
    write_block("doctor.md", "confusion", confusion_table(content))


if __name__ == "__main__":
    main()
