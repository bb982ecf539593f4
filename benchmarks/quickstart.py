"""The quickstart as a newcomer meets it, from an empty cache: its final table and where the time goes.

    python benchmarks/quickstart.py [--run FOLDER]    # writes results/quickstart.json, prints the README's table

With --run the run's folder is kept; the README's picture is of it:

    python benchmarks/report_page.py --screenshot FOLDER docs/report.png
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "quickstart.json"


def measure(kept: Path | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "RISKPO_CACHE": f"{scratch}/cache"}
        folder = kept or Path(scratch) / "run"
        command = [sys.executable, "-m", "riskpo.cli", "train", "quickstart", "--output_dir", str(folder)]
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True)
        seconds = time.perf_counter() - start
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        ran = json.loads((folder / "environment.json").read_text())
        ran.pop("command")  # names the scratch folder
        return {
            "seconds": round(seconds, 1),
            "training_seconds": round(rows[-1]["time"] - rows[0]["time"], 1),
            "summary": json.loads((folder / "summary.json").read_text()),
            "environment": ran,
        }


def markdown(result: dict[str, Any]) -> str:
    """The README's table."""
    evaluation = result["summary"]["evaluation"]
    lines = ["| | before | after | change |", "|---|---|---|---|"]
    for name in (key for key in evaluation if key.startswith("pass@")):
        parts = (evaluation[name][part] for part in ("before", "after", "change"))
        lines.append(
            f"| {name} | " + " | ".join(f"{p['mean']:.3f} [{p['low']:.3f}, {p['high']:.3f}]" for p in parts) + " |"
        )
    entropy = evaluation["entropy"]
    change = entropy["after"] - entropy["before"]
    lines.append(f"| entropy (nats) | {entropy['before']:.3f} | {entropy['after']:.3f} | {change:.3f} |")
    machine = result["environment"]["machine"]
    minutes, training = result["seconds"] / 60, result["training_seconds"] / 60
    lines += [
        "",
        f"{result['summary']['method']}. {evaluation['questions']} held-out prompts x {evaluation['samples']} samples; "
        "95 % intervals over prompts, of the paired difference for the change. "
        f"{minutes:.1f} minutes from an empty cache, {training:.1f} of them RiskPO training, installation not counted; "
        f"{machine['cores']} cores ({machine['processor']}).",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, help="keep the run's folder here")
    result = measure(parser.parse_args().run)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(markdown(result))


if __name__ == "__main__":
    main()
