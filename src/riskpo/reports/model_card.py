"""The card of a trained checkpoint, in the form of TRL's: what it is, how it was trained, on what, how well it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from riskpo.atomic import write_text
from riskpo.errors import ConfigError
from riskpo.reports.page.export import markdown_table, markdown_text
from riskpo.reports.page.record import Record
from riskpo.reports.page.views import RunView, view

# By this line a card of ours is known: others are never replaced.
MARK = "<!-- written by riskpo -->"

_PAPER = """\
@inproceedings{ren2026riskpo,
    title = {{RiskPO: Risk-based Policy Optimization with Verifiable Reward for LLM Post-Training}},
    author = {Ren and others},
    booktitle = {International Conference on Learning Representations},
    year = 2026,
    eprint = {2510.00911},
    archivePrefix = {arXiv},
}"""
_TRL = """\
@software{vonwerra2020trl,
    title = {{TRL: Transformers Reinforcement Learning}},
    author = {von Werra, Leandro and Belkada, Younes and Tunstall, Lewis and Beeching, Edward and Thrush, Tristan and
        Lambert, Nathan and Huang, Shengyi and Rasul, Kashif and Gallouédec, Quentin},
    license = {Apache-2.0},
    url = {https://github.com/huggingface/trl},
    year = 2020
}"""


def check_card(model: Path) -> None:
    """Raises ConfigError where a card may not be written: no model there, or a card of somebody else's."""
    if not (model / "config.json").is_file() and not (model / "adapter_config.json").is_file():
        raise ConfigError(f"{model} holds no model to write a card for: the run has not saved one (yet).")
    card = model / "README.md"
    if card.is_file() and MARK not in card.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{card} was not written by riskpo, and is not replaced: move it away first.")


def write_card(record: Record) -> Path:
    """Writes README.md into the model folder of a run.

    Raises:
        ConfigError: as `check_card`.
    """
    model = record.folder / "model"
    check_card(model)
    path = model / "README.md"
    write_text(path, card_of(record))
    return path


def card_of(record: Record) -> str:
    """The card: YAML for a hub, then Markdown."""
    from huggingface_hub import ModelCardData

    said = view(record)
    base = record.settings.get("model_name_or_path")
    data = record.settings.get("dataset") or record.settings.get("task")
    known: dict[str, Any] = {"library_name": "transformers", "model_name": record.name}
    known["tags"] = ["generated_from_trainer", "trl", "riskpo"]
    if isinstance(base, str) and _on_hub(base):
        known["base_model"] = base
    if isinstance(data, str) and _on_hub(data):
        known["datasets"] = [data]
    lines = ["---", ModelCardData(**known).to_yaml().strip(), "---", "", MARK, ""]
    lines += [f"# Model card for {markdown_text(record.name)}", ""]
    start = f"a fine-tuned version of {markdown_text(str(base))}" if base else "a fine-tuned model"
    trained = f", trained on {markdown_text(str(data))}" if data else ""
    lines += [f"This model is {start}{trained} with [TRL](https://github.com/huggingface/trl) and riskpo.", ""]
    return "\n".join([*lines, *_start(record), *_training(said), *_citations(record)]).rstrip() + "\n"


def _on_hub(name: str) -> bool:
    """Whether a name has the form of a hub id, not of a path, a file or a built-in."""
    parts = name.split("/")
    return len(parts) == 2 and all(parts) and not name.startswith((".", "~")) and not Path(name).exists()


def _start(record: Record) -> list[str]:
    length = record.arguments.get("max_completion_length") or 128
    return [
        "## Quick start",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        'generator = pipeline("text-generation", model="PATH/TO/THIS/FOLDER")',
        f'print(generator("...", max_new_tokens={int(length)}, return_full_text=False)[0]["generated_text"])',
        "```",
        "",
        "Prompts have to look like those of the training set.",
        "",
    ]


def _training(said: RunView) -> list[str]:
    lines = ["## Training", "", f"{markdown_text(said.method)}.", ""]
    lines += markdown_table(["", ""], [list(pair) for pair in said.facts])
    if said.results:
        rows = [[row.name, row.before, row.after, row.change] for row in said.results]
        lines += ["## Held-out scores", "", *markdown_table(["", "before", "after", "change"], rows)]
        lines += [f"{said.about_results}.", ""]
    lines += [f"- {markdown_text(note)}" for note in said.notes] + ([""] if said.notes else [])
    lines += ["### Options, as given", "", *markdown_table(["option", "value"], [list(pair) for pair in said.settings])]
    versions = [[name, value] for name, value in said.versions]
    return [*lines, "### Framework versions", "", *markdown_table(["package", "version"], versions)]


def _citations(record: Record) -> list[str]:
    paper = record.own is None or record.own.config.estimator in ("riskpo", "two_level")
    cited = [*([_PAPER] if paper else []), _TRL]
    lines = ["## Citations", ""]
    for entry in cited:
        lines += ["```bibtex", entry, "```", ""]
    return lines
