"""The figure of a run: its panels from made-up metrics, also where a metric is missing."""

import numpy as np
import pytest

from riskpo.reports.figures import run_figure, smooth

METRICS = [
    {"step": 1, "reward": 0.1, "entropy": 2.0, "risk/score_mean": 0.5, "risk/q_low": 0.2, "risk/q_high": 1.0},
    {"step": 2, "entropy": 1.5, "loss": 0.1},  # the second update of a generation logs no reward
    {"step": 3, "reward": 0.3, "entropy": 1.0, "risk/score_mean": 1.5, "risk/q_low": 0.4, "risk/q_high": 2.0},
]
BEFORE = {"correct": [0, 0, 4, 8], "samples": 8, "entropy": 1.0}
AFTER = {"correct": [0, 4, 8, 8], "samples": 8, "entropy": 0.5}


def lines(axis):
    return {line.get_label(): line.get_xydata().tolist() for line in axis.lines if line.get_label()[0] != "_"}


def test_panels():
    figure = run_figure(METRICS, BEFORE, AFTER, "a run")
    reward, entropy, quantiles, curves = figure.axes
    assert figure.get_suptitle() == "a run"
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "mean reward",
        "entropy (nats per token)",
        "bundle score",
        "pass@k",
    ]
    assert reward.lines[0].get_xydata().tolist() == [[1, 0.1], [3, 0.3]]
    assert entropy.lines[0].get_xydata().tolist() == [[1, 2.0], [2, 1.5], [3, 1.0]]
    assert lines(quantiles) == {
        "mean score": [[1, 0.5], [3, 1.5]],
        "q_low": [[1, 0.2], [3, 0.4]],
        "q_high": [[1, 1.0], [3, 2.0]],
    }
    # pass@1 is the mean share that is right; pass@8 the share of questions with any right sample.
    assert lines(curves)["before"][0] == pytest.approx([1, (0 + 0 + 0.5 + 1) / 4])
    assert lines(curves)["before"][-1] == pytest.approx([8, 0.5])
    assert lines(curves)["after"][0] == pytest.approx([1, (0 + 0.5 + 1 + 1) / 4])
    assert lines(curves)["after"][-1] == pytest.approx([8, 0.75])
    assert curves.get_xticks().tolist() == [1, 2, 4, 8]
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["before", "after"]


def test_numbers_that_are_none_are_left_out_and_counted():
    rows = [*METRICS, {"step": 4, "reward": float("nan")}, {"step": 5, "reward": None}, {"step": 6, "reward": 0.5}]
    reward, entropy, *_ = run_figure(rows, None, None, "").axes
    assert reward.lines[0].get_xydata().tolist() == [[1, 0.1], [3, 0.3], [6, 0.5]]
    assert np.isfinite(reward.lines[1].get_ydata()).all()
    assert (reward.get_xlabel(), entropy.get_xlabel()) == ("step (2 rows left out: not finite)", "step")


@pytest.mark.parametrize(("before", "after"), [(None, AFTER), (BEFORE, None), (None, None)])
def test_without_both_evaluations_there_is_no_fourth_panel(before, after):
    assert len(run_figure(METRICS, before, after, "").axes) == 3


@pytest.mark.parametrize(
    "metrics", [[], [{"step": 1}], [{"step": 1, "reward": None}], [{"step": 1, "reward": float("nan")}]]
)
def test_missing_metrics(tmp_path, metrics):
    """A run without quantiles, or stopped before its first log, still gets its picture."""
    path = tmp_path / "figure.png"
    run_figure(metrics, None, None, "").savefig(path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def testsmooth_by_hand():
    """Forty points: a window of two, which at the start holds one; short runs stay as they are."""
    values = np.arange(40.0)
    assert smooth(values)[:3].tolist() == [0.0, 0.5, 1.5]
    assert smooth(values)[-1] == 38.5
    assert smooth(np.array([3.0, 1.0])).tolist() == [3.0, 1.0]
