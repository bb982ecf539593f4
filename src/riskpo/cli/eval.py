"""`riskpo eval`: sample a model on benchmarks, judge the answers, and say how well the scores are known."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from riskpo.cli.quiet import quieten

EPILOG = """\
examples:
  riskpo eval runs/quickstart/model --tasks chain --samples 32 --max_new_tokens 24
  riskpo eval Qwen/Qwen2.5-1.5B --tasks gsm8k,math500 --samples 8 --temperature 0.6 --top_p 0.95
  riskpo eval builtin:smollm2-135m-instruct --dataset mine.jsonl --reward math --limit 200
  riskpo eval MODEL --tasks aime24 --samples 64 --backend vllm
  riskpo eval --compare evals/after-1a2b3c4d evals/before-5e6f7a8b    is the one better than the other?

The same command again goes on where it was killed, and says so where nothing is missing. Another command, even with
another seed, gets another folder.
"""

_OF_TASKS = ("split", "data_dir", "data_file", "dataset_revision", "template", "system_prompt")


def add_parser(verbs: Any, name: str) -> None:
    """Adds the verb to the command line."""
    parser = verbs.add_parser(
        name,
        help="evaluate a model",
        description="Sample a model on benchmarks or a file of questions; pass@k and avg@n with intervals.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="a folder, a hub id, or builtin:NAME")
    add(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        type=Path,
        help="instead of a model: the folders of two evaluations, paired by question",
    )
    add("--json", metavar="FILE", type=Path, help="of --compare: also write everything that was computed")
    asked = parser.add_argument_group("what is asked")
    asked.add_argument("--tasks", metavar="A,B,...", help="tasks by name")
    asked.add_argument("--dataset", metavar="FILE", help="questions of your own: columns prompt and answer")
    asked.add_argument("--reward", metavar="NAME", help="of --dataset: built-in, or package.module:function")
    asked.add_argument("--split", help="of the tasks (default: test, or the only one)")
    asked.add_argument(
        "--data_dir", "--data-dir", metavar="DIR", help="folder with the tasks' data files; else the hub"
    )
    asked.add_argument("--data_file", "--data-file", metavar="FILE", help="the data file of the one task")
    asked.add_argument(
        "--dataset_revision", "--dataset-revision", metavar="REV", help="of the tasks' data sets on the hub"
    )
    asked.add_argument("--template", metavar="NAME", help="prompt template of the tasks (default: each its own)")
    asked.add_argument(
        "--system_prompt", "--system-prompt", metavar="TEXT", help="instead of the template's; empty: none"
    )
    asked.add_argument(
        "--limit", metavar="N", type=int, default=0, help="ask N questions a task, drawn at random (default: all)"
    )
    asked.add_argument("--limit_seed", "--limit-seed", metavar="N", type=int, default=0, help="of that draw")
    drawn = parser.add_argument_group("how completions are drawn")
    drawn.add_argument("--samples", metavar="N", type=int, default=1, help="of each question (default: 1)")
    drawn.add_argument("--ks", metavar="K", type=int, nargs="+", default=[], help="of pass@k (default: 1, 2, 4, ...)")
    drawn.add_argument("--max_new_tokens", "--max-new-tokens", metavar="N", type=int, default=1024)
    drawn.add_argument(
        "--temperature", metavar="T", type=float, default=1.0, help="0: the likeliest token (default: 1)"
    )
    drawn.add_argument("--top_p", "--top-p", metavar="P", type=float, default=1.0)
    drawn.add_argument("--top_k", "--top-k", metavar="K", type=int, default=0, help="0: no limit")
    drawn.add_argument("--seed", type=int, default=0, help="of the sampling (default: 0)")
    how = parser.add_argument_group("model and machine")
    how.add_argument("--backend", choices=("transformers", "vllm"), default="transformers")
    how.add_argument("--batch_size", "--batch-size", metavar="N", type=int, default=0, help="sequences in a batch")
    how.add_argument("--dtype", default="auto", help="as the model says (auto), float32, bfloat16, ...")
    how.add_argument("--device", default="auto", help="of the transformers backend: auto, cpu, cuda, ...")
    how.add_argument("--revision", help="of a model on a hub")
    how.add_argument(
        "--chat_template_kwargs",
        "--chat-template-kwargs",
        metavar="JSON",
        default="{}",
        help="for the chat template, e.g. '{\"enable_thinking\": false}'",
    )
    how.add_argument(
        "--vllm_options",
        "--vllm-options",
        metavar="JSON",
        default="{}",
        help='further arguments of vllm.LLM, e.g. \'{"tensor_parallel_size": 2, "max_model_len": 8192}\'',
    )
    how.add_argument("--verbose", action="store_true", help="show the warnings of the libraries underneath")
    how.add_argument("--output_dir", "--output-dir", metavar="DIR", type=Path, help="default: evals/MODEL-DIGEST")
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Runs the verb. Returns the exit status."""
    from riskpo.errors import ConfigError, unknown_name

    if flags:
        known = [f"--{name}" for name in vars(options) if name not in ("model", "verb", "parser")]
        raise ConfigError(unknown_name("option", flags[0].split("=")[0], known))
    if options.json is not None and (not options.compare or not options.json.parent.is_dir()):
        raise ConfigError(f"--json {options.json} is for --compare, and its folder must exist.")
    if options.compare and (options.model or options.tasks or options.dataset):
        raise ConfigError("--compare takes the folders of two evaluations, and no model, tasks or data set.")
    if options.compare:
        taken = ("compare", "json", "ks", "verbose", "model", "verb", "parser")
        ignored = [n for n, v in vars(options).items() if n not in taken and v != options.parser.get_default(n)]
        if ignored:
            raise ConfigError(f"--{ignored[0]} says how a model is evaluated: --compare reads what was evaluated.")
        return _compare(options)
    if options.model is None:
        raise ConfigError("give a model, or two evaluations with --compare: see riskpo eval --help.")
    if bool(options.tasks) == bool(options.dataset):
        raise ConfigError("give either --tasks (riskpo tasks lists them) or --dataset with --reward.")
    if options.limit < 0:
        raise ConfigError(f"--limit must be at least 0 (all questions), got {options.limit}.")
    if bool(options.dataset) != bool(options.reward):
        raise ConfigError("--dataset and --reward go together; a task brings its own scorer.")
    of_tasks = [name for name in _OF_TASKS if getattr(options, name) is not None]
    if options.dataset and of_tasks:
        raise ConfigError(f"--{of_tasks[0]} is of --tasks; a file of your own is asked as it is.")
    if not options.verbose:
        quieten()
    from rich.console import Console

    from riskpo.evaluation.session import run_evaluation
    from riskpo.reports.evaluation import print_evaluation

    console = Console()
    plan = _plan(options)
    for questions in plan.sets:
        for note in questions.about.get("notes", []):
            said = note if str(note).startswith(questions.name) else f"{questions.name}: {note}"
            console.print(said, highlight=False, markup=False, soft_wrap=True)
    with _Live(console) as live:
        folder, results = run_evaluation(plan, say=live.say, progress=live.show)
    print_evaluation(results, console)
    console.print(f"{folder}: results.json, samples/", highlight=False, markup=False, soft_wrap=True)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from rich.console import Console

    from riskpo.atomic import write_json
    from riskpo.evaluation.results import compare_folders
    from riskpo.reports.evaluation import print_comparison

    first, second = options.compare
    found, notes = compare_folders(first, second, options.ks or [1])
    print_comparison(found, notes, Console())
    if options.json is not None:
        write_json(options.json, {"notes": notes, **{metric: one.as_dict() for metric, one in found.items()}})
    return 0


