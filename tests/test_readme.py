"""The README is true: its tree and the full one, its list of pages, its example, its numbers, its commands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TREE = (ROOT / "docs" / "tree.md").read_text(encoding="utf-8")


def block(language: str, page: str = README) -> str:
    """The first fenced block in a language; "" for the plain one."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return next(text for name, text in fenced if name == language)


def paths(tree: str) -> list[str]:
    """What a tree names, by its indentation."""
    named, stack = [], []
    for line in tree.splitlines():
        name = line.strip().split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        stack = [*stack[:depth], name.rstrip("/")]
        named.append("/".join(stack))
    return named


def test_the_full_tree_names_every_module() -> None:
    named = set(paths(block("", TREE)))
    real = {
        str(path.relative_to(ROOT))
        for folder in ("src/riskpo", "benchmarks", "experiments", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".yaml"} and path.name not in {"__init__.py", "__main__.py"}
    }
    assert real - named == set(), "files that docs/tree.md lacks"
    gone = {name for name in named if not (ROOT / name).exists()}
    assert gone == set(), "what docs/tree.md names but does not exist"


def test_the_readmes_tree_is_a_line_a_folder() -> None:
    named = paths(block(""))
    assert len(named) == len(set(named))
    packages = {f"src/riskpo/{path.parent.name}" for path in (ROOT / "src" / "riskpo").glob("*/*.py")}
    top = {"benchmarks", "experiments", "docs", "examples", "tests", "src/riskpo"}
    assert set(named) == packages | top | {"src/riskpo/recipes"}
    assert all((ROOT / name).is_dir() for name in named)


def test_every_page_is_listed() -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    linked = set(re.findall(r"\]\(([^)#\s]+)", README[README.index("## Docs") :]))
    assert pages - linked == set()


@pytest.mark.slow
def test_the_example_runs(chain_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = block("python")
    assert len(code.splitlines()) <= 30
    for there, here in (
        ('"Qwen/Qwen2.5-0.5B"', repr(chain_model)),
        ("max_steps=100", "max_steps=1, use_cpu=True, report_to='none'"),
        ('"out"', repr(str(tmp_path / "out"))),
    ):
        assert there in code
        code = code.replace(there, here)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert namespace["trainer"].state.global_step == 1  # type: ignore[attr-defined]


def test_the_quickstart_table_is_the_measured_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    sys.modules.pop("quickstart", None)
    import quickstart

    assert quickstart.markdown(json.loads(quickstart.RESULT.read_text())) in README


def test_the_evaluation_of_a_real_model_is_the_measured_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from experiments import smollm2_evaluation

    found = json.loads((ROOT / "experiments" / "results" / "smollm2_evaluation.json").read_text())
    assert smollm2_evaluation.table(found) in README
    assert [row["asked"] for row in found["tasks"]] == [200, 200, 14]
    texts = (ROOT / "experiments" / "results" / "smollm2_gsm8k.jsonl").read_text().splitlines()
    assert len({json.loads(line)["question"] for line in texts}) == 200


def test_the_costs_are_the_measured_ones() -> None:
    advantages, overhead = (
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in ("advantages", "step_overhead")
    )
    small, large = (
        {n: advantages["steps"][s][n]["median_ms"] for n in ("paper", "exact")} for s in ("512x10", "1024x16")
    )
    assert f"take {small['paper']:.1f} ms on one thread (`exact`: {small['exact']:.1f} ms)" in README
    assert f"of 1024 x 16 {large['paper']:.1f} ms ({large['exact']:.1f} ms)" in README
    slowest = max(row["median_ms"] for row in advantages["every_estimator"].values() if isinstance(row, dict))
    assert f"every estimator of the family at most {slowest:.1f} ms" in README
    ratio = overhead["comparisons"]["riskpo"]["ratios"]["step"]
    low, high = ratio["interval_95"]
    assert f"{ratio['median']:.2f}\n[{low:.2f}, {high:.2f}] times" in README


def test_the_costs_of_verdicts_are_the_measured_ones() -> None:
    verdicts, sandbox = (
        json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text()) for name in ("rewards", "sandbox")
    )
    plain, formulas = (row["times_as_fast"]["median"] for row in verdicts["results"].values())
    text = " ".join(README.split())
    assert f"plain numbers are {plain:.0f} times as fast as a Math-Verify loop" in text
    assert f"in two killable workers, {formulas:.0f} times" in text
    alone = sandbox["runs"]["1 threads"]
    took = f"{alone['bubblewrap']['median_ms']:.0f} ms, a plain subprocess {alone['plain']['median_ms']:.0f} ("
    assert f"a sandbox takes {took}" in text


def test_the_commands_are_the_makefiles() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", README)) <= targets
    assert "make test" in (ROOT / ".ci" / "run").read_text()
