"""How large and how quick the page of `riskpo report` is, with 100,000 completions of 200 characters.

    python benchmarks/report_page.py            # two minutes; writes benchmarks/results/report_page.json
                                                # and the table in docs/reports.md
    python benchmarks/report_page.py --screenshot RUN docs/report.png    # the picture in the docs, of a run's folder

The run is made up: 2,500 steps of metrics, 250 files of 50 prompts x 8 responses. `words` has completions of words,
`random` of letters and digits drawn at random, which hardly compress. The page is opened from a file in a headless
Chromium (needs playwright and a chromium on the path). `usable_ms` is from the start of the navigation to the table
being there; `first_paint_ms` to the first thing shown. Updates are from a key or click to the changed table, without
the 60 ms that the page waits for the next key, and without the browser's own painting.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parent.parent))

from experiments.pages import write_block

from benchmarks.common import environment, write
from riskpo.reports.page.build import Limits, gather, render

SEED = 0
FILES, PROMPTS, RESPONSES, LENGTH = 250, 50, 8, 200
SENTENCE = "so the answer is then because of this we get that number therefore add multiply by two check again"
READY = "html[data-ready=table]"
UPDATES: dict[str, Callable[[Any], None]] = {
    "search_rare": lambda page: page.fill("#query", "zq7"),
    "search_common": lambda page: page.fill("#query", "a"),
    "search_nothing": lambda page: page.fill("#query", "there is no such text"),
    "search_cleared": lambda page: page.fill("#query", ""),
    "filter_verdict": lambda page: page.select_option("#verdict", "wrong"),
    "filter_advantage": lambda page: page.select_option("#sign", "up"),
    "filter_steps": lambda page: page.fill("#first", "1000"),
}
SORTS = ("advantage", "completion", "step")


def made_up_run(folder: Path, text: Callable[[random.Random], str]) -> Path:
    """The folder of a run that never was."""
    draw = random.Random(SEED)
    (folder / "completions").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"task": "made-up"}))
    arguments = {
        "estimator": "riskpo",
        "pairing": "exact",
        "baseline": "loo",
        "scale_rewards": "none",
        "max_steps": 2500,
    }
    (folder / "arguments.json").write_text(json.dumps(arguments))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, 2501):
            row = {
                "step": step,
                "reward": draw.random(),
                "entropy": draw.random(),
                "risk/q_low": 1.0,
                "risk/q_high": 3.0,
            }
            file.write(json.dumps(row) + "\n")
    for number in range(FILES):
        rows = []
        for prompt in range(PROMPTS):
            name = f"{number}.{prompt}: {text(draw)}"
            for _ in range(RESPONSES):
                right = draw.random() < 0.4
                rows.append(
                    {
                        "step": 10 * (number + 1),
                        "prompt": name,
                        "completion": text(draw),
                        "reward": float(right),
                        "verdict": "correct" if right else draw.choice(("wrong", "wrong", "wrong", "no_answer")),
                        "verdict_answer": str(draw.randrange(1000)),
                        "verdict_reason": f"expected {prompt}, got {draw.randrange(1000)}",
                        "advantage": draw.uniform(-1, 1),
                        "logprob": -300 * draw.random(),
                        "answer": str(prompt),
                        "bundle": str(prompt // 5),
                    }
                )
        pq.write_table(
            pa.Table.from_pylist(rows), folder / "completions" / f"completions_{10 * (number + 1):05d}.parquet"
        )
    return folder


def of_words(draw: random.Random) -> str:
    return " ".join(draw.choices(SENTENCE.split(), k=60))[:LENGTH]


def of_letters(draw: random.Random) -> str:
    return "".join(draw.choices(string.ascii_letters + string.digits, k=LENGTH))


def measured(browser: Any, path: Path, repetitions: int) -> dict[str, Any]:
    """Times of one page, in milliseconds: the median and the worst of several visits."""
    visits: list[dict[str, float]] = []
    for _ in range(repetitions):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector(READY, state="attached", timeout=60_000)
        ready = "performance.getEntriesByName('riskpo-ready')[0].startTime"
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
        times = {"usable_ms": page.evaluate(ready), "first_paint_ms": page.evaluate(paint)}
        for name, act in UPDATES.items():
            times[name] = updated(page, act)
        page.click("#filters button[type=reset]")
        page.wait_for_timeout(500)
        for name in SORTS:
            times[f"sort_{name}"] = updated(page, lambda page, name=name: page.click(f"th[data-column={name}] button"))
        visits.append(times)
        page.close()
    spread = {name: [visit[name] for visit in visits if visit[name] is not None] for name in visits[0]}
    return {
        name: {"median": round(statistics.median(values), 1), "worst": round(max(values), 1)}
        for name, values in spread.items()
        if values
    }


def updated(page: Any, act: Callable[[Any], None]) -> float:
    """Milliseconds of the update that an action leads to."""
    page.evaluate("performance.clearMeasures('riskpo-update')")
    act(page)
    for _ in range(3000):  # the page's policy lets no string be evaluated inside it, so the waiting is done out here
        durations = page.evaluate("performance.getEntriesByName('riskpo-update').map((entry) => entry.duration)")
        if durations:
            return float(durations[-1])
        page.wait_for_timeout(20)
    raise RuntimeError("the table was not updated within a minute")


def table(content: dict[str, Any]) -> str:
    """The table in docs/reports.md: median and worst visit of each page."""
    pages = content["pages"]
    shown = {
        "usable_ms": "usable, from a file (ms)",
        "search_common": "search, a letter (ms)",
        "search_nothing": "search, no hit (ms)",
        "filter_verdict": "filter by verdict (ms)",
        "sort_advantage": "sort by advantage (ms)",
        "sort_completion": "sort by completion (ms)",
    }
    count = f"{content['completions']:,}".replace(",", " ")
    lines = [f"| {count} completions of {content['characters']} characters | {' | '.join(pages)} |", "|---|---|---|"]
    lines.append(f"| size (MB) | {' | '.join(str(page['megabytes']) for page in pages.values())} |")
    lines.append(f"| written in (s) | {' | '.join(str(page['build_seconds']) for page in pages.values())} |")
    for name, words in shown.items():
        cells = [f"{page[name]['median']:.0f} ({page[name]['worst']:.0f})" for page in pages.values()]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def screenshot(browser: Any, run: Path, target: Path) -> None:
    """The upper part of a run's page, wide and light, as a small PNG."""
    html = target.with_suffix(".html")
    html.write_text(render(gather([run], Limits()))[0], encoding="utf-8")
    page = browser.new_page(viewport={"width": 1360, "height": 1560}, color_scheme="light")
    page.goto(html.resolve().as_uri())
    page.wait_for_selector(READY, state="attached")
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(target, optimize=True)
    html.unlink()
    print(f"{target}: {target.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--screenshot", nargs=2, metavar=("RUN", "FILE"), type=Path)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright  # only here: the docs' tests want nothing but `table`

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if options.screenshot:
            screenshot(browser, *options.screenshot)
            return
        found: dict[str, Any] = {"completions": FILES * PROMPTS * RESPONSES, "characters": LENGTH, "pages": {}}
        for name, text in (("words", of_words), ("random", of_letters)):
            run = made_up_run(Path(scratch) / name, text)
            begun = time.perf_counter()
            page, sample = render(gather([run], Limits()))
            seconds = time.perf_counter() - begun
            path = Path(scratch) / f"{name}.html"
            path.write_text(page, encoding="utf-8")
            found["pages"][name] = {
                "megabytes": round(path.stat().st_size / 1e6, 2),
                "shown": len(sample.places),
                "build_seconds": round(seconds, 1),
                **measured(browser, path, options.repetitions),
            }
            print(name, json.dumps(found["pages"][name], indent=1))
        found["browser"] = browser.version
        print(write("report_page", {"environment": environment(SEED), **found}))
        write_block("reports.md", "report-page", table(found))


if __name__ == "__main__":
    main()
