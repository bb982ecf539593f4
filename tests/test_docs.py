"""The docs say what the code does: options and metrics stand there, links lead somewhere, tables are the scripts'."""

import dataclasses
import json
import re
import sys
from functools import partial
from pathlib import Path
from statistics import mean

import pytest
import torch

from riskpo.diagnosis.config import flat_pass_rates
from riskpo.rewards.registry import REWARDS
from riskpo.risk import PRESETS, RiskConfig, RiskState, risk_advantages
from riskpo.risk.config import CHOICES
from riskpo.runs.recipes import recipes
from riskpo.runs.rewards import OVERLONG

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
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
    from experiments import (
        doctor_confusion,
        mean_theorem,
        multigpu_memory,
        paper_recipes,
        staleness,
        variance,
        weight_by_difficulty,
    )

    from benchmarks import pairing_cost, report_page, verl_advantage

    yield "method.md", "pairing_cost", ROOT / "benchmarks" / "results" / "pairing_cost.json", pairing_cost.table
    yield "reports.md", "report-page", ROOT / "benchmarks" / "results" / "report_page.json", report_page.table
    yield "method.md", "variance", variance.PATH, variance.table
    cost = ROOT / "benchmarks" / "results" / "verl_advantage.json"
    yield "engines.md", "verl cost", cost, verl_advantage.table
    yield "doctor.md", "thresholds", doctor_confusion.PATH, doctor_confusion.thresholds_table
    yield "doctor.md", "confusion", doctor_confusion.PATH, doctor_confusion.confusion_table
    for script in (mean_theorem, weight_by_difficulty):
        yield "method.md", script.__name__.split(".")[-1], script.RESULT, script.table
    yield "engines.md", "staleness short", staleness.RESULT, staleness.short_table
    for name, table in staleness.TABLES.items():
        yield staleness.PAGE, name, staleness.RESULT, table
    yield "multi-gpu.md", "memory", multigpu_memory.RESULTS, lambda found: multigpu_memory.memory_table(found) + "\n"
    for recipe in paper_recipes.PARAMETERS:
        for part, table in (("scores", paper_recipes.score_table), ("cost", paper_recipes.cost_table)):
            if part == "scores" and recipe not in paper_recipes.PAPER:
                continue
            taken = partial(_of_recipe, table, recipe, part)
            yield f"recipes/{recipe}.md", part, paper_recipes.RESULTS, taken


def _of_recipe(table, recipe, part, found):
    return table(found[recipe][part]) + "\n"


def test_every_recipe_for_gpus_has_its_page_and_its_cost():
    from experiments import paper_recipes

    kept = json.loads(paper_recipes.RESULTS.read_text(encoding="utf-8"))
    assert {name for name in recipes() if name.startswith("paper-")} | {"dapo-7b", "multi-node"} == set(kept)
    assert paper_recipes.measure() == kept


def test_the_memory_of_a_gpu():
    """By hand: 7.62e9 x 16 bytes over 8 GPUs; a 4,096-token sequence of the 7B takes 4 x 28 x 4 x 128 x 4,096 bytes."""
    from experiments import multigpu_memory

    found = multigpu_memory.measure()
    assert json.loads(multigpu_memory.RESULTS.read_text(encoding="utf-8")) == found
    assert found["7B"]["training"] == pytest.approx({"ddp": 121.92e9, "zero2": 28.575e9, "sharded": 15.24e9})
    assert found["7B"]["tp1"] == {"weights": 15.24e9, "sequence": 234_881_024, "sequences": 71}


def test_standard_errors_of_single_samples():
    """By hand: .333 over 30 questions is +- .0860; .808 over 1 319 +- .0109."""
    from experiments.paper_recipes import score_row

    assert score_row("AIME24", 30, 33.3, 20.0)["error"] == pytest.approx(8.6045, abs=1e-3)
    assert score_row("AIME24", 30, 33.3, 20.0)["difference_error"] == pytest.approx(11.2858, abs=1e-3)
    assert score_row("GSM8K", 1319, 80.3, None)["error"] == pytest.approx(1.0951, abs=1e-3)


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


