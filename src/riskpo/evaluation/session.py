"""An evaluation from the command line: questions, model, folder, samples, results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json, write_json
from riskpo.errors import ConfigError
from riskpo.evaluation.backends import Backend, Sampling
from riskpo.evaluation.folder import check_folder, default_folder, fingerprint, locked, take_folder
from riskpo.evaluation.questions import QuestionSet
from riskpo.evaluation.records import read_records
from riskpo.evaluation.results import check_ks, default_ks, task_results
from riskpo.evaluation.runner import Progress, evaluate_task
from riskpo.extras import require_vllm
from riskpo.models.registry import hub_commit, resolve_model
from riskpo.runs.environment import describe_environment, record_resume

BATCH_SIZES = {"transformers": 64, "vllm": 4096}


@dataclass(frozen=True)
class EvalPlan:
    """What is evaluated, and how.

    Args:
        model: a folder, a hub id, or `builtin:NAME`.
        sets: questions of one or more tasks.
        samples: of each question.
        ks: of pass@k; 1, 2, 4, ... where empty.
        sampling: how completions are drawn.
        seed: of the sampling.
        batch_size: sequences in a batch, at most; 0 = the backend's own.
        backend: `transformers` or `vllm`.
        dtype, device, revision: for loading the model.
        chat_template_kwargs: for the chat template.
        vllm_options: further arguments of `vllm.LLM`.
        folder: where the files go; None = under `root`, by what is asked.
        root: of such folders.

    Raises:
        ConfigError: a value out of range, or several samples of the likeliest completion.
    """

    model: str
    sets: tuple[QuestionSet, ...]
    samples: int = 1
    ks: tuple[int, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    batch_size: int = 0
    backend: str = "transformers"
    dtype: str = "auto"
    device: str = "auto"
    revision: str | None = None
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    vllm_options: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    root: Path = Path("evals")

    def __post_init__(self) -> None:
        if self.backend not in BATCH_SIZES:
            raise ConfigError(f"unknown backend {self.backend!r}. Allowed: {', '.join(BATCH_SIZES)}.")
        for name, least in (("samples", 1), ("seed", 0), ("batch_size", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        self._check_backend()
        if self.sampling.temperature == 0.0 and self.samples > 1:
            raise ConfigError(
                f"at temperature 0 all {self.samples} samples of a question are the same: ask for one, or sample."
            )
        check_ks(self.ks, self.samples)
        names = [questions.name for questions in self.sets]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"give one or more different tasks, got {names}.")

    def _check_backend(self) -> None:
        """What can be known of the machine before a model is looked for."""
        if self.backend == "vllm":
            if self.device != "auto":
                raise ConfigError("--device is of the transformers backend: vLLM takes the GPUs that it sees.")
            require_vllm()
        elif self.vllm_options:
            raise ConfigError("--vllm_options are of --backend vllm.")
        if self.device.startswith("cuda"):
            import torch

            if not torch.cuda.is_available():
                raise ConfigError(f"--device {self.device}: torch sees no CUDA device here.")

    @property
    def wanted_ks(self) -> list[int]:
        """The k of pass@k."""
        return list(self.ks or default_ks(self.samples))

    @property
    def sequences(self) -> int:
        """Sequences in a batch."""
        return self.batch_size or BATCH_SIZES[self.backend]

    def config(self, model: str | Path) -> dict[str, Any]:
        """Everything that the numbers depend on but the machine. A local model goes by its contents."""
        local = Path(model)
        return {
            "model": self.model,
            "contents": fingerprint(local) if local.is_dir() else None,
            "revision": self.revision,
            "tasks": [questions.describe() for questions in self.sets],
            "samples": self.samples,
            "sampling": asdict(self.sampling),
            "seed": self.seed,
            "batch_size": self.sequences,
            "backend": self.backend,
            "dtype": self.dtype,
            "chat_template_kwargs": self.chat_template_kwargs,
            **({"vllm_options": self.vllm_options} if self.vllm_options else {}),
        }


def run_evaluation(
    plan: EvalPlan,
    *,
    load: Callable[[EvalPlan, str], Backend] | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, Progress], None] | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Evaluates, or goes on with an evaluation that was killed. `results.json` is written when all is there.

    Args:
        plan: what is asked.
        load: the backend of a plan and the resolved model's name; by default as the plan says.
        say: called with a line now and then.
        progress: called with a task's name after each batch.

    Returns:
        The folder and the results.

    Raises:
        ConfigError: the model is neither here nor on the hub.
        ResumeError, RunExistsError: the folder is another's.
    """
    resolved = str(resolve_model(plan.model, build=True))
    # The commit is looked up once and then loaded: a hub that moves on meanwhile changes nothing.
    commit = hub_commit(resolved, plan.revision)
    config = {**plan.config(resolved), "commit": commit}
    plan = replace(plan, revision=commit or plan.revision)
    folder = plan.folder or default_folder(plan.root, plan.model, config)
    check_folder(folder)  # before a lock is put there
    with locked(folder):
        again = take_folder(folder, config)
        _write_environment(folder, again, say)
        done = folder / "results.json"
        if again and done.is_file():
            say(f"{folder} is complete: nothing is sampled.")
            kept = read_json(done)
            return folder, _write_results(plan, folder, config, kept["backend"])
        say(f"loading {plan.model}")
        backend = (load or load_backend)(plan, resolved)
        for questions in plan.sets:
            evaluate_task(
                backend,
                questions.questions,
                questions.judge,
                plan.sampling,
                samples=plan.samples,
                batch_size=plan.sequences,
                seed=plan.seed,
                path=_path(folder, questions),
                progress=None if progress is None else _named(progress, questions.name),
            )
        return folder, _write_results(plan, folder, config, backend.describe())


