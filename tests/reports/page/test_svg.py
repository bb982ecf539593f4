"""Figures inside a page: valid, without style of their own, and in the colours of the style sheet."""

import re
from importlib import resources
from xml.etree import ElementTree

from riskpo.reports.page.curves import CURVES, draw_curves
from riskpo.reports.page.palette import CLASSES
from riskpo.reports.page.record import read_record
from riskpo.reports.page.svg import inline_svg
from tests.reports.page.made_runs import made_run


def drawn(tmp_path, name="run"):
    (figure,) = draw_curves(CURVES[2], [read_record(made_run(tmp_path / name))]).panels.values()
    return figure


def test_it_is_valid_and_bare(tmp_path):
    text = inline_svg(drawn(tmp_path), "fig-a", 'a "label" <b>')
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == 'a "label" <b>'
    assert root.get("role") == "img"
    assert "style=" not in text
    assert "<style" not in text
    assert "xlink" not in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert ">step<" in text, "words stay words"


def test_words_keep_their_digits(tmp_path):
    """Coordinates are rounded, tick labels are not."""
    figure = drawn(tmp_path)
    figure.axes[0].set_yticks([0.00125, 0.0025])
    figure.axes[0].set_ylim(0.0, 0.003)
    text = inline_svg(figure, "fig-a", "0.12345")
    assert ">0.00125<" in text
    assert 'aria-label="0.12345"' in text
    assert not re.search(r' d="[^"]*\d\.\d{3}', text)


def test_every_color_of_the_palette_is_a_class(tmp_path):
    text = inline_svg(drawn(tmp_path), "fig-a", "")
    assert not [color for color in CLASSES if color.lower() in text.lower()]
    css = (resources.files("riskpo.reports.page") / "assets" / "page.css").read_text()
    used = set(re.findall(r'class="([^"]+)"', text))
    for name in {part for names in used for part in names.split()}:
        assert f".{name} {{" in css, name
    for name in CLASSES.values():
        assert f".f-{name} {{" in css
        assert f".s-{name} {{" in css


def test_two_figures_share_no_id(tmp_path):
    first, second = (inline_svg(drawn(tmp_path, name), f"fig-{name}", "") for name in "ab")
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, own in zip((first, second), ids, strict=True):
        pointed = re.findall(r"url\(#([^)]+)\)", text) + re.findall(r'href="#([^"]+)"', text)
        assert pointed
        assert set(pointed) <= own


def test_the_same_figure_gives_the_same_text(tmp_path):
    figure = drawn(tmp_path)
    assert inline_svg(figure, "fig-a", "x") == inline_svg(figure, "fig-a", "x")
