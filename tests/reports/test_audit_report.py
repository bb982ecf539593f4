"""Findings appear where the number supports them, and nowhere else; the table hides nothing."""

import dataclasses
import io
import math

import pytest
from rich.console import Console

from riskpo.reports.audit import BINS, audit_figure, audit_json, weight_table
from riskpo.reports.findings import THRESHOLDS, findings, hard_to_easy, thresholds
from riskpo.risk.audit import BIN_EDGES, Audit, EstimatorAudit
from riskpo.risk.measured import Measured
from riskpo.rollouts.read import Rollouts
from riskpo.rollouts.simulated import simulated_steps

NAN = math.nan
CLEAN = {"right_down": 0.0, "wrong_up": 0.0, "right_negative": 0.0, "wrong_positive": 0.0}


def estimator(weights=(1.0,) * 7, error=0.01, **changes):
    plain = EstimatorAudit(
        weight_b=tuple(Measured(weight, error) for weight in weights),
        mean_weight=Measured(1.0, error),
        snr=Measured(2.0, 0.05),
        snr_ratios={"paper": Measured(2.0, 0.05), "dr_grpo": Measured(1.0, 0.0)},
        on_uniform=0.0,
        flips=CLEAN,
        entropy=None,
        flat_windows=None,
        tied_quantiles=None,
        unseen=None,
        steps=6,
        refused="",
    )
    return dataclasses.replace(plain, **changes)


def result(all_wrong=0.0, all_right=0.0, skipped=None, **estimators):
    uniform = {"all_right": all_right, "all_wrong": all_wrong, "uniform": all_right + all_wrong}
    return Audit(estimators, skipped or {}, uniform, (1.0,) * 7, 0.3, 1.5, 6, 6, 16, 16, 40, 40, 1920)


def said(**estimators):
    """Kind of finding to the estimators it is about."""
    return {finding.code: finding.about for finding in findings(result(**estimators))}


# --- weight by difficulty ---

FALLING = (1.4, 1.3, 1.1, 1.0, 0.8, 0.5, 0.2)
ENDS = (1.5, 1.3, 1.1, 1.0, 1.1, 1.3, 1.5)


@pytest.mark.parametrize(
    ("weights", "error", "kind"),
    [
        ((1.0,) * 7, 0.01, "difficulty_flat"),
        ((1.0,) * 7, 0.2, None),  # nothing can be told
        (FALLING, 0.01, "difficulty_hard"),
        (FALLING[::-1], 0.01, "difficulty_easy"),
        (ENDS, 0.01, "difficulty_ends"),
        ((1.1, 1.1, 1.05, 1.0, 1.0, 0.97, 0.95), 0.01, "difficulty_flat"),  # 1.16 from end to end
        ((1.3, 1.2, 1.1, 1.0, 1.0, 1.0, 1.0), 0.04, None),  # 1.3, but two standard errors reach 1.2
        ((1.0, 1.4, 1.0, 1.0, 1.0, 1.0, 1.0), 0.01, None),  # a bump is neither
        ((1.0, 1.0, 1.0, 1.0, 0.5, 0.0, -0.1), 0.01, "difficulty_hard"),
        ((NAN,) * 7, NAN, None),
    ],
)
def test_difficulty(weights, error, kind):
    assert said(one=estimator(weights, error)) == ({kind: ("one",)} if kind else {})


def test_hard_to_easy_by_hand():
    """The outermost bins are unsure, so 1.2 / .6 = 2; its error is hypot(.02, 2 x .01) / .6."""
    weights = [
        Measured(9.0, 3.0),
        Measured(1.2, 0.02),
        *[Measured(1.0, 0.01)] * 3,
        Measured(0.6, 0.01),
        Measured(0.6, 0.3),
    ]
    ratio = hard_to_easy(dataclasses.replace(estimator(), weight_b=tuple(weights)))
    assert (ratio.value, ratio.error) == pytest.approx((2.0, math.hypot(0.02, 0.02) / 0.6))


# --- the others: a number on either side of its threshold ---


def ratio(value, error=0.01):
    return {"paper": Measured(1.0, 0.0), "dr_grpo": Measured(value, error)}


def entropy(difference, error):
    return {"difference": Measured(difference, error)}