def test_what_the_doctor_knows_is_what_was_recorded():
    """The numbers of docs/doctor.md outside its tables."""
    page = " ".join((ROOT / "docs" / "doctor.md").read_text(encoding="utf-8").split())
    results = ROOT / "experiments" / "results"
    grid = [json.loads(path.read_text()) for path in sorted((results / "estimators" / "chain").glob("*.json"))]
    long = [one["metrics"] for one in grid if len(one["metrics"]["step"]) == 200]
    ends = [(mean(one["entropy"][-20:]) / one["entropy"][0], mean(one["reward"][-20:])) for one in long]
    low = [reward for left, reward in ends if left < 0.05]
    assert f"{len(low)} of the {len(long)} runs of the grid have less than 5 % of their entropy left" in page
    assert min(low) >= 0.85
    lost = {}
    for path in sorted((results / "estimators").glob("*/tune/*.json")):
        one = json.loads(path.read_text())
        before, after = (sum(one["evaluations"][part]["correct"]) for part in ("before", "after"))
        if one["variant"] == "paper" and float(one["learning_rate"]) >= 6e-4:
            assert after < 0.01 * before, path.name
        elif after <= 1.5 * before:
            lost[path.stem] = (path.parent.parent.name, *(round(part / 64 / 256, 3) for part in (before, after)))
    assert lost == {
        "exact_400-prompts_lr1.2e-3": ("chain-long", 0.051, 0.041),
        "sorted_400-prompts_lr1.2e-3": ("chain-long", 0.051, 0.034),
    }
    assert "(.051 to .041 and .034)" in page
    table = json.loads((results / "doctor" / "confusion.json").read_text())
    flat = [part["bundle of one"] for part in (table["confusion"], table["even_seeds"]["confusion"])]
    said = f"flat at first in {sum(one['began_flat'] for one in flat)} of {sum(one['runs'] for one in flat)} seeds"
    assert said in page
    shares = {size: flat_pass_rates(RiskConfig(bundle_size=size)) for size in (1, 2, 5)}
    assert [round(100 * share) for share in shares.values()] == [20, 10, 4]
    assert round(100 * flat_pass_rates(RiskConfig(risk_low=0.05, risk_high=0.1))) == 37
    assert "flat on 4 %, bundles of one on 20 %, bundles of two on 10 %, levels .05 and .1 on 37 %" in page


def test_the_recommendation_rests_on_what_was_measured(monkeypatch):
    """Two levels has the highest mean pass@1 after 1 000 steps on both tasks; the page's table is the grid's."""
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import estimators_report
    from experiments.pages import block_of

    results = ROOT / "experiments" / "results" / "estimators"
    assert block_of("quickstart.md", "estimators") == estimators_report.chosen_table(results)
    for task in ("chain", "chain-long"):
        cells = estimators_report.load(results, task, list(estimators_report.CHOSEN))
        means = {name: mean(estimators_report.value(one, 1000, 1) for one in found) for name, found in cells.items()}
        assert max(means, key=means.get) == "two-level"


def test_the_speed_of_an_evaluation_is_the_measured():
    page = " ".join((ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8").split())
    found = json.loads((ROOT / "benchmarks" / "results" / "evaluate.json").read_text(encoding="utf-8"))
    mixed, equal = (
        "{median:.2f} [{lowest:.2f}, {highest:.2f}]".format(**found[name]["ratio"]) for name in ("mixed", "equal")
    )
    assert f"it makes {mixed} times the tokens a second of a plain loop" in page
    assert f"of many lengths, {equal} times where all have one length" in page
    assert found["mixed"]["ratio"]["median"] >= 1.5
    assert found["equal"]["ratio"]["median"] >= 1.0


def test_agreement_with_the_harness_is_the_recorded(monkeypatch):
    """At least 500 texts a convention, 30 % right and 30 % wrong, every disagreement with its reason."""
    monkeypatch.syspath_prepend(str(ROOT / "experiments" / "verifier"))
    import harness
    from experiments.pages import block_of

    found = json.loads((ROOT / "experiments" / "results" / "verifier" / "harness.json").read_text(encoding="utf-8"))
    assert block_of("evaluation.md", "harness") == harness.table(found)
    assert {"gsm8k strict", "gsm8k flexible", "math500, math_verify"} <= set(found["conventions"])
    for one in found["conventions"].values():
        assert one["texts"] >= 500
        assert 0.3 <= one["harness_right"] <= 0.7
        assert one["differ"] == len(one["disagreements"]) == sum(one["reasons"].values())
        assert "unexplained" not in one["reasons"]
        assert not {"model", "solution"} & {text["kind"] for text in one["disagreements"]}


def _spaced(number):
    return f"{number:,}".replace(",", " ")


def test_tables_are_what_the_scripts_made():
    from experiments.pages import block_of

    for page, name, result, table in tables():
        assert block_of(page, name) == table(json.loads(result.read_text(encoding="utf-8"))), name
