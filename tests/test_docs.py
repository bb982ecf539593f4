"""The docs say what the code does: options and metrics stand there, links lead somewhere, tables are the scripts'."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from riskpo.rewards.registry import REWARDS
from riskpo.risk import PRESETS, RiskConfig, RiskState, risk_advantages
from riskpo.risk.config import CHOICES
from riskpo.runs.rewards import OVERLONG

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "experiments/LOG.md",
]
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
sys.path.append(str(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("option", [field.name for field in dataclasses.fields(RiskConfig)])
def test_every_option_is_explained(option):
    assert re.search(rf"^\|.*`{option}`", METHOD, re.MULTILINE), option


@pytest.mark.parametrize("name", [*PRESETS, *(value for values in CHOICES.values() for value in values)])
def test_every_preset_and_value_is_named(name):
    assert f"`{name}`" in METHOD or f"`{name.split('_')[0]}_…`" in METHOD, name


def test_every_metric_is_explained():
    rewards_PG = (torch.rand(10, 4, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    for preset in PRESETS:
        config, generator = RiskConfig.from_preset(preset), torch.Generator()
        ids = [str(prompt) for prompt in range(10)]
        metrics = risk_advantages(rewards_PG, config, RiskState(), generator, prompt_ids=ids).metrics
        for name in metrics:
            assert f"`{name}`" in METHOD, name


def tables():
    from experiments import mean_theorem, variance, weight_by_difficulty

    from benchmarks import pairing_cost, report_page

    yield "method.md", "pairing_cost", ROOT / "benchmarks" / "results" / "pairing_cost.json", pairing_cost.table
    yield "reports.md", "report-page", ROOT / "benchmarks" / "results" / "report_page.json", report_page.table
    yield "method.md", "variance", variance.PATH, variance.table
    for script in (mean_theorem, weight_by_difficulty):
        yield "method.md", script.__name__.split(".")[-1], script.RESULT, script.table


def test_every_reward_is_explained():
    page = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
    for name in [*REWARDS, OVERLONG]:
        assert f"`{name}`" in page, name


def test_what_verifiers_accept_is_the_measured():
    """The numbers of docs/rewards.md, from what the experiments wrote."""
    page = " ".join((ROOT / "docs" / "rewards.md").read_text(encoding="utf-8").split())
    accepted, agreement, code, golds = (
        json.loads((ROOT / "experiments" / "results" / "verifier" / f"{name}.json").read_text())
        for name in ("false_accepts", "agreement", "code", "golds")
    )
    pairs = sum(one["pairs"] for one in accepted["sets"].values())
    assert accepted["accepted"]["not equal"] == accepted["accepted"]["unlabelled"] == 0
    equal = accepted["accepted"]["equal"]
    assert f"Of {_spaced(pairs)} pairs with the gold of another problem {equal} pairs of differing texts" in page
    asked = sum(kind["pairs"] for kind in agreement["kinds"].values())
    assert f"of {_spaced(asked)} pairs, is listed and explained" in page
    mutants = [code[name]["mutants"] for name in ("humaneval", "mbpp_sanitized")]
    assert all(not one["disagreements"] for one in mutants)
    assert f"{_spaced(sum(one['mutants'] for one in mutants))} mutants fare as they do" in page
    for name, count in (("humaneval", 164), ("mbpp_sanitized", 427)):
        references = code[name]["references"]
        assert references["as they are"]["statuses"] == {"correct": count}
        assert references["pass"]["statuses"] == references["return None"]["statuses"] == {"wrong": count}
        assert f"({count})" in page
    assert all(one["boxed"]["rate"] == 1.0 for one in golds["sets"].values())


def _spaced(number):
    return f"{number:,}".replace(",", " ")


def test_tables_are_what_the_scripts_made():
    from experiments.pages import block_of

    for page, name, result, table in tables():
        assert block_of(page, name) == table(json.loads(result.read_text(encoding="utf-8"))), name