@pytest.mark.parametrize(
    ("kind", "supported", "unsupported"),
    [
        ("noise", {"snr_ratios": ratio(0.7)}, {"snr_ratios": ratio(0.9)}),
        ("noise", {"snr_ratios": ratio(0.7)}, {"snr_ratios": ratio(0.7, 0.1)}),
        ("noise", {"snr_ratios": ratio(0.0, 0.0)}, {"snr_ratios": ratio(NAN, NAN)}),
        ("noise", {"snr_ratios": ratio(0.7)}, {"snr_ratios": {}}),
        ("on_uniform", {"on_uniform": 0.2}, {"on_uniform": 0.05}),
        ("on_uniform", {"on_uniform": 0.2}, {"on_uniform": NAN}),
        ("flips", {"flips": CLEAN | {"wrong_up": 0.02}}, {"flips": CLEAN | {"wrong_positive": 0.5}}),
        ("flips", {"flips": CLEAN | {"right_down": 0.02}}, {"flips": dict.fromkeys(CLEAN, NAN)}),
        ("flat_windows", {"flat_windows": 0.2}, {"flat_windows": 0.05}),
        ("tied_quantiles", {"tied_quantiles": 0.6}, {"tied_quantiles": 0.4}),
        ("unseen", {"unseen": 1.0}, {"unseen": 0.5}),
        ("entropy", {"entropy": entropy(0.2, 0.05)}, {"entropy": entropy(0.2, 0.1)}),
        ("entropy", {"entropy": entropy(0.2, 0.05)}, {"entropy": entropy(0.2, NAN)}),
    ],
)
def test_thresholds(kind, supported, unsupported):
    found = said(good=estimator(**unsupported), bad=estimator(**supported))
    assert found == {"difficulty_flat": ("good", "bad"), kind: ("bad",)}


def test_uniform_logs():
    texts = [finding.text for finding in findings(result(all_wrong=0.6))]
    assert texts == [
        "60% of prompts were answered wrongly every time: use easier prompts or more responses per prompt."
    ]
    assert "rightly" in findings(result(all_right=0.5))[0].text
    assert findings(result(all_wrong=0.4, all_right=0.4)) == []


def test_a_finding_is_one_sentence_that_says_what_to_change():
    everything = estimator(
        FALLING, snr_ratios=ratio(0.5), on_uniform=0.3, flips=CLEAN | {"wrong_up": 0.2}, flat_windows=1.0,
        tied_quantiles=1.0, unseen=1.0, entropy=entropy(0.3, 0.01),
    )  # fmt: skip
    found = findings(result(all_wrong=0.9, one=everything))
    assert len(found) == 9
    for finding in found:
        assert finding.text.endswith(".")
        assert ". " not in finding.text
        assert finding.text.count(": ") == 1
    noise = next(finding for finding in found if finding.code == "noise")
    assert "one 4.0x" in noise.text  # half the ratio, four times the rollouts


def test_every_threshold_has_its_reason():
    assert thresholds().keys() == THRESHOLDS.keys()
    assert all(isinstance(entry["value"], float) and len(str(entry["why"])) > 20 for entry in thresholds().values())


# --- tables, JSON, figure ---


def test_bins_are_named():
    assert BINS == ("0-.05", ".05-.2", ".2-.4", ".4-.6", ".6-.8", ".8-.95", ".95-1")
    assert len(BINS) == len(BIN_EDGES) - 1


def test_rough_and_missing_weights_are_marked():
    one = estimator()
    weights = (Measured(1.0, 0.2), Measured(NAN, NAN), Measured(2.0, NAN), *one.weight_b[3:])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(weight_table(result(one=dataclasses.replace(one, weight_b=weights))))
    row = next(line for line in console.export_text().splitlines() if line.split()[:1] == ["one"])
    assert row.split() == ["one", "~1.0", "-", "~2.0", "1.00", "1.00", "1.00", "1.00", "1.00"]


def test_json_has_no_nan():
    log = Rollouts(simulated_steps(0, steps=1, prompts=2), "simulated", 0, [])
    written = audit_json(result(one=estimator((NAN,) * 7, NAN, on_uniform=NAN)), log, (0.0, 1.0), 0)
    assert written["estimators"]["one"]["weight_b"][0] == {"value": None, "error": None}
    assert written["estimators"]["one"]["on_uniform"] is None


def test_figure_draws_what_was_measured():
    figure = audit_figure(result(paper=estimator(FALLING), grpo=estimator(ENDS, snr=Measured(NAN, NAN))))
    presets, peers, bars = figure.axes
    assert presets.lines[0].get_ydata().tolist() == list(FALLING)
    assert peers.lines[0].get_ydata().tolist() == list(ENDS)
    assert [bar.get_width() for bar in bars.patches] == [2.0]


def test_rough_weights_are_drawn_as_rings():
    """As in the table: twice .2 is above a quarter of the mean weight, 1; no error known is rough as well."""
    one = estimator(FALLING)
    weights = (Measured(9.0, 0.2), Measured(1.3, NAN), *one.weight_b[2:6], Measured(NAN, NAN))
    axis = audit_figure(result(grpo=dataclasses.replace(one, weight_b=weights))).axes[1]
    line, rings = axis.lines
    assert line.get_ydata().tolist() == pytest.approx([NAN, NAN, *FALLING[2:6], NAN], nan_ok=True)
    assert rings.get_ydata().tolist() == [9.0, 1.3]
    assert (rings.get_linestyle(), rings.get_markerfacecolor()) == ("None", "none")
    assert axis.get_ylim()[1] < 2.0, "a rough weight does not squeeze the sure ones"


def test_figure_of_nothing(tmp_path):
    audit_figure(result()).savefig(tmp_path / "a.png")
