"""The tables of staleness.py, from its JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def pm(value: Mapping[str, float], digits: int = 1) -> str:
    return f"{value['mean']:.{digits}f} ± {value['std']:.{digits}f}"


def table(content: Mapping[str, Any]) -> str:
    """Errors by setting, scenario and age."""
    lines = [
        "| setting | pass rate | age | mean error | largest | staleness | lag | start | noise "
        "| advantages off by | cosine |",
        "|---" * 11 + "|",
    ]
    for key, cell in content["cells"].items():
        setting, scenario, age = key.split("; ")
        parts = cell["parts"]
        off = {name: 100.0 * value for name, value in cell["advantages_off"].items()}
        lines.append(
            f"| {setting} | {scenario} | {age} | {pm(cell['error'])} | {pm(cell['largest_error'])} "
            f"| {parts['staleness']:.1f} | {parts['lag']:.1f} | {parts['start']['mean']:.1f} "
            f"| {parts['noise']['mean']:.1f} | {pm(off)} % | {pm(cell['cosine'], 3)} |"
        )
    return "\n".join(lines) + "\n"


def bounds_table(content: Mapping[str, Any]) -> str:
    """Measured / bound of each part, and of their sum; ties `step` have a bound of the first two only."""
    lines = ["| ties | pass rate | age | staleness | lag | start (rms) | noise (rms) | error |", "|---" * 8 + "|"]
    for key, cell in content["cells"].items():
        setting, scenario, age = key.split("; ")
        if "512" not in setting:
            continue
        ties, part, bound = ("continuous" if "continuous" in setting else "step"), cell["parts"], cell["bounds"]
        columns = [f"{part[name]:.1f} / {bound[name]:.1f}" for name in ("staleness", "lag")]
        columns += [
            f"{part[name]:.2f} / {bound[name]:.2f}" if name in bound else f"{part[name]:.2f}"
            for name in ("start_rms", "noise_rms")
        ]
        error = f"{cell['error']['mean']:.1f}"
        columns.append(f"{error} / {sum(bound.values()):.1f}" if ties == "continuous" else error)
        lines.append(f"| {ties} | {scenario} | {age} | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def pace_table(content: Mapping[str, Any]) -> str:
    """The age at which staleness is as large as the tracker's lag."""
    rows = content["paces"]
    columns = list(dict.fromkeys((row["ties"], row["quantile_lr"]) for row in rows))
    lines = [f"| updates from .17 to .9 | {' | '.join(f'{ties}, {lr:g}' for ties, lr in columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for steps in dict.fromkeys(row["steps"] for row in rows):
        here = {(row["ties"], row["quantile_lr"]): row for row in rows if row["steps"] == steps}
        ages = [f"{here[column]['lag_age']:.0f} ({here[column]['lag']:.1f})" for column in columns]
        lines.append(f"| {steps} | {' | '.join(ages)} |")
    return "\n".join(lines) + "\n"


def rate_table(content: Mapping[str, Any]) -> str:
    """The error by quantile_lr: rollouts of the policy itself and of 16 updates ago, and no drift."""
    lines = [
        "| options | `quantile_lr` | pass rate | age | mean error | staleness | lag | noise "
        "| advantages off by | cosine |",
        "|---" * 10 + "|",
    ]
    for key, cell in content["rates"].items():
        name, lr, scenario, age = key.split("; ")
        parts, off = cell["parts"], {name: 100.0 * value for name, value in cell["advantages_off"].items()}
        lines.append(
            f"| {name} | {lr} | {scenario} | {age} | {pm(cell['error'])} "
            f"| {parts['staleness']:.1f} | {parts['lag']:.1f} | {parts['noise']['mean']:.1f} "
            f"| {pm(off)} % | {pm(cell['cosine'], 3)} |"
        )
    return "\n".join(lines) + "\n"


def sync_table(content: Mapping[str, Any]) -> str:
    """Several updates from the rollouts of one version."""
    lines = [
        "| updates from a batch | batches ahead | `quantile_lr` | order | mean error | largest "
        "| advantages off by | cosine |"
    ]
    lines.append("|---" * 8 + "|")
    for cell in content["syncs"].values():
        off = {name: 100.0 * value for name, value in cell["advantages_off"].items()}
        order = "easy prompts first" if cell["easy_first"] else "random"
        lines.append(
            f"| {cell['updates']} | {cell['ahead']} | {cell['quantile_lr']:g} | {order} | {pm(cell['error'])} "
            f"| {pm(cell['largest_error'])} | {pm(off)} % | {pm(cell['cosine'], 3)} |"
        )
    return "\n".join(lines) + "\n"


def short_table(content: Mapping[str, Any]) -> str:
    """Of docs/engines.md: preset `paper` under drift, by age."""
    cells = {
        key.split("; ")[2]: cell for key, cell in content["cells"].items() if key.startswith("paper, 512 x 10; drift;")
    }
    lines = ["| age, updates | quantiles off by, % of the range | staleness | lag of the tracker | advantages off by |"]
    lines.append("|---" * 5 + "|")
    for age, cell in cells.items():
        off = {name: 100.0 * value for name, value in cell["advantages_off"].items()}
        parts = cell["parts"]
        lines.append(
            f"| {age} | {pm(cell['error'])} | {parts['staleness']:.1f} | {parts['lag']:.1f} | {pm(off, 0)} % |"
        )
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "staleness": table,
    "staleness-bounds": bounds_table,
    "staleness-rates": rate_table,
    "staleness-paces": pace_table,
    "staleness-syncs": sync_table,
}
