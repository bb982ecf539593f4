"""A run's options: recipe or YAML, then flags; what is misspelt is refused, what was given is written down."""

import pytest
import yaml

from riskpo.errors import ConfigError, MissingExtraError, ResumeError
from riskpo.runs.arguments import plan_new, plan_resumed
from riskpo.runs.ranges import check_machine
from riskpo.runs.recipes import recipes


def options(plan):
    """Every option of a plan, as plain values."""
    return {**vars(plan.model), **plan.training.to_dict(), **vars(plan.run)}


@pytest.fixture
def config(tmp_path):
    """Writes a YAML file of options, enough of them for a step of ten prompts."""

    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text("num_generations: 8\nper_device_train_batch_size: 80\nuse_cpu: true\nbf16: false\n" + text)
        return str(path)

    return write


# --- where options come from ---


def test_a_recipe():
    plan = plan_new("quickstart", None, [])
    assert plan.name == "quickstart"
    assert plan.run.task == "chain"
    assert plan.training.learning_rate == 6e-4
    assert plan.training.prompts_per_generation == 20
    assert plan.model.model_name_or_path == "builtin:chain-base"
    assert plan.explicit_dir is plan.checkpoint is None


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_resolves(recipe):
    plan = plan_new(recipe, None, [], dry=True)
    assert plan.settings["task"] == plan.run.task
    assert "use_cpu" in plan.settings or plan.run.processes


@pytest.mark.parametrize(
    ("recipe", "processes", "prompts", "responses", "minibatch", "steps"),
    [
        # The first two as released: scripts/run_qwen2.5_1.5b_MVaR_dapomath.sh and ..._math.sh of the authors' code.
        ("paper-hard", 8, 512, 10, 128, 500),
        ("paper-easy", 4, 1024, 5, 512, 200),
        ("paper-code", 8, 160, 8, 80, 300),
        ("paper-geometry3k", 4, 160, 8, 80, 200),
    ],
)
def test_the_paper_s_recipes_have_these_sizes(recipe, processes, prompts, responses, minibatch, steps):
    plan = plan_new(recipe, None, [], dry=True)
    training = plan.training
    updates = training.steps_per_generation // training.gradient_accumulation_steps
    assert plan.run.processes == processes
    assert (training.prompts_per_generation, training.num_generations) == (prompts, responses)
    assert prompts // updates == minibatch
    assert training.max_steps // updates == steps
    assert (training.learning_rate, training.beta, training.epsilon) == (1e-6, 0.0, 0.2)
    assert (training.risk_config.risk_low, training.risk_config.risk_high) == (0.2, 0.8)
    assert training.save_steps % updates == 0
    assert training.vllm_importance_sampling_correction is False
    assert plan.notes == ("looked at without a GPU: there is none here",)


def test_sizes_that_are_meant_for_several_processes():
    flags = ["--processes", "4", "--use_cpu", "true", "--bf16", "false", "--use_vllm", "false"]
    plan = plan_new("paper-easy", None, flags)
    assert plan.training.prompts_per_generation == 1024
    with pytest.raises(ConfigError, match=r"meant for 4 processes, and 1 is running: .*--num_processes 4"):
        check_machine(plan)
    with pytest.raises(ConfigError, match="cannot fill a bundle of 2000"):
        plan_new("paper-easy", None, [*flags, "--bundle_size", "2000"])
    alone = plan_new("paper-easy", None, ["--processes", "1", *flags[2:]])
    assert alone.training.prompts_per_generation == 256
    check_machine(alone)


def test_vllm_is_missed_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    flags = ["--processes", "1", "--use_cpu", "true", "--bf16", "false"]
    with pytest.raises(MissingExtraError, match=r"pip install \"riskpo\[vllm\]\""):
        check_machine(plan_new("paper-easy", None, flags))


def test_yaml_and_its_types(config):
    """`6e-4` is text to YAML 1.1, which everyone writes anyway."""
    plan = plan_new(None, config("learning_rate: 6e-4\neval_ks: [1, 4]\noutput_dir: here\ndataset: a.jsonl"), [])
    assert plan.name == "mine"
    assert plan.training.learning_rate == 6e-4
    assert plan.run.eval_ks == [1, 4]
    assert str(plan.explicit_dir) == "here"
    assert "output_dir" not in plan.settings


