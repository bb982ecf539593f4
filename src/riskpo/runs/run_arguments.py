"""`RunArguments`: what a run is of, whatever engine trains it. The engine's own options are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RunArguments:
    """What is trained on what; everything else is the engine's."""

    engine: str = field(
        default="trl", metadata={"help": "What trains: trl (this machine), or verl (a Ray cluster; docs/engines.md)."}
    )
    nodes: int = field(default=1, metadata={"help": "Machines of a verl run, over which its processes are spread."})
    verl: list[str] = field(
        default_factory=list, metadata={"help": "Overrides of verl's configuration, key=value; for engine verl only."}
    )
    task: str | None = field(
        default=None,
        metadata={"help": "A task: gsm8k, chain, ... (`riskpo tasks` lists them), or several data sets: gsm8k,math."},
    )
    task_prompts: int = field(
        default=0, metadata={"help": "Prompts drawn from the task; 0: as many as steps use, of a data set all."}
    )
    task_seed: int = field(default=1, metadata={"help": "Seed of the task's training prompts."})
    task_template: str | None = field(default=None, metadata={"help": "Prompt template; the task's own if unset."})
    task_system_prompt: str | None = field(
        default=None, metadata={"help": "System message instead of the template's; empty: none."}
    )
    task_clean: bool = field(
        default=False, metadata={"help": "Leave out known wrong golds, conflicts and repeats of the task."}
    )
    task_decontaminate: bool = field(
        default=False, metadata={"help": "The same, and leave out what the benchmarks ask."}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder with the task's data files; else RISKPO_DATA_DIR, else the hub."}
    )
    data_file: str | None = field(default=None, metadata={"help": "The task's training data: a file of a known shape."})
    dataset: str | None = field(default=None, metadata={"help": "Own data: JSONL or parquet file, or a hub id."})
    dataset_split: str = field(default="train", metadata={"help": "Split of a hub data set."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a hub data set."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Revision of a hub data set or task."})
    max_prompt_tokens: int = field(
        default=0, metadata={"help": "Leave out prompts that have more tokens, chat template included; 0: none."}
    )
    reward: list[str] = field(
        default_factory=list,
        metadata={
            "help": "exact, numeric, math, choice, code, ... (docs/rewards.md), or package.module:function; several "
            "are added up, and the first one is what an evaluation counts. The task's own if unset."
        },
    )
    runs_dir: str = field(default="runs", metadata={"help": "Where runs without --output_dir get their folder."})
    processes: int = field(
        default=0,
        metadata={"help": "Processes (GPUs) that the batch sizes are meant for; another number is an error. 0: any."},
    )
    launch: str | None = field(
        default=None,
        metadata={
            "help": "Start as many processes with accelerate: ddp, fsdp2, zero2, zero3, or an Accelerate file (.yaml). "
            "docs/multi-gpu.md says which."
        },
    )
    threads: int = field(default=0, metadata={"help": "CPU threads of torch; 0: torch's choice."})
    completions_every: int = field(
        default=10, metadata={"help": "Steps between files of completions in the run's folder; 0: none."}
    )
    eval_prompts: int = field(default=0, metadata={"help": "Held-out prompts evaluated before and after; 0: none."})
    eval_split: str = field(
        default="test", metadata={"help": "Split of the task that is evaluated, or another task's name (aime24)."}
    )
    eval_offset: int = field(
        default=0, metadata={"help": "Held-out prompts passed over before those that are evaluated: for other ones."}
    )
    eval_samples: int = field(default=64, metadata={"help": "Samples per held-out prompt."})
    eval_batch_size: int = field(default=64, metadata={"help": "Sequences per batch of the evaluation."})
    eval_at: list[int] = field(
        default_factory=list, metadata={"help": "Steps after which the held-out prompts are evaluated as well."}
    )
    eval_ks: list[int] = field(default_factory=lambda: [1, 8, 32], metadata={"help": "The k of pass@k."})
