"""The figures: what they show of one run and of several, and why one is left out."""

import json

import numpy as np
import pytest

from riskpo.evaluation.intervals import question_interval
from riskpo.reports.page.curves import CURVES, Curves, draw_curves, entropy_against_reward
from riskpo.reports.page.drawing import Drawing, LeftOut, sampled_rows, short, thinned
from riskpo.reports.page.laws import StepLaw, Window
from riskpo.reports.page.maps import pass_curves, score_map, weight_map
from riskpo.reports.page.record import named_apart, read_record
from riskpo.risk.measured import NOT_MEASURED, Measured
from riskpo.risk.quantiles import ScoreLaw
from tests.reports.page.made_runs import made_run, metric_row

BY_KEY = {spec.key: spec for spec in CURVES}


def lines_of(drawing):
    (figure,) = drawing.panels.values()
    return [np.asarray(line.get_xydata()) for line in figure.axes[0].lines]


def without(folder, *names):
    """A run that did not log some metrics."""
    rows = [{k: v for k, v in metric_row(step).items() if k not in names} for step in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def record(tmp_path):
    return read_record(made_run(tmp_path / "run"))


@pytest.mark.parametrize("spec", CURVES, ids=lambda spec: spec.key)
def test_every_curve_is_drawn(record, spec):
    drawing = draw_curves(spec, [record])
    assert isinstance(drawing, Drawing)
    for metric, label in spec.metrics:
        values = [metric_row(step)[metric] for step in range(1, 21)]
        if metric == "risk/frac_unscorable":
            assert label not in drawing.columns, "0 throughout: nothing to see"
            continue
        column = drawing.columns.index(label)
        assert [row[column] for row in drawing.rows] == pytest.approx(values)
        assert any(len(line) == 20 and line[:, 1].tolist() == pytest.approx(values) for line in lines_of(drawing))
    assert [row[0] for row in drawing.rows] == list(range(1, 21))


@pytest.mark.parametrize("spec", CURVES, ids=lambda spec: spec.key)
def test_what_was_not_logged_is_left_out_with_its_name(tmp_path, spec):
    names = [metric for metric, _ in spec.metrics]
    left_out = draw_curves(spec, [read_record(without(made_run(tmp_path / "run"), *names))])
    assert isinstance(left_out, LeftOut)
    for name in names:
        assert name in left_out.why


def test_nulls_are_gaps(tmp_path):
    folder = made_run(tmp_path / "run")
    rows = [metric_row(1), {**metric_row(2), "reward": None}, metric_row(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawing = draw_curves(BY_KEY["reward"], [read_record(folder)])
    assert [row[0] for row in drawing.rows] == [1, 3]
    assert drawing.caption.endswith(" Left out, as not finite: mean reward in 1 of 3 rows.")


def test_a_number_that_is_none_does_not_end_a_path(tmp_path):
    """NaN, infinity and null at three of twenty steps: the path goes on behind them, and says what it leaves out."""
    folder = made_run(tmp_path / "run")
    bad = {5: {"reward": float("nan")}, 9: {"entropy": float("inf")}, 12: {"reward": None, "entropy": None}}
    rows = [{**metric_row(step), **bad.get(step, {})} for step in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawing = entropy_against_reward([read_record(folder)])
    assert [row[0] for row in drawing.rows] == [step for step in range(1, 21) if step not in bad]
    assert np.isfinite(lines_of(drawing)[0]).all()
    assert drawing.caption.endswith(" Left out, as not finite: reward in 2 of 20 rows; entropy in 2 of 20 rows.")


def test_what_was_never_a_number_was_logged_all_the_same(tmp_path):
    records = [read_record(made_run(tmp_path / "a"))]
    folder = made_run(tmp_path / "b")
    rows = [{**metric_row(step), "reward": None} for step in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    records.append(read_record(folder))
    both = draw_curves(BY_KEY["reward"], records)
    assert both.caption.endswith("teach nothing. Left out, as not finite: b: mean reward in 20 of 20 rows.")
    alone = draw_curves(BY_KEY["reward"], records[1:])
    assert isinstance(alone, LeftOut)
    assert alone.why == "no finite number was logged: Left out, as not finite: mean reward in 20 of 20 rows."
    path = entropy_against_reward(records[1:])
    assert path.why == "not logged together: reward, entropy. Left out, as not finite: reward in 20 of 20 rows."


def test_tracked_quantiles_say_what_they_leave_out(tmp_path):
    folder = made_run(tmp_path / "run")
    rows = [{**metric_row(step), **({"risk/q_low": None} if step < 4 else {})} for step in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawing = score_map([read_record(folder)], {"run": [law(1, [0.0, 1.0], [0.5, 0.5])]}, {})
    assert drawing.caption.endswith(" Left out, as not finite: q_low in 3 of 20 rows.")


def test_all_figures_have_the_steps_of_the_run(tmp_path):
    """Rewards that end at step 8 of 20 are drawn on the axis of all; the heat map ends where the run does."""
    folder = made_run(tmp_path / "run")
    rows = [metric_row(n) | ({"reward": None} if n > 8 else {}) for n in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = read_record(folder)
    laws = {"run": [law(n, [0.0, 1.0], [0.5, 0.5]) for n in (1, 11, 20)]}
    heat = score_map([record], laws, {}).panels["run"].axes[0]
    curves = [draw_curves(spec, [record]).panels[""].axes[0] for spec in CURVES]
    for axis in (heat, *curves):
        assert axis.get_xlim() == pytest.approx((0.62, 20.38))
    cells = np.concatenate([path.vertices for path in heat.collections[0].get_paths()])
    assert (cells[:, 0].min(), cells[:, 0].max()) == (0.5, 20.5)


def test_lines_that_coincide_are_all_seen(record):
    drawing = draw_curves(BY_KEY["clipping"], [record])
    assert [line.get_linestyle() for line in drawing.panels[""].axes[0].lines] == ["-", "--", ":"]
    (legend,) = drawing.panels[""].legends
    assert [handle.get_linestyle() for handle in legend.legend_handles] == ["-", "--", ":"]


def test_runs_and_metrics_have_legends_of_their_own(tmp_path):
    records = named_apart([read_record(made_run(tmp_path / part / "run")) for part in "ab"])
    figure = draw_curves(BY_KEY["clipping"], records).panels[""]
    legends = figure.legends
    widths = [line.get_linewidth() for line in figure.axes[0].lines]
    assert widths == pytest.approx([2.3] * 3 + [1.6] * 3)  # equal runs do not hide each other
    assert [[text.get_text() for text in one.get_texts()] for one in legends] == [
        ["run", "run (2)"],
        ["below", "above", "either"],
    ]


@pytest.mark.parametrize(
    ("limit", "drawn", "said"),
    [
        (0.8, True, "max_grad_norm is 0.8 (grey line)."),
        (9.0, False, "max_grad_norm is 9 and lies above the figure."),
        (None, False, "what sets the step."),
    ],
)
def test_limits_are_drawn(tmp_path, limit, drawn, said):
    """Norms of .5 throughout."""
    arguments = {} if limit is None else {"max_grad_norm": limit}
    drawing = draw_curves(BY_KEY["gradient"], [read_record(made_run(tmp_path / "run", arguments=arguments))])
    assert drawing.caption.endswith(said)
    heights = [set(np.asarray(line.get_ydata()).tolist()) for line in drawing.panels[""].axes[0].lines]
    assert ({limit} in heights) == drawn


def test_windows_of_a_step_and_of_several(record):
    sure = Measured(1.0, 0.01)
    found = [Window(first, last, (sure,) * 7, sure) for first, last in ((1, 1), (2, 40))]
    drawing = weight_map([record], {"run": found}, {})
    legend = drawing.panels["run"].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["step 1", "steps 2\N{EN DASH}40"]


def test_several_runs_are_overlaid(tmp_path):
    records = [read_record(made_run(tmp_path / "a")), read_record(without(made_run(tmp_path / "b"), "entropy"))]
    drawing = draw_curves(BY_KEY["reward"], records)
    assert drawing.columns == ["run", "step", "mean reward"]
    assert {row[0] for row in drawing.rows} == {"a", "b"}
    (figure,) = drawing.panels.values()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert draw_curves(BY_KEY["entropy"], records).caption.endswith(" Not logged by b.")


def test_thousands_of_steps_stay_light(record):
    rows = [{**metric_row(1), "step": step, "reward": float(step)} for step in range(1, 5001)]
    record.metrics[:] = rows
    drawing = draw_curves(BY_KEY["reward"], [record])
    assert max(map(len, lines_of(drawing))) <= 400
    assert len(drawing.rows) == 24
    assert drawing.rows[-1] == [5000, 5000.0]


def test_thinned_by_hand():
    (values,) = thinned(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), most=2)
    assert values.tolist() == [2.0, 7.0]
    assert thinned(np.array([1.0, 3.0]), most=2)[0].tolist() == [1.0, 3.0]
    assert sampled_rows([np.arange(10.0)], 3) == [[0.0], [4.0], [9.0]]


def test_entropy_against_reward(record, tmp_path):
    drawing = entropy_against_reward([record])
    assert drawing.columns == ["step", "reward", "entropy"]
    assert drawing.rows[0] == pytest.approx([1, 0.23, 0.965])
    left_out = entropy_against_reward([read_record(without(made_run(tmp_path / "b"), "entropy"))])
    assert isinstance(left_out, LeftOut)


def law(step, values, probs):
    return StepLaw(step, ScoreLaw(*(np_tensor(numbers) for numbers in (values, probs))))


def np_tensor(numbers):
    import torch

    return torch.tensor(numbers, dtype=torch.float64)


def test_the_heat_map_is_strongest_where_the_mass_is(record):
    laws = [law(4, [0.0, 1.0, 2.0], [0.8, 0.2, 0.0]), law(8, [0.0, 1.0, 2.0], [0.1, 0.1, 0.8])]
    drawing = score_map([record], {"run": laws}, {})
    assert "(strongest: 80%)" in drawing.caption
    axis = drawing.panels["run"].axes[0]
    (cells,) = axis.collections
    opacity = {}
    for path, color in zip(cells.get_paths(), cells.get_facecolors(), strict=True):
        x, y = path.vertices[:4].mean(0)
        opacity[(float(x), float(y))] = color[3]
    assert opacity == pytest.approx({(4, 0): 0.85, (4, 1): 0.27, (8, 0): 0.18, (8, 1): 0.18, (8, 2): 0.85}, abs=0.01)
    assert drawing.rows == [
        [4, pytest.approx(0.2), pytest.approx(0.4)],
        [8, pytest.approx(1.7), pytest.approx(0.6403, abs=1e-3)],
    ]
    assert [text.get_text() for text in drawing.panels["run"].legends[0].get_texts()] == [
        "q_low",
        "q_high",
        "mean score",
    ]


def test_graded_scores_get_even_rows(record):
    values = np.linspace(0, 2, 101).tolist()
    drawing = score_map([record], {"run": [law(4, values, [1 / 101] * 101)]}, {})
    assert len(drawing.panels["run"].axes[0].collections[0].get_paths()) == 24


def test_no_laws_no_heat_map(record):
    left_out = score_map([record], {}, {"run": "estimator grpo scores no bundles"})
    assert left_out == LeftOut("Tracked quantiles over the scores", "estimator grpo scores no bundles")


def test_weights_that_cannot_be_told_are_not_drawn(record):
    sure, rough = Measured(1.0, 0.01), Measured(3.0, 2.0)
    window = Window(1, 9, (NOT_MEASURED, rough, sure, sure, sure, rough, NOT_MEASURED), sure)
    drawing = weight_map([record], {"run": [window]}, {})
    (line,) = drawing.panels["run"].axes[0].lines
    assert line.get_ydata().tolist() == [1.0, 1.0, 1.0]
    assert line.get_xdata() == pytest.approx([0.3, 0.5, 0.7])
    assert drawing.rows == [["1\N{EN DASH}9", None, 3.0, 1.0, 1.0, 1.0, 3.0, None]]
    nothing = Window(1, 9, (rough,) * 7, sure)
    assert isinstance(weight_map([record], {"run": [nothing]}, {"run": "x"}), LeftOut)


def test_runs_that_have_a_panel_and_runs_that_have_none(tmp_path):
    records = named_apart([read_record(made_run(tmp_path / part / "run")) for part in "abc"])
    laws = {name: [law(4, [0.0, 1.0], [0.5, 0.5])] for name in ("run", "run (3)")}
    drawing = score_map(records, laws, {"run (2)": "no completions were logged"})
    assert list(drawing.panels) == ["run", "run (3)"]
    assert drawing.caption.endswith("Not shown: run (2): no completions were logged.")
    assert drawing.columns[0] == "run"


def test_pass_curves_by_hand(record):
    """Before: 0, 1, 2, 4 right of 4."""
    drawing = pass_curves([record])
    rows = {(row[0], row[1]): row[2:] for row in drawing.rows}
    assert rows["before", 1][0] == pytest.approx(7 / 16)
    assert rows["before", 2][0] == pytest.approx((0 + 1 / 2 + 5 / 6 + 1) / 4)
    assert rows["after", 4][0] == 1.0
    interval = question_interval([0.0, 0.25, 0.5, 1.0])
    assert rows["before", 1][1:] == pytest.approx([interval.low, interval.high])
    assert "Not evaluated after training" not in drawing.caption


def test_a_run_that_was_not_evaluated_after_training(tmp_path):
    records = [read_record(made_run(tmp_path / "a", steps=7)), read_record(made_run(tmp_path / "b"))]
    assert pass_curves(records).caption.endswith(" Not evaluated after training: a.")
    for path in (tmp_path / "a" / "eval").iterdir():
        path.unlink()
    assert isinstance(pass_curves([read_record(tmp_path / "a")]), LeftOut)


def test_long_names_are_cut_in_legends():
    assert short("x" * 30) == "x" * 30
    assert short("x" * 31) == "x" * 29 + "…"


def test_a_name_is_no_formula(tmp_path):
    records = [read_record(made_run(tmp_path / name)) for name in (r"$\frac{1}{0}$", "b_$")]
    spec = Curves("reward", "t", "c", "s", (("reward", "r"),), "u")
    (figure,) = draw_curves(spec, records).panels.values()
    figure.draw_without_rendering()
    assert figure.legends[0].get_texts()[0].get_text() == r"$\frac{1}{0}$"
