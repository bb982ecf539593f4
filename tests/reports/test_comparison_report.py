"""The report of a comparison from numbers that are made up: its figure, its tables."""

import io

import numpy as np
import pytest
from matplotlib.ticker import MaxNLocator
from rich.console import Console

from riskpo.atomic import read_json
from riskpo.comparison.conclude import conclude
from riskpo.comparison.results import RunResult
from riskpo.reports.comparison import (
    FILES,
    comparison_figure,
    markdown,
    print_comparison_of_estimators,
    write_comparison,
)
from riskpo.reports.figures import save_figure


def entry(curve=(), low=(), high=(), score=None, done=(0, 1)):
    steps = list(range(1, len(curve) + 1))
    one = {"steps": steps, "mean": list(curve), "low": list(low), "high": list(high)}
    scores = {} if score is None else {"pass@1": {"mean": score, "low": score - 0.1, "high": score + 0.1}}
    for found in scores.values():
        found["source"] = "runs"
    return {
        "method": "some method",
        "learning_rate": "0.1",
        "done": list(done),
        "entropy": 0.5,
        "scores": scores,
        "curves": {"reward": one, "entropy": one},
    }


def summary(entries, contrasts=(), sentences=()):
    return {
        "recipe": "made-up",
        "baseline": "a",
        "scores": ["pass@1"],
        "prompts": 2,
        "samples": 10,
        "before": {"pass@1": 0.2},
        "entries": entries,
        "tuning": None,
        "contrasts": {"pass@1": list(contrasts)},
        "sentences": list(sentences),
        "notes": [],
    }


def test_equal_curves_are_both_seen():
    """Three entries with one curve: each of the three colours is found in the drawing, in both panels of curves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    curve = [1 - 0.9**step for step in range(60)]
    figure = comparison_figure(summary({name: entry(curve) for name in "abc"}))
    for axis in figure.axes[:2]:
        lines = axis.get_lines()
        widths = [line.get_linewidth() for line in lines]
        assert widths == sorted(set(widths), reverse=True)
        assert len({line.get_marker() for line in lines}) == 3
    for axis in figure.axes:
        if axis.get_legend() is not None:
            axis.get_legend().remove()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    expected = [(0x77, 0x77, 0x77), (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)]
    for color in expected:
        near = np.abs(pixels - np.array(color)).sum(axis=-1) < 90
        assert near.sum() > 100, color


def test_ticks_of_steps_are_whole_numbers():
    figure = comparison_figure(summary({"a": entry([0.1, 0.2, 0.3])}))
    for axis in figure.axes[:2]:
        assert isinstance(axis.xaxis.get_major_locator(), MaxNLocator)
        assert all(float(tick).is_integer() for tick in axis.get_xticks())


@pytest.mark.parametrize("entries", [{"a": entry()}, {"a": entry(done=())}, {"a": entry([0.5], score=0.4)}])
def test_little_is_there(entries):
    assert len(comparison_figure(summary(entries)).axes) == 3


def test_files_are_whole(tmp_path, monkeypatch):
    """A figure that fails half-way leaves the old one, and nothing beside it."""
    write_comparison(summary({"a": entry([0.1, 0.2], score=0.5)}), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert read_json(tmp_path / FILES[0])["recipe"] == "made-up"
    before = (tmp_path / FILES[2]).read_bytes()
    assert before.startswith(b"\x89PNG")

    class Broken:
        def savefig(self, file, **options):
            file.write(b"half")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        save_figure(Broken(), tmp_path / FILES[2], 100)
    assert (tmp_path / FILES[2]).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_no_test_is_a_dash():
    """Differences that are all alike: no p in JSON, a dash in the tables, no number in the sentence."""

    def runs(*scores):
        return [RunResult(seed, (one,), 20, 0.5, 0.0, (one,), {}, {}) for seed, one in enumerate(scores)]

    (found,) = conclude({"a": runs(10, 11), "b": runs(12, 13)}, "a", [1])["pass@1"]
    made = summary({"a": entry(score=0.5), "b": entry(score=0.6)}, [found.as_dict()], [found.sentence])
    assert (made["contrasts"]["pass@1"][0]["p"], made["contrasts"]["pass@1"][0]["p_holm"]) == (None, None)
    assert "| b | pass@1 | 2 seeds | +0.100 | - | - | - |" in markdown(made)
    assert "p =" not in found.sentence
    console = Console(file=io.StringIO(), width=120)
    print_comparison_of_estimators(made, console)
    assert "no test is possible" in console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_of_usual_width_shows_every_label_and_number(width):
    """Three scores with their intervals beside labels, learning rates and entropy."""
    made = summary({"lr02": entry(score=0.859), "estimator-long": entry(score=0.873)})
    made["scores"] = ["pass@1", "pass@8", "pass@32"]
    made["before"] = dict.fromkeys(made["scores"], 0.174)
    made["contrasts"] = {score: [] for score in made["scores"]}
    for one in made["entries"].values():
        one["learning_rate"] = "0.0006"
        one["scores"] = dict.fromkeys(made["scores"], one["scores"]["pass@1"])
    console = Console(file=io.StringIO(), width=width)
    print_comparison_of_estimators(made, console)
    said = console.file.getvalue()
    assert all(word in said for word in ("lr02", "before", "0.0006", "entropy", "0.500"))
    assert ("estimator-long" if width > 80 else "estima") in said  # folded where there is no room
    assert said.count("[0.759, 0.959]") == 3
    assert said.count("[0.773, 0.973]") == 3
    assert "…" not in said