def _write_results(plan: EvalPlan, folder: Path, config: dict[str, Any], backend: dict[str, Any]) -> dict[str, Any]:
    """The scores, from records that are complete."""
    tasks = {}
    for questions in plan.sets:
        names = [question.name for question in questions.questions]
        scores = task_results(read_records(_path(folder, questions)), names, plan.samples, plan.wanted_ks)
        tasks[questions.name] = {**questions.describe(), **scores, "names": names}
    results = {"ks": plan.wanted_ks, "config": config, "backend": backend, "tasks": tasks}
    write_json(folder / "results.json", results)
    return results


def _path(folder: Path, questions: QuestionSet) -> Path:
    return folder / "samples" / f"{questions.name}.jsonl"


def load_backend(plan: EvalPlan, model: str) -> Backend:
    """The backend that a plan asks for, with the model loaded."""
    if plan.backend == "vllm":
        from riskpo.evaluation.vllm_backend import VLLMBackend

        return VLLMBackend(
            model,
            revision=plan.revision,
            dtype=plan.dtype,
            chat_template_kwargs=plan.chat_template_kwargs,
            **plan.vllm_options,
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

    from riskpo.evaluation.transformers_backend import TransformersBackend

    device = plan.device if plan.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    images = any(question.images for questions in plan.sets for question in questions.questions)
    kind, processing = (AutoModelForImageTextToText, AutoProcessor) if images else (AutoModelForCausalLM, AutoTokenizer)
    try:
        processor = processing.from_pretrained(model, revision=plan.revision)
        loaded = kind.from_pretrained(model, revision=plan.revision, dtype=plan.dtype).to(device)
    except (OSError, ValueError, AttributeError, AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"the model {plan.model} cannot be loaded (dtype {plan.dtype}, device {device}): "
            f"{(str(error).splitlines() or [''])[0]}"
        ) from error
    chat = any(
        not isinstance(question.row["prompt"], str) for questions in plan.sets for question in questions.questions
    )
    if chat and not getattr(processor, "chat_template", None):
        raise ConfigError(
            f"the prompts are conversations, and {plan.model} has no chat template: for a base model ask with a "
            "template that is a text (--template; riskpo tasks show NAME names them)."
        )
    return TransformersBackend(
        loaded,
        processor,
        plan.model,
        chat_template_kwargs=plan.chat_template_kwargs,
        revision=getattr(loaded.config, "_commit_hash", None),
    )


def _write_environment(folder: Path, again: bool, say: Callable[[str], None]) -> None:
    path = folder / "environment.json"
    if not again or not path.is_file():
        write_json(path, describe_environment())
        return
    note = record_resume(path, describe_environment())
    if note is not None:
        say(note)


def _named(progress: Callable[[str, Progress], None], name: str) -> Callable[[Progress], None]:
    return lambda state: progress(name, state)
