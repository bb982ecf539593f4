"""Figures one by one, and the report as Markdown."""

import dataclasses
import re

import pytest

from riskpo.reports.page import laws
from riskpo.reports.page.build import Limits, gather
from riskpo.reports.page.export import markdown, markdown_text, write_figures
from tests.reports.page.made_runs import made_run


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of two runs: some figures have a panel for each."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laws, "POPULATIONS", 16)
        return gather([made_run(folder / "a"), made_run(folder / "b")], Limits())


STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("kind", STARTS)
def test_figures_for_papers(tmp_path, report, kind):
    assert len(report.drawings) == 14
    report = dataclasses.replace(report, drawings=report.drawings[2:6])
    written = write_figures(report, tmp_path / "out" / "figures", kind)
    assert [path.stem for path in written] == [
        "entropy-reward",
        "scores-1",
        "scores-2",
        "measures",
        "weight-1",
        "weight-2",
    ]
    for path in written:
        assert path.read_bytes().startswith(STARTS[kind])
    text = (tmp_path / "out" / "figures" / "report.md").read_text()
    linked = re.findall(rf"\]\(([\w-]+\.{kind})\)", text)
    assert linked == [path.name for path in written]
    assert sorted(p.name for p in (tmp_path / "out" / "figures").iterdir()) == sorted([*linked, "report.md"])


def test_the_markdown(report):
    text = markdown(report, "png")
    assert text.startswith("# a · b\n\n## a\n\nRiskPO, mvar(0.2, 0.8), B=2")
    assert re.search(r"\| pass@1 \| 0\.438 \\\[0\.\d{3}, 0\.\d{3}\\\] \| 0\.625 ", text)
    assert "| torch | 2.6.0 |" in text
    assert "    riskpo train quickstart --output_dir x" in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a|b", r"a\|b"),
        ("<script>", r"\<script\>"),
        ("[a](b) *c* _d_ `e`", r"\[a\](b) \*c\* \_d\_ \`e\`"),
        ("two\nlines\x00", r"two lines\<U+0000\>"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_foreign_text_means_itself(text, line):
    assert markdown_text(text) == line