def test_flags_override():
    flags = [
        "--learning-rate=1e-3",
        "--max_steps",
        "7",
        "--eval_ks",
        "1",
        "2",
        "--no_shuffle_dataset",
        "--preset",
        "paper",
    ]
    plan = plan_new("quickstart", None, flags)
    assert (plan.training.learning_rate, plan.training.max_steps, plan.run.eval_ks) == (1e-3, 7, [1, 2])
    assert plan.training.shuffle_dataset is False
    given = {"learning_rate": 1e-3, "max_steps": 7, "eval_ks": [1, 2], "shuffle_dataset": False, "preset": "paper"}
    assert plan.settings.items() >= given.items()
    assert plan.training.risk_config.pairing == "random"


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--lr_scheduler_type", "cosine", "--save_strategy", "no", "--optim", "sgd"],
        ["--accelerator_config", '{"split_batches": true}', "--lr_scheduler_kwargs", '{"a": 1}'],
        ["--report_to", "none", "--no_shuffle_dataset", "--use_peft", "--lora_target_modules", "q", "k"],
        ["--measure", "custom", "--spectrum_levels", "0.2", "--spectrum_weights", "1.5", "0.5"],
        ["--gradient_checkpointing", "true", "--dtype", "bfloat16", "--save_steps", "0.5"],
    ],
)
def test_the_settings_repeat_the_run(tmp_path, flags):
    """What goes into config.yaml gives the same options again: enumerations and objects are written as plain values."""
    plan = plan_new("quickstart", None, flags)
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(plan.settings))
    assert options(plan_new(None, str(path), [])) == options(plan)


# --- what is refused ---


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max_stepz", "5"], "unknown option 'max_stepz'. Did you mean 'max_steps'?"),
        (["--bogus-flag", "5"], "unknown option 'bogus_flag'. All of them: riskpo train --list-options."),
        (["--no_dry_run"], "unknown option 'dry_run'. All of them"),
        (["--max_step", "5"], "unknown option 'max_step'. Did you mean 'max_steps'?"),  # no abbreviations
        (["--max_steps", "many"], "invalid int value: 'many'"),
        (["--max_steps"], "argument --max_steps/--max-steps: expected one argument"),
        (["--use_cpu", "maybe"], "Truthy value expected: got maybe"),
        (["--preset", "papr"], "unknown preset 'papr'. Did you mean 'paper'?"),
        (["--scale_rewards", "group"], "undoes the risk measure"),
        (["--num_generations", "7"], "generation_batch_size (160) must be divisible by num_generations (7)"),
        (["--bundle_size", "21"], "one generation holds 20 prompts"),
        (["--lr_scheduler_type", "cosin"], "invalid choice: 'cosin'"),
        (["--max_steps", "5", "quickstart"], "unexpected arguments ['quickstart']"),
        (["--no_bf16"], "unexpected arguments ['--no_bf16']"),
        (["-x"], "unexpected arguments ['-x']"),
    ],
)
def test_wrong_flags(flags, message):
    with pytest.raises(ConfigError) as caught:
        plan_new("quickstart", None, flags)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_stepz: 5", "unknown option 'max_stepz'. Did you mean 'max_steps'?"),
        ("no_shuffle_dataset: true", "unknown option 'no_shuffle_dataset'. Did you mean 'shuffle_dataset'?"),
        ("learning_rate: [1, 2]", "learning_rate takes a single value, got the list [1, 2]"),
        ("max_steps: {a: 1}", "max_steps takes a single value, got the mapping {'a': 1}"),
        ("accelerator_config: [1]", "accelerator_config takes a single value, got the list [1]"),
        ("num_generations: 1", "num_generations=1: each prompt needs at least 2 responses"),
        ("learning_rate: fast", "invalid float value: 'fast'"),
        ("lr_scheduler_type: cosin", "cosin is not a valid SchedulerType"),
        ("5: 6", "unknown option 5."),
        ("a: [", "is not valid YAML"),
        ("measure: cvr", "unknown `measure` 'cvr'. Did you mean 'cvar'?"),
    ],
)
def test_wrong_files(config, text, message):
    with pytest.raises(ConfigError) as caught:
        plan_new(None, config(text), [])
    assert message in str(caught.value)


def test_a_file_that_is_no_mapping(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match=r"list\.yaml must hold a mapping of options, got list"):
        plan_new(None, str(tmp_path / "list.yaml"), [])


@pytest.mark.parametrize(
    ("recipe", "config", "message"),
    [
        (None, None, r"give either a recipe \(.*quickstart.*\) or --config FILE"),
        ("quickstart", "a.yaml", "give either a recipe"),
        ("quickstrat", None, r"unknown recipe 'quickstrat'\. Did you mean 'quickstart'\?.*Your own file: --config"),
        (None, "nowhere.yaml", r"the configuration file nowhere\.yaml does not exist"),
    ],
)
def test_wrong_sources(recipe, config, message):
    with pytest.raises(ConfigError, match=message):
        plan_new(recipe, config, [])


