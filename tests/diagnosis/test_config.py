"""Configurations that are allowed, and unwise: numbers on either side of each threshold."""

import dataclasses
import json
from itertools import product
from pathlib import Path

import pytest

from riskpo.diagnosis.config import CHECKS, Setup, check_config, flat_pass_rates, never_positive, setup_of, threshold
from riskpo.diagnosis.finding import Finding, Skipped
from riskpo.risk.audit import FLAT_SLOPE
from riskpo.risk.config import RiskConfig
from riskpo.risk.presets import PRESETS
from riskpo.risk.quantiles import ScoreLaw, inverse_cdf

GRID = Path(__file__).resolve().parent.parent.parent / "experiments" / "results" / "estimators"


def setup(risk=None, **changes):
    plain = Setup(risk or RiskConfig.from_preset("exact"), 20, 8, 2, 6e-4, 0.2, 0.2, True, 9)
    return dataclasses.replace(plain, **changes)


def level(code, given):
    outcome = CHECKS[code](given)
    return outcome.level if isinstance(outcome, Finding) else outcome


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_at_a_low_rate_have_no_finding(preset):
    risk = RiskConfig.from_preset(preset)
    found = check_config(setup(risk, learning_rate=2e-4, rows=100, needed=1000), preset)
    assert found.findings == ()


def test_packaged_recipes_have_no_finding_that_warns():
    """The paper's recipes have notes: its bundles do not divide its steps, its clip range hardly ever binds."""
    from riskpo.runs.arguments import plan_new
    from riskpo.runs.recipes import recipes

    given = setup_of(plan_new("smollm2-multiplication", None, []), None)
    assert (given.prompts, given.responses, given.updates, given.needed) == (10, 4, 1, 200)
    for recipe in recipes():
        findings = check_config(setup_of(plan_new(recipe, None, [], dry=True), None), recipe).findings
        allowed = {"leftover_prompts", "idle_clip"} if recipe.startswith("paper-") else set()
        assert {finding.code for finding in findings} <= allowed
        assert all(finding.level == "note" for finding in findings)


def test_the_recorded_grid():
    """Of all recorded configurations those are warned of that diverged, and no other."""
    from riskpo.runs.arguments import plan_new

    warned, diverged = set(), set()
    paths = [*GRID.glob("*/tune/*.json"), *GRID.glob("chain/*_seed0.json")]
    for path in paths:
        recorded = json.loads(path.read_text())
        rows = 400 if "400 prompts" in recorded["variant"] else None
        found = check_config(setup_of(plan_new("quickstart", None, recorded["flags"]), rows), path.stem)
        warned |= {path.name for finding in found.findings if finding.level != "note"}
        before, after = (sum(recorded["evaluations"][part]["correct"]) for part in ("before", "after"))
        diverged |= {path.name} if after < before / 2 else set()
    assert len(paths) >= 75
    assert warned == diverged == {"paper_lr6e-4.json", "paper_lr1.2e-3.json"}


@pytest.mark.parametrize(
    ("prompts", "size", "expected"), [(20, 5, None), (22, 5, "note"), (7, 5, "note"), (7, 1, None)]
)
def test_leftover_prompts(prompts, size, expected):
    risk = RiskConfig.from_preset("exact", {"bundle_size": size})
    assert level("leftover_prompts", setup(risk, prompts=prompts)) == expected
    assert level("leftover_prompts", setup(RiskConfig.from_preset("paper", {"estimator": "grpo"}), prompts=7)) is None


def test_leftover_prompts_in_words():
    found = CHECKS["leftover_prompts"](setup(prompts=22))
    assert "the last 2 borrow 3 others" in found.evidence
    assert "Take 20 or 25 prompts" in found.change


def enumerated_slope(risk, rate):
    """The mean slope over all partners' responses, one by one."""
    import torch

    size = risk.bundle_size
    scores = [(sum(one), rate ** sum(one) * (1 - rate) ** (size - sum(one))) for one in product((0, 1), repeat=size)]
    probs = [sum(weight for score, weight in scores if score == value) for value in range(size + 1)]
    law = ScoreLaw(torch.arange(size + 1.0).double(), torch.tensor(probs).double())
    quantiles = inverse_cdf(law, torch.tensor(risk.spectrum.levels).double())
    total = 0.0
    for one in product((0, 1), repeat=size - 1):
        partners = torch.tensor([float(sum(one))]).double()
        rise = risk.spectrum.signal(partners + 1.0, quantiles) - risk.spectrum.signal(partners, quantiles)
        total += float(rise) * rate ** sum(one) * (1 - rate) ** (size - 1 - sum(one))
    return total