def _mapping(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """The value of an option that is a JSON object."""
    from riskpo.errors import ConfigError

    text = getattr(options, name)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--{name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"--{name} takes a JSON object, got {text}.")
    return found


def _plan(options: argparse.Namespace) -> Any:
    from riskpo.evaluation.backends import Sampling
    from riskpo.evaluation.session import EvalPlan

    return EvalPlan(
        model=options.model,
        sets=tuple(_sets(options)),
        samples=options.samples,
        ks=tuple(options.ks),
        sampling=Sampling(options.max_new_tokens, options.temperature, options.top_p, options.top_k),
        seed=options.seed,
        batch_size=options.batch_size,
        backend=options.backend,
        dtype=options.dtype,
        device=options.device,
        revision=options.revision,
        chat_template_kwargs=_mapping(options, "chat_template_kwargs"),
        vllm_options=_mapping(options, "vllm_options"),
        folder=options.output_dir,
    )


def _sets(options: argparse.Namespace) -> list[Any]:
    from riskpo.evaluation.sets import own_set, task_sets
    from riskpo.tasks.asked import Asking

    limits = {"limit": options.limit, "limit_seed": options.limit_seed}
    if options.dataset:
        return [own_set(options.dataset, options.reward, **limits)]
    asking = Asking(
        options.data_file, options.data_dir, options.dataset_revision, options.template, options.system_prompt
    )
    return task_sets(
        [name.strip() for name in options.tasks.split(",") if name.strip()], options.split, asking, **limits
    )


class _Live:
    """A bar in a terminal; elsewhere a line every half minute."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.console = console
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.rows: dict[str, Any] = {}
        self.last = float("-inf")

    def __enter__(self) -> _Live:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(self, name: str, state: Any) -> None:
        import time

        note = f"{state.done}/{state.total} samples"
        if state.remaining is not None:
            pace = state.tokens / max(state.seconds, 1e-9)
            note += f", {pace:.0f} tokens/s, about {_duration(state.remaining)} left"
        if self.console.is_terminal:
            if name not in self.rows:
                self.rows[name] = self.bar.add_task(name, total=state.total, note=note)
            self.bar.update(self.rows[name], completed=state.done, note=note)
        elif time.monotonic() - self.last > 30 or state.done == state.total:
            self.last = time.monotonic()
            self.say(f"{name}: {note}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
