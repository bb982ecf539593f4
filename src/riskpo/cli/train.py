"""`riskpo train`: post-train a model from a recipe, a YAML file, or where an earlier run stopped."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riskpo.cli.quiet import quieten
from riskpo.extras import is_installed

EPILOG = """\
examples:
  riskpo train quickstart                          the built-in task and model, a few minutes on two cores
  riskpo train quickstart --preset paper --learning_rate 2e-4
  riskpo train --config my.yaml --max_steps 100    your own data and model (see docs/own-data.md)
  riskpo train --resume runs/quickstart            go on from the last checkpoint
  riskpo train quickstart --dry-run                check options, data and reward, touch nothing
  riskpo train paper-hard --engine verl            the same recipe on a Ray cluster (docs/engines.md)
  riskpo train paper-hard --engine verl -- actor_rollout_ref.rollout.max_num_seqs=512
  riskpo train paper-hard --launch fsdp2 --processes 8      on 8 GPUs, the model in shards (see docs/multi-gpu.md)

Every field of RiskPOConfig (and so of TRL's GRPOConfig and Transformers' TrainingArguments) and of TRL's ModelConfig is
a flag; --list-options prints them all.
"""


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        usage="riskpo train [RECIPE | --config FILE | --resume RUN] [--dry-run] [--list-options] [--OPTION VALUE ...]",
        help="post-train a model",
        description="Post-train a model from a packaged recipe, a YAML file, or where an earlier run stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="a YAML file of options")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="the folder of the run to go on with")
    parser.add_argument(
        "--dry-run", "--dry_run", action="store_true", help="check options, data and reward, touch nothing"
    )
    parser.add_argument(
        "--list-options", "--list_options", action="store_true", help="print every option with its meaning, and leave"
    )
    parser.add_argument("--verbose", action="store_true", help="show the warnings of the libraries underneath")


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status."""
    from riskpo.errors import ConfigError
    from riskpo.runs.recipes import engine_of, flag_value

    if options.list_options:
        return _list_verl_options() if flag_value(flags, "engine") == "verl" else _list_options()
    recipe, flags = recipe_and_flags(flags)
    if options.resume is not None and (recipe or options.config):
        raise ConfigError("--resume takes the recipe from the run's folder: give no recipe and no --config with it.")
    if not options.verbose:
        quieten()
    from rich.console import Console

    if engine_of(recipe, options.config, options.resume, flags) == "verl":
        return _run_verl(options, recipe, flags)
    from riskpo.runs.arguments import plan_new, plan_resumed
    from riskpo.runs.launching import check_devices, launched, start
    from riskpo.runs.session import check, execute

    console = Console()
    if options.resume is not None:
        plan = plan_resumed(options.resume, flags)
    else:
        plan = plan_new(recipe, options.config, flags, dry=options.dry_run)
    inputs = check(plan)
    if options.dry_run:
        _print_plan(plan, inputs, console, _arguments(options, recipe, flags))
        return 0
    if plan.run.launch is not None and not launched():
        check_devices(plan)
        return start(plan.run.launch, plan.run.processes, _arguments(options, recipe, flags))
    return execute(plan, inputs, console)


def _run_verl(options: argparse.Namespace, recipe: str | None, flags: Sequence[str]) -> int:
    from rich.console import Console

    from riskpo.runs.recipes import read_recipe
    from riskpo.runs.verl_plan import plan_verl, resume_verl
    from riskpo.runs.verl_session import check_verl, execute_verl

    console = Console()
    if options.resume is not None:
        plan = resume_verl(options.resume, flags)
    else:
        plan = plan_verl(*read_recipe(recipe, options.config), flags)
    inputs = check_verl(plan)
    if options.dry_run:
        _print_verl(plan, inputs, console)
        return 0
    return execute_verl(plan, inputs, console)


