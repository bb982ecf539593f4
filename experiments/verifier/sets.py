"""The data sets that the experiments on the verifier read, and what they write.

from sets import SETS, load, save
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from benchmarks.common import environment  # noqa: E402

RESULTS = ROOT / "experiments" / "results" / "verifier"
# name: the file, the convention in which its worked solutions state the answer (None: it has none, or none that does)
SETS: dict[str, tuple[str, str | None]] = {
    "gsm8k_test": ("gsm8k_test.jsonl", "gsm8k-strict"),
    "math500": ("math500.jsonl", "boxed"),
    "math_test": ("math_test.jsonl.gz", "boxed"),
    "aime24": ("aime24.jsonl", "boxed"),
    "aime25": ("aime25.jsonl", None),
    "amc23": ("amc23.jsonl", None),
    "amc_22_23": ("amc_22_23.jsonl", None),
    "olympiadbench": ("olympiadbench_en_text.jsonl", None),
}


def load(data: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a set."""
    path = data / SETS[name][0]
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode("utf-8").splitlines() if line]


def save(name: str, content: Mapping[str, Any], seed: int) -> Path:
    """Saves experiments/results/verifier/<name>.json, with where it ran."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    described = {**content, "environment": environment(seed)}
    path.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
