"""The page in a real browser: nothing leaves it, nothing in it acts, and a person can read and use it."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest

from riskpo.reports.page import laws
from riskpo.reports.page.build import Limits, gather, render
from tests.reports.page.made_runs import completion_rows, made_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "</script><script>document.title = 'owned'</script>",
    "</textarea><img src=x onerror=\"document.title = 'owned'\">",
    "<!-- <script>",
    "\x1b[31mred\x1b[0m",
    "abc\u202egnirts\u2066x",
    "x" * 1_000_000,
    "nul\x00byte",
    "lone \ud800 surrogate \udfff",
    "{{ 7 * 7 }} {% include 'x' %} ${7 * 7}",
    "javascript:document.title = 'owned'",
    "&lt;b&gt; <b onmouseover=\"document.title = 'owned'\">bold</b>",
]
# Contrast of every text with what lies behind it (WCAG 2.2, 1.4.3): the worst of each kind, computed in the page.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 1) return color;
    }
    return rgba(getComputedStyle(document.documentElement).colorScheme === "dark" ? "black" : "white");
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const style = getComputedStyle(node);
    const svg = node.tagName === "text";
    if (!own || node.closest("script, style, .unseen, [hidden]") || style.visibility === "hidden") continue;
    if (node.disabled) continue;
    const [a, b] = [light(rgba(svg ? style.fill : style.color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, `${node.tagName}.${node.getAttribute("class") || ""}: ${node.textContent.trim().slice(0, 30)}`]);
  }
  return found.sort((x, y) => x[0] - y[0]).slice(0, 5).concat([[found.length, "count"]]);
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One page of a run with hostile completions, and one of two runs."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laws, "POPULATIONS", 16)
        run = made_run(folder / "one")
        rows = [{**row, "prompt": "which?", "answer": None} for row in completion_rows(24)[: len(HOSTILE)]]
        for row, text in zip(rows, HOSTILE, strict=True):
            row |= {"completion": text, "verdict_reason": text[:200], "verdict": "timeout"}
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (run / "completions" / "completions_00024.jsonl").write_text(lines)
        second = made_run(folder / "two <b>", steps=9, seed=4, arguments={"pairing": "random", "tail_weight": 0.7})
        for name, runs in (("one", [run]), ("both", [run, second])):
            (folder / f"{name}.html").write_text(render(gather(runs, Limits()))[0], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, pages):
    """Opens a page; at the end nothing may have been said on its console, and nothing asked for outside it."""
    said, asked, contexts = [], [], []

    def open_page(name="one", width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append("a dialog"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((pages / f"{name}.html").as_uri())
        page.wait_for_selector("html[data-ready=table]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith((pages.as_uri(), "blob:")) for url in asked), asked


def count(page):
    return int(page.inner_text("#count").split(" of ")[0].replace("\u202f", ""))


def cells(page, label):
    """The texts of a column, with a minus sign that Python reads."""
    found = page.eval_on_selector_all(f"#rows td[data-label='{label}']", "cells => cells.map(c => c.textContent)")
    return [text.replace("\N{MINUS SIGN}", "-") for text in found]


def search(page, text):
    page.fill("#query", text)
    page.wait_for_timeout(150)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_can_be_read(opened, scheme, width):
    page = opened("both", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling of the page"
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.click("#rows .open >> nth=0")
    *worst, (texts, _) = page.evaluate(CONTRAST)
    assert texts > 300
    assert worst[0][0] >= 4.5, worst
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 382) == (scheme == "light")
    sizes = page.evaluate(
        "[...document.querySelectorAll('.plot svg text')].map((text) => text.getBoundingClientRect().height)"
    )
    assert min(sizes) > 8, "words in figures"


def test_figures_have_names_and_headings_come_in_order(opened):
    page = opened()
    assert page.evaluate(
        "[...document.querySelectorAll('svg')].every((svg) => svg.getAttribute('aria-label').length > 20)"
    )
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    unnamed = "[...document.querySelectorAll('input,select')].filter((one) => !one.labels.length).length"
    assert page.evaluate(unnamed) == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_hostile_completions_are_inert_and_visible(opened):
    page = opened()
    title = page.title()
    page.select_option("#verdict", "timeout")
    assert count(page) == len(HOSTILE)
    for button in page.query_selector_all("#rows .open"):
        button.click()
    page.mouse.move(200, 500)
    page.wait_for_timeout(100)
    assert page.title() == title
    assert page.evaluate("document.querySelectorAll('#rows script, #rows img, #rows b').length") == 0
    text = page.inner_text("#rows")
    for shown in (
        "<script>document.title",
        "</textarea><img",
        "<!-- <script>",
        "{{ 7 * 7 }}",
        "U+001B",
        "U+202E",
        "U+0000",
    ):
        assert shown in text, shown
    for shown in ("U+2066", "U+D800", "U+DFFF", "980000 of 1000000 characters left out"):
        assert shown in text, shown
    raw = page.evaluate("document.getElementById('rows').textContent")
    assert not set(raw) & {"\x00", "\x1b", "\u202e", "\u2066"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_search_filters_and_sorting(opened):
    page = opened("both")
    everything = count(page)
    assert everything == 160 + 12 + 64
    search(page, "ANSWER 8-3-")
    assert count(page) == 8
    page.select_option("#run", "1")
    assert count(page) == 4
    page.click("text=Reset")
    page.wait_for_timeout(50)
    assert count(page) == everything
    search(page, "nothing like it")
    assert count(page) == 0
    search(page, "")
    page.fill("#first", "8")
    page.fill("#last", "8")
    page.wait_for_timeout(150)
    assert count(page) == 64
    page.select_option("#sign", "up")
    shown = cells(page, "Advantage")
    assert shown
    assert all(float(value) > 0 for value in shown)
    page.click("#heads >> text=Advantage")
    ordered = list(map(float, cells(page, "Advantage")))
    assert ordered == sorted(ordered)
    page.click("#heads >> text=Advantage")
    assert page.get_attribute("th[data-column=advantage]", "aria-sort") == "descending"
    ordered = list(map(float, cells(page, "Advantage")))
    assert ordered == sorted(ordered, reverse=True)


def test_sorting_by_text_and_what_is_not_there(opened):
    page = opened()
    page.click("#heads >> text=Gold answer")
    page.click("#heads >> text=Gold answer")
    page.click("#end")
    assert cells(page, "Gold answer")[-1] == ""
    page.click("#heads >> text=Completion")
    known = [text for text in cells(page, "Completion") if text.startswith("answer")]
    assert known == sorted(known)


def test_the_responses_of_a_prompt_and_of_a_bundle(opened):
    page = opened()
    page.click("#rows .open >> nth=0")
    page.click("text=All responses to this prompt in this step")
    assert count(page) == 4
    page.click("text=Show all")
    page.click("#rows .open >> nth=0")
    page.click("text=This group of prompts")
    assert count(page) == 8


def test_it_can_be_used_by_keyboard(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    reached = []
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )
        if reached[-1] == "open":
            break
    for name in ("theme", "SUMMARY", "query", "verdict", "sign", "first", "last", "open"):
        assert name in reached, (name, reached)
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    assert page.get_attribute("#rows .open >> nth=0", "aria-expanded") == "true"
    assert page.is_visible("#rows .more")
    page.keyboard.press("Enter")
    assert not page.query_selector("#rows .more")
    page.focus("#next")
    page.keyboard.press("Enter")
    assert page.inner_text("#page").startswith("page 2 of")


def test_the_theme_can_be_chosen(opened):
    page = opened(scheme="light")
    grounds = []
    for _ in range(3):
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.click("#theme")
    auto, light, dark = grounds
    assert auto == light != dark


def test_without_scripts_the_figures_stay(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((pages / "one.html").as_uri())
    assert page.locator("svg").count() == 14
    assert page.locator("noscript").count() == 1
    context.close()
