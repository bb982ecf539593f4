"""The command line's own manners: one line for an error, exit statuses, and flags that are not taken for recipes."""

import logging

import pytest

from riskpo import __version__
from riskpo.cli import main as cli
from riskpo.errors import DataError


@pytest.fixture
def planned(monkeypatch):
    """Stops a run once its arguments are known, and hands them over."""
    seen = []

    def stop(*arguments, **_):
        seen.append(arguments)
        raise DataError("enough")

    monkeypatch.setattr("riskpo.runs.arguments.plan_new", stop)
    monkeypatch.setattr("riskpo.runs.arguments.plan_resumed", stop)
    monkeypatch.setattr("riskpo.runs.recipes.engine_of", lambda *_: "trl")  # no such files
    return seen


@pytest.mark.parametrize(
    ("argv", "arguments"),
    [
        (["quickstart"], ("quickstart", None, [])),
        (["quickstart", "--max_steps", "5"], ("quickstart", None, ["--max_steps", "5"])),
        (["--config", "a.yaml", "--max_steps", "5"], (None, "a.yaml", ["--max_steps", "5"])),
        (["--config", "a.yaml", "--eval_ks", "1", "8", "--dry-run"], (None, "a.yaml", ["--eval_ks", "1", "8"])),
        (["--dry_run", "quickstart", "--seed=3"], ("quickstart", None, ["--seed=3"])),
    ],
)
def test_what_is_the_recipe(planned, argv, arguments):
    """A flag's value is no recipe, wherever it stands; the examples of --help parse as they read."""
    assert cli.main(["train", *argv]) == 2
    assert planned == [arguments]


def test_resume_takes_flags(planned):
    assert cli.main(["train", "--resume", "runs/a", "--max_steps", "600"]) == 2
    ((folder, flags),) = planned
    assert (str(folder), flags) == ("runs/a", ["--max_steps", "600"])


def test_errors_are_one_line(planned, capsys):
    assert cli.main(["train", "quickstart"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "riskpo: error: enough\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give either a recipe"),
        (["quickstart", "--max_stepz", "5"], "unknown option 'max_stepz'. Did you mean 'max_steps'?"),
        (["quickstart", "-x"], "unexpected argument '-x': options start with --."),
        (["quickstart", "--resume", "runs/a"], "--resume takes the recipe from the run's folder"),
        (["--config", "a.yaml", "--resume", "runs/a"], "--resume takes the recipe from the run's folder"),
        (["--resume", "/nowhere"], "/nowhere is not the folder of a run"),
    ],
)
def test_errors(capsys, argv, message):
    assert cli.main(["train", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A working folder with rows to train on, and the options of a step."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}\n' for n in range(10)))
    options = "dataset: rows.jsonl\nreward: exact\nnum_generations: 4\nper_device_train_batch_size: 40\n"
    (tmp_path / "mine.yaml").write_text(options + "use_cpu: true\nbf16: false\nmax_steps: 2\n")
    return ["train", "--config", "mine.yaml", "--dry-run", "--model_name_or_path"]


@pytest.mark.parametrize(
    ("model", "where"),
    [
        ("some/model", "some/model, to be looked up on the hub: there is no such folder here\n"),
        ("my-model", "my-model, to be looked up on the hub: there is no such folder here (a name without an owner"),
        ("builtin:chain-base", "builtin:chain-base, built in\n"),
    ],
)
def test_a_dry_run_says_where_the_model_is(rows, capsys, model, where):
    assert cli.main([*rows, model]) == 0
    said = capsys.readouterr().out
    assert f"\nmodel: {where}" in said
    assert "\nestimator: RiskPO, mvar(0.2, 0.8), B=5, random composition, random pairing, baseline anchor" in said
    assert said.endswith(
        "\nChecked: options, training set, the reward on its first rows. Not checked: whether the model loads and "
        "fits. Nothing was written.\n"
    )


def test_a_dry_run_says_what_an_update_is(capsys):
    assert cli.main(["train", "paper-hard", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "prompts per generation: 512, 4 updates of 128; max_steps 2000 are 500 generations, on 8 processes" in said


def test_a_dry_run_with_a_hub_data_set(rows, capsys):
    assert cli.main([*rows, "some/model", "--dataset", "some/data"]) == 0
    assert "\nChecked: options. Not checked: the hub data set, the reward on it, whether" in capsys.readouterr().out


@pytest.mark.parametrize(("flags", "level"), [([], logging.ERROR), (["--verbose"], logging.NOTSET)])
def test_hints_are_for_the_verbose(rows, flags, level):
    logger = logging.getLogger("riskpo.engines.trl.hints")
    logger.setLevel(logging.NOTSET)
    try:
        assert cli.main([*rows, "some/model", *flags]) == 0
        assert logger.level == level
    finally:
        logger.setLevel(logging.NOTSET)


def test_ctrl_c_outside_training(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("riskpo.runs.arguments.plan_new", interrupted)
    assert cli.main(["train", "quickstart"]) == 130
    assert "riskpo: stopped." in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "status"), [(["--version"], 0), ([], 2), (["trian"], 2), (["train", "--help"], 0)])
def test_exit_statuses(capsys, argv, status):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == status
    captured = capsys.readouterr()
    if argv == ["--version"]:
        assert captured.out == f"riskpo {__version__}\n"
    if argv == ["train", "--help"]:
        assert "riskpo train --config my.yaml --max_steps 100" in captured.out


def test_list_options(capsys):
    """Every option, of the run, of TRL and of the estimator, with a word on each."""
    assert cli.main(["train", "--list-options"]) == 0
    said = capsys.readouterr().out
    assert all(f"--{name}" in said for name in ("task_prompts", "learning_rate", "num_generations", "risk_low"))


def test_what_the_system_refuses_is_a_line(tmp_path, monkeypatch, capsys):
    from riskpo.cli import doctor

    def full(options, rest):
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(doctor, "run", full)
    assert cli.main(["doctor", "env"]) == 2
    assert capsys.readouterr().err == f"riskpo: error: No space left on device ({tmp_path / 'x'})\n"
