"""The metrics file survives kills, Ctrl-C waits for a generation's end, and the live line says three numbers."""

import io
import json
import os
import signal
from types import SimpleNamespace

import pytest
from rich.console import Console

from riskpo.runs.callbacks import GentleStop, LiveLine, MetricsLog, describe


def state(step, main=True, last=100):
    return SimpleNamespace(global_step=step, is_world_process_zero=main, max_steps=last)


# --- metrics.jsonl ---


@pytest.fixture
def log(tmp_path):
    return MetricsLog(tmp_path / "metrics.jsonl")


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_a_line_a_log(log, tmp_path):
    log.on_train_begin(None, state(0), None)
    log.on_log(None, state(1), None, logs={"reward": 0.5})
    log.on_log(None, state(2), None, logs={"reward": float("nan")})
    log.on_log(None, state(2), None, logs={"train_runtime": 3.0})  # the trainer's own summary
    log.on_log(None, state(2), None, logs={})
    log.on_log(None, state(3, main=False), None, logs={"reward": 1.0})
    assert steps(tmp_path / "metrics.jsonl") == [1, 2]
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert list(row) == ["step", "time", "reward"]


@pytest.mark.parametrize("tail", ["", '{"step": 5, "rew', '{"step": 3, "time": 1.0}', "{"])
def test_a_resume_drops_what_the_lost_steps_wrote(log, tmp_path, tail):
    """Steps past the checkpoint go, and so does a half-written last line, even of a step that would stay."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, "reward": 0.5}) + "\n" for step in (1, 2, 3, 4)) + tail)
    log.on_train_begin(None, state(3), None)
    log.on_log(None, state(4), None, logs={"reward": 0.6})
    assert steps(path) == [1, 2, 3, 4]
    assert json.loads(path.read_text().splitlines()[-1])["reward"] == 0.6


def test_other_ranks_touch_nothing(log, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 9}\n')
    log.on_train_begin(None, state(0, main=False), None)
    assert steps(path) == [9]


# --- Ctrl-C ---


@pytest.fixture
def gentle():
    previous = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop = GentleStop(Console(file=io.StringIO()))
    stop.on_train_begin(None, state(0), None)
    yield stop
    stop.restore()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == previous


def ends(stop, step, last=100, batches=4, epoch=None):
    """Whether training ends after a step, where a generation feeds two steps; `epoch`: a stand-in for its batches."""
    args = SimpleNamespace(steps_per_generation=batches, num_iterations=1, gradient_accumulation_steps=2, device="cpu")
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    stop.on_step_end(args, state(step, last=last), control, train_dataloader=epoch)
    assert control.should_save == control.should_training_stop
    return control.should_save


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_at_the_end_of_a_generation(gentle, number):
    assert not ends(gentle, 2)
    os.kill(os.getpid(), number)
    assert "Stopping after this generation" in gentle._console.file.getvalue()
    assert not ends(gentle, 3)
    assert not gentle.stopped
    assert ends(gentle, 4)
    assert gentle.stopped


def test_generations_that_do_not_fill_whole_steps(gentle):
    """Three batches a generation, two a step: every third step ends with a generation. Epochs of nine batches take
    five steps, of which the last has one batch: step 5 ends the epoch, step 8 is the third of the next."""
    os.kill(os.getpid(), signal.SIGINT)
    assert [step for step in range(1, 10) if ends(gentle, step, batches=3)] == [3, 6, 9]
    assert [step for step in range(1, 10) if ends(gentle, step, batches=3, epoch=range(9))] == [3, 5, 8]


def test_it_is_said_in_one_line():
    """However narrow the terminal."""
    stop = GentleStop(Console(file=io.StringIO(), width=40))
    stop._ask(signal.SIGINT, None)
    assert len(stop._console.file.getvalue().strip().splitlines()) == 1


def test_a_second_time_stops_at_once(gentle):
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_asked_in_the_last_step(gentle):
    """The run is over anyway: it ends as finished, with its evaluation, not as stopped."""
    os.kill(os.getpid(), signal.SIGINT)
    assert not ends(gentle, 8, last=8)
    assert not gentle.stopped


# --- the live line ---


def test_describe():
    logs = {"reward": 0.5, "entropy": 1.23456, "risk/q_low": 0.25, "risk/q_high": 1.0, "loss": 3.0, "epoch": 1}
    assert describe(logs) == "reward 0.500  entropy 1.235  quantiles 0.25 1.00"
    assert describe({"entropy": 1.0}) == "entropy 1.000"
    assert describe({"loss": 3.0}) == ""


def test_lines_where_there_is_no_terminal():
    """About ten lines a run, and the last step."""
    console = Console(file=io.StringIO(), width=80)
    line = LiveLine(console)
    line.on_train_begin(None, state(0), None)
    for step in range(1, 101):
        line.on_log(None, state(step), None, logs={"reward": 0.25})
    line.on_log(None, state(100), None, logs={"train_runtime": 1.0})
    line.on_train_end(None, state(100), None)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "step 10/100  reward 0.250"
    assert [int(text.split("/")[0].removeprefix("step ")) for text in lines] == list(range(10, 101, 10))