@pytest.mark.parametrize("options", [{}, {"bundle_size": 2}, {"risk_low": 0.05, "risk_high": 0.1}, {"measure": "cvar"}])
def test_flat_pass_rates_by_enumeration(options):
    risk = RiskConfig(**options)
    flat = sum(enumerated_slope(risk, percent / 100) < FLAT_SLOPE for percent in range(1, 100))
    assert flat_pass_rates(risk) == pytest.approx(flat / 99)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"bundle_size": 2}, None),
        ({"bundle_size": 1}, "warning"),
        ({"risk_low": 0.05, "risk_high": 0.1}, "warning"),
        ({"measure": "mean", "bundle_size": 1}, None),
    ],
)
def test_flat_window(options, expected):
    risk = RiskConfig(**options)
    assert (flat_pass_rates(risk) >= threshold("flat_pass_rates")) == (expected is not None)
    assert level("flat_window", setup(risk)) == expected


@pytest.mark.parametrize(
    "risk",
    [
        RiskConfig.from_preset("prompt-mvar"),
        RiskConfig(bundle_size=1, reward_step=0.1),
        RiskConfig(bundle_size=1, ties="continuous"),
        RiskConfig(bundle_size=1, adaptive_slope=0.5),
    ],
)
def test_flat_window_where_nothing_can_be_told(risk):
    assert isinstance(CHECKS["flat_window"](setup(risk)), Skipped)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"updates": 1}, None),
        ({"updates": 1, "given": frozenset({"epsilon"})}, "note"),
        ({"updates": 1, "given": frozenset({"epsilon"}), "off_policy": True, "longest": 9}, None),
        ({"longest": 255}, None),
        ({"longest": 256}, "note"),
        ({"longest": None}, None),
        ({"longest": 256, "epsilon": 3e-4, "epsilon_high": 4e-4}, None),
        ({"longest": 256, "sequence_ratio": False}, None),
    ],
)
def test_idle_clip(changes, expected):
    assert level("idle_clip", setup(**changes)) == expected


@pytest.mark.parametrize(("responses", "expected"), [(2, "note"), (3, "note"), (4, None)])
def test_small_groups(responses, expected):
    assert level("small_groups", setup(responses=responses)) == expected
    if responses == 2:
        assert (
            "50% of prompts with pass rate 0.5 and 68% of those with 0.2"
            in CHECKS["small_groups"](setup(responses=2)).evidence
        )


@pytest.mark.parametrize(
    ("options", "rate", "expected"),
    [
        ({}, 6e-4, "warning"),
        ({}, 5.9e-4, None),
        ({"baseline": "loo"}, 1e-2, None),
        ({"measure": "upper_tail"}, 1e-2, None),  # the top quantile's weight makes some advantages positive
        ({"measure": "mean"}, 1e-2, None),
    ],
)
def test_learning_rate(options, rate, expected):
    assert level("learning_rate", setup(RiskConfig(**options), learning_rate=rate)) == expected


@pytest.mark.parametrize("measure", ["mean", "cvar", "rvar", "mvar", "upper_tail"])
def test_never_positive_is_what_the_signal_is(measure):
    import torch

    risk = RiskConfig(measure=measure)
    scores, count = torch.arange(6.0).double(), len(risk.spectrum.levels)
    quantiles = torch.tensor([1.0, 3.0][:count]).double()
    assert never_positive(risk) == bool((risk.spectrum.signal(scores, quantiles) <= 0.0).all())


@pytest.mark.parametrize(
    ("rows", "needed", "expected"),
    [(1000, 1000, "warning"), (999, 1000, None), (None, 10, Skipped), (10, None, Skipped)],
)
def test_unseen_prompts(rows, needed, expected):
    found = level("unseen_prompts", setup(RiskConfig.from_preset("sorted"), rows=rows, needed=needed))
    assert isinstance(found, Skipped) if expected is Skipped else found == expected
    assert level("unseen_prompts", setup(rows=1000, needed=10)) is None