def _print_verl(plan: Any, inputs: Any, console: Any) -> None:
    from pathlib import Path

    from riskpo.engines.verl.compose import compose
    from riskpo.extras import is_installed
    from riskpo.reports.describe import describe_estimator
    from riskpo.runs.verl_session import command_of, in_words

    folder = plan.explicit_dir or Path(plan.run.runs_dir) / plan.name
    rows = "a hub data set, not looked at" if inputs.train is None else f"{len(inputs.train)} prompts"
    data = f"training set: {rows}; held out: {len(inputs.held_out)} prompts"
    if plan.checkpoint is not None:
        data = "data: the run's own, in its folder"
    sizes = plan.sizes
    lines = [
        in_words(command_of(plan, inputs, folder)),
        "",
        data,
        f"prompts per step: {sizes.prompts}, {sizes.updates} updates of {sizes.mini_batch}; on {plan.run.processes} "
        f"processes, {plan.run.nodes} machines",
        f"estimator: {describe_estimator(plan.training.risk_config)}",
        *(f"note: {note}" for note in inputs.notes),
        "Checked: options, and where at hand training set, reward and verl's configuration. Nothing was written.",
    ]
    if is_installed("verl"):
        compose(plan.overrides(folder, inputs.reward))
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def recipe_and_flags(flags: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The recipe, if one was named, and the engine's flags.

    The recipe is no positional of argparse: that would take the value of an engine's flag for it.

    Raises:
        ConfigError: a second argument that is no flag.
    """
    from riskpo.errors import ConfigError

    recipe, flags = (flags[0], flags[1:]) if flags and not flags[0].startswith("-") else (None, flags)
    if flags and not flags[0].startswith("--"):
        raise ConfigError(f"unexpected argument {flags[0]!r}: options start with --.")
    return recipe, flags


def _arguments(options: argparse.Namespace, recipe: str | None, flags: Sequence[str]) -> list[str]:
    """The command line again, as each process of a launcher gets it."""
    given = [] if recipe is None else [recipe]
    for name, value in (("--config", options.config), ("--resume", options.resume)):
        given += [] if value is None else [name, str(value)]
    return ["train", *given, *(["--verbose"] if options.verbose else []), *flags]


def _print_plan(plan: Any, inputs: Any, console: Any, arguments: Sequence[str]) -> None:
    import yaml

    from riskpo.models.registry import describe_model
    from riskpo.reports.describe import describe_estimator
    from riskpo.runs.launching import launch_command

    console.print(yaml.safe_dump(plan.settings, sort_keys=False), highlight=False, end="", markup=False)
    launch = plan.run.launch
    rows = "a hub data set, not looked at" if inputs.train is None else f"{len(inputs.train)} prompts"
    lines = [
        f"model: {describe_model(plan.model.model_name_or_path)}",
        f"training set: {rows}; held out: {len(inputs.held_out)} prompts",
        _sizes(plan),
        *(['vLLM is not installed here: pip install "riskpo[vllm]"'] if _lacks_vllm(plan) else []),
        *([f"starts: {shlex.join(launch_command(launch, plan.run.processes, arguments))}"] if launch else []),
        f"estimator: {describe_estimator(plan.training.risk_config)}",
        *(f"note: {note}" for note in (*plan.notes, *inputs.notes)),
        f"Checked: {', '.join(['options', *inputs.checked])}. Not checked: {', '.join(inputs.unchecked)}. Nothing was "
        "written.",
    ]
    console.print("\n" + "\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _lacks_vllm(plan: Any) -> bool:
    return bool(plan.training.use_vllm) and not is_installed("vllm")


def _sizes(plan: Any) -> str:
    """What a generation and an update hold; `max_steps` counts updates."""
    training = plan.training
    updates = training.steps_per_generation * training.num_iterations / training.gradient_accumulation_steps
    said = f"prompts per step: {training.prompts_per_generation}"
    if updates != 1:
        each = training.prompts_per_generation * training.num_iterations / updates
        said = f"prompts per generation: {training.prompts_per_generation}, {updates:g} updates of {each:g}"
        if training.max_steps > 0:
            said += f"; max_steps {training.max_steps} are {training.max_steps / updates:g} generations"
    return said + (f", on {plan.run.processes} processes" if plan.run.processes else "")


def _list_options() -> int:
    from trl import ModelConfig, TrlParser

    from riskpo.engines.trl_config import RiskPOConfig
    from riskpo.runs.run_arguments import RunArguments

    TrlParser([RunArguments, RiskPOConfig, ModelConfig], prog="riskpo train RECIPE").print_help()
    return 0


def _list_verl_options() -> int:
    from dataclasses import fields

    from riskpo.engines.options import RISK_OPTIONS
    from riskpo.engines.verl.training import VerlTraining
    from riskpo.runs.run_arguments import RunArguments

    print("options of a run (riskpo train RECIPE --engine verl):")
    for option in fields(RunArguments):
        print(f"  --{option.name:28} {option.metadata['help']}")
    print("\noptions of the engine, by the names and with the defaults of TRL:")
    for option in fields(VerlTraining):
        if option.name != "risk":
            print(f"  --{option.name:28} {option.default}")
    print(f"\noptions of the estimator (docs/method.md): {', '.join(RISK_OPTIONS)}")
    print("\nWhat follows `--` are overrides of verl's own configuration, key=value.")
    return 0
