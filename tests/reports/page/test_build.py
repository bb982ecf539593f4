"""The page as a file: its policy, its limits, what is said of a sample, and texts that try to get out."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from riskpo.errors import ConfigError, DataError
from riskpo.reports.page import build, laws
from riskpo.reports.page.build import Limits, gather, render
from tests.reports.page.made_runs import completion_rows, made_run, write_completions

EVIL = "</script><script>alert(1)</script><!-- \x00\u202e"


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Figures take most of the time of a page: without them, and hardly any redraws, unless a test asks for them."""
    monkeypatch.setattr(laws, "POPULATIONS", 16 if "figures" in request.fixturenames else 2)
    if "figures" not in request.fixturenames:
        monkeypatch.setattr(build, "_panels", lambda drawing: [("", "")])


@pytest.fixture
def figures():
    """Asked for by a test that looks at figures."""


def page_of(*folders, **limits):
    return render(gather(list(folders), Limits(**limits)))


def rows_in(page):
    import gzip

    data = re.search(r'id="data">([^<]*)</script>', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(data)))


def test_a_page_of_a_run(tmp_path, figures):
    page, sample = page_of(made_run(tmp_path / "run"))
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<svg ") == 14
    assert "Left out" not in page
    assert "All 160 logged completions." in page
    assert len(sample.places) == rows_in(page)["n"] == 160
    assert "riskpo train quickstart --output_dir x" in page
    assert f"riskpo train --config {tmp_path / 'run' / 'config.yaml'}" in page
    for fact in ("builtin:chain-base", "2.6.0", "20 of 20", "2026-01-02 03:04 UTC", "RiskPO, mvar(0.2, 0.8), B=2"):
        assert fact in page


def test_its_policy_lets_its_own_style_and_script_in_and_nothing_else(tmp_path, figures):
    page, _ = page_of(made_run(tmp_path / "run"))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r'(?<!aria-)\b(style|on\w+)="', page), "no inline style, no inline handler"
    outside = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(target.startswith("#") for target in outside), outside


def test_the_same_run_gives_the_same_page(tmp_path):
    folder = made_run(tmp_path / "run")
    assert page_of(folder) == page_of(folder)


def test_texts_stay_texts(tmp_path):
    folder = made_run(tmp_path / "run", arguments={"task": EVIL.replace("\x00", "")})
    write_completions(folder, 20, [{**row, "completion": EVIL, "verdict_reason": EVIL} for row in completion_rows(20)])
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**environment, "command": EVIL, "python": "\ud800"}))
    page, _ = page_of(folder)
    assert "alert(1)" not in page.replace("&lt;script&gt;alert(1)&lt;/script&gt;", "")
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "&lt;U+0000&gt;&lt;U+202E&gt;" in page
    assert "&lt;U+D800&gt;" in page
    assert page.encode("utf-8")
    assert "\u202e" not in page
    assert "\x00" not in page


def test_a_hostile_folder_name(tmp_path, figures):
    page, _ = page_of(made_run(tmp_path / "<img src=x onerror=alert(1)>"), made_run(tmp_path / "b"))
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_at_most_so_many_completions(tmp_path):
    page, sample = page_of(made_run(tmp_path / "run"), completions=40, seed=5)
    assert rows_in(page)["n"] == 40
    assert (sample.failures, sample.of) == (0, 160)
    said = f"Shown 40 of 160 logged completions: 0 that ended other than right or wrong, {sample.extremes} extremes"
    assert said in page
    assert "(seed 5)" in page
    assert "Shown 0 of 160" in page_of(tmp_path / "run", completions=0)[0]


def test_at_most_so_many_megabytes(tmp_path):
    folder = made_run(tmp_path / "run")
    noise = [hashlib.sha512(str(n).encode()).hexdigest() * 8 for n in range(400)]
    rows = [{**completion_rows(20)[0], "completion": text} for text in noise]
    write_completions(folder, 20, rows)
    whole, _ = page_of(folder)
    limit = len(whole.encode()) / 1e6 - 0.02
    page, sample = page_of(folder, megabytes=limit)
    assert len(page.encode()) <= limit * 1e6
    assert 100 < len(sample.places) < 528
    assert f"Shown {len(sample.places)} of 528" in page
    with pytest.raises(ConfigError, match="is too small for it"):
        page_of(folder, megabytes=0.01)


@pytest.mark.parametrize("limits", [{"completions": -1}, {"megabytes": 0.0}, {"megabytes": float("nan")}])
def test_limits_that_are_none(limits):
    with pytest.raises(ConfigError, match="must be"):
        Limits(**limits)


def test_several_runs(tmp_path):
    second = made_run(tmp_path / "b", steps=9, arguments={"pairing": "random", "learning_rate": 0.5}, seed=4)
    page, _ = page_of(made_run(tmp_path / "a"), second)
    assert rows_in(page)["runs"] == ["a", "b"]
    table = re.search(r"Options that differ</h3>(.*?)</table>", page, re.DOTALL)[1]
    assert re.findall(r'<th scope="row"><code>(.*?)</code>', table) == ["learning_rate", "pairing"]
    assert "not finished: step 9 of 20 is the last one logged" in page
    assert "Not evaluated after training: b." in page


def test_a_run_that_has_just_begun(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("task: chain\n")
    page, sample = page_of(folder)
    assert "<svg" not in page
    assert page.count("<li><b>") == 14, "every figure is left out, each with its reason"
    assert "No completions were logged." in page
    assert sample.of == 0


def test_secrets_do_not_get_in(tmp_path):
    folder = made_run(tmp_path / "run", arguments={"hub_token": "hf_secret"})
    other = made_run(tmp_path / "b", arguments={"hub_token": "hf_other"})
    assert "hf_secret" not in page_of(folder, other)[0]


def test_a_peer_has_no_score_law_and_the_page_says_so(tmp_path):
    page, _ = page_of(made_run(tmp_path / "run", arguments={"estimator": "dr_grpo"}))
    assert "<b>Tracked quantiles over the scores</b>: estimator dr_grpo scores no bundles." in page


def test_a_run_of_steps_too_small_for_a_bundle(tmp_path):
    page, _ = page_of(made_run(tmp_path / "run", arguments={"bundle_size": 9}))
    assert "<b>Tracked quantiles over the scores</b>: no logged step could fill a bundle." in page


def test_what_a_reader_should_know(tmp_path):
    folder = made_run(tmp_path / "run")
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**environment, "resumed": [{}]}))
    evaluation = json.loads((folder / "eval" / "after.json").read_text())
    (folder / "eval" / "after.json").write_text(json.dumps({**evaluation, "unscorable": 0.25}))
    page, _ = page_of(folder)
    assert "resumed with other versions; environment.json lists them (1)" in page
    assert "evaluation after: 25.0% of the samples could not be judged, and count as wrong" in page


def test_errors_come_through(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        gather([Path("gone")], Limits())