# --- resuming ---


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "quick"
    (folder / "checkpoint-4").mkdir(parents=True)
    (folder / "checkpoint-4" / "trainer_state.json").write_text("{}")
    (folder / "config.yaml").write_text(yaml.safe_dump(plan_new("quickstart", None, ["--seed", "3"]).settings))
    return folder


def test_resumed(run_dir):
    plan = plan_resumed(run_dir, ["--max_steps", "600", "--logging-steps=5"])
    assert (plan.name, plan.explicit_dir, plan.checkpoint) == ("quick", run_dir, run_dir / "checkpoint-4")
    assert (plan.training.seed, plan.training.max_steps, plan.training.logging_steps) == (3, 600, 5)
    assert plan.training.output_dir == str(run_dir)


def test_a_resumed_run_stays_the_same_run(run_dir):
    with pytest.raises(ResumeError, match=r"^learning_rate, risk_low cannot change when a run is resumed.*max_steps"):
        plan_resumed(run_dir, ["--risk_low", "0.1", "--learning-rate", "1", "--max_steps", "9"])


def keep(folder, *flags):
    """Makes the folder that of a run with these flags."""
    (folder / "config.yaml").write_text(yaml.safe_dump(plan_new("quickstart", None, [*flags]).settings))


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--lr_scheduler_type", "linear"], r"its learning rate \(lr_scheduler_type linear\) follows the share"),
        (["--lr_scheduler_type", "cosine"], r"its learning rate \(lr_scheduler_type cosine\) follows the share"),
        (["--lr_scheduler_type", "constant_with_warmup", "--warmup_steps", "0.1"], r"its warm-up is a share \(0\.1\)"),
        (["--preset", "two-level"], "the options of its `schedule` follow the share"),
    ],
)
def test_a_length_that_the_run_depends_on(run_dir, flags, reason):
    """Steps before the end would be other ones. The length it has, and everything else, passes."""
    keep(run_dir, *flags)
    with pytest.raises(ResumeError, match=f"^max_steps cannot change when this run is resumed: {reason}"):
        plan_resumed(run_dir, ["--max_steps", "600"])
    assert plan_resumed(run_dir, ["--max_steps", "500", "--save_steps", "4"]).training.max_steps == 500


def test_a_length_that_the_run_does_not_depend_on(run_dir):
    keep(run_dir, "--lr_scheduler_type", "constant_with_warmup", "--warmup_steps", "3")
    assert plan_resumed(run_dir, ["--max_steps", "600"]).training.max_steps == 600


def test_checkpoints_within_a_generation_are_passed_over(run_dir):
    """A generation of the quickstart feeds two steps; the engine also saves at the end, wherever that is."""
    for step in (6, 7):
        (run_dir / f"checkpoint-{step}").mkdir()
        (run_dir / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    plan = plan_resumed(run_dir, [])
    assert plan.checkpoint.name == "checkpoint-6"
    assert len(plan.notes) == 1
    assert "checkpoint-7 was saved in the middle of a generation" in plan.notes[0]


def test_no_run_to_resume(tmp_path):
    with pytest.raises(ResumeError, match="is not the folder of a run"):
        plan_resumed(tmp_path, [])


# --- an estimator beside a recipe's preset ---


@pytest.mark.parametrize("flag", [["--estimator", "maxrl"], ["--estimator=maxrl"]])
def test_an_estimator_by_flag_replaces_the_preset_of_the_recipe(flag):
    """The quickstart's preset is of another estimator: a flag wins over the file, and the run's settings say so."""
    plan = plan_new("quickstart", None, flag)
    assert plan.training.risk_config.estimator == "maxrl"
    assert plan.settings["estimator"] == "maxrl"
    assert "preset" not in plan.settings


def test_the_preset_s_own_estimator_keeps_it():
    plan = plan_new("quickstart", None, ["--estimator", "riskpo"])
    assert plan.training.risk_config.pairing == "exact"


def test_a_preset_and_an_estimator_that_disagree_by_flag_are_an_error():
    with pytest.raises(ConfigError, match="preset 'sorted' is of estimator 'riskpo', but estimator='grpo' was given"):
        plan_new("quickstart", None, ["--preset", "sorted", "--estimator", "grpo"])
