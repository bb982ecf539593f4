"""Writing a split of a task down: for verl, for TRL, or as plain rows; and beside it where the rows came from."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from riskpo.atomic import write_json
from riskpo.errors import DataError, unknown_name
from riskpo.tasks.base import Rows
from riskpo.tasks.loading import Loaded
from riskpo.tasks.rows import rows_of
from riskpo.tasks.templates import Template

# The names that verl's own scorers go by, where they are not the hub id.
_VERL_SOURCES = {"dapo-math-17k": "math_dapo", "math": "DigitalLearningGmbH/MATH-lighteval"}
_TEXT = (".jsonl", ".jsonl.gz")


def verl_rows(loaded: Loaded, template: Template, system: str | None = None) -> Rows:
    """verl's columns: `data_source`, `prompt`, `ability`, `reward_model`, `extra_info`, and `images`.

    The scorer's columns are in `extra_info`, where `riskpo.rewards.adapters.ComputeScore` looks for them. Where tests
    are the gold, `ground_truth` is JSON of these columns. An image's place in the prompt is the mark `<image>`.

    Raises:
        DataError: a template for base models: verl's prompts are conversations.
    """
    if not template.chat:
        raise DataError(f"template {template.name} is a text, and verl's prompts are conversations: choose another.")
    task = loaded.task
    rows: Rows = []
    for index, (item, made) in enumerate(zip(loaded.items, rows_of(loaded, template, system), strict=True)):
        fields = {column: made[column] for column in made if column in item.fields}
        truth = json.dumps(dict(item.fields), ensure_ascii=False) if item.answer is None else item.answer
        named = {"prompt_id": made["prompt_id"], "question": item.question, **fields}
        source = _VERL_SOURCES.get(task.name, task.hub or task.name)
        rows.append(_verl_row(made, source, task.ability, truth, {"split": loaded.split, "index": index, **named}))
    return rows


def as_verl_rows(rows: Rows, source: str, split: str) -> Rows:
    """A run's rows in verl's columns: `answer` is the gold, or where there is none JSON of all the other columns.

    Args:
        rows: as TRL takes them, prompts as conversations.
        source: what they are called in verl's metrics.
        split: the split's name.

    Raises:
        DataError: a prompt that is a text.
    """
    found: Rows = []
    for index, row in enumerate(rows):
        if isinstance(row["prompt"], str):
            raise DataError(
                f"row {index}: the prompt is a text, and verl's prompts are conversations: "
                '[{"role": "user", "content": ...}], or another --task_template.'
            )
        fields = {key: value for key, value in row.items() if key not in ("prompt", "answer", "image", "images")}
        answer = row.get("answer")
        truth = json.dumps(fields, ensure_ascii=False) if answer is None else str(answer)
        prompt = json.dumps([_flat(message) for message in row["prompt"]], ensure_ascii=False)
        extra = {"split": split, "index": index, **fields, "prompt_json": prompt}
        found.append(_verl_row(row, source, "reasoning", truth, extra))
    return found


def _verl_row(row: dict[str, Any], source: str, ability: str, truth: str, extra: dict[str, Any]) -> dict[str, Any]:
    found = {
        "data_source": source,
        "prompt": [_flat(message) for message in row["prompt"]],
        "ability": ability,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": extra,
    }
    images = [row["image"]] if row.get("image") is not None else row.get("images")
    return {**found, "images": [_embedded(image) for image in images]} if images else found


def trl_rows(loaded: Loaded, template: Template, system: str | None = None) -> Rows:
    """TRL's columns, as the trainer takes them (`riskpo.tasks.rows.rows_of`)."""
    return rows_of(loaded, template, system)


def plain_rows(loaded: Loaded, template: Template | None = None, system: str | None = None) -> Rows:
    """Neither prompt nor template: `id`, `question`, `answer`, the scorer's columns, `image`."""
    del template, system
    rows: Rows = []
    for item in loaded.items:
        row: dict[str, Any] = {"id": item.source_id, "question": item.question, "answer": item.answer, **item.fields}
        rows.append(row if item.image is None else {**row, "image": item.image})
    return rows


FORMATS: dict[str, tuple[Callable[..., Rows], tuple[str, ...]]] = {
    "verl": (verl_rows, (".parquet",)),
    "trl": (trl_rows, (*_TEXT, ".parquet")),
    "jsonl": (plain_rows, _TEXT),
}


def check_output(form: str, path: Path, overwrite: bool) -> None:
    """Raises DataError for a file that the form cannot be written to, or that is there already."""
    if form not in FORMATS:
        raise DataError(unknown_name("format", form, FORMATS))
    endings = FORMATS[form][1]
    if not path.name.endswith(endings):
        raise DataError(
            f"format {form} is written to {' or '.join('*' + ending for ending in endings)}, not {path.name}."
        )
    if not path.parent.is_dir():
        raise DataError(f"--output {path}: the folder {path.parent} does not exist.")
    if path.exists() and not overwrite:
        raise DataError(f"{path} is there already: choose another --output, or add --overwrite.")


def export(
    loaded: Loaded,
    form: str,
    path: Path,
    template: Template,
    system: str | None = None,
    notes: dict[str, Any] | None = None,
) -> int:
    """Writes a split, and beside it `PATH.source.json`: where the rows came from and what was left out.

    Args:
        loaded: the split.
        form: `verl`, `trl` or `jsonl`.
        path: of the file, whose ending says text or parquet.
        template, system: of the prompts.
        notes: further entries for the file beside it.

    Returns:
        How many rows were written.

    Raises:
        DataError: images in bytes cannot be written to a text file.
    """
    rows = FORMATS[form][0](loaded, template, system)
    if path.name.endswith(".parquet"):
        _write(path, parquet_of(rows))
    else:
        text = "".join(json.dumps(_jsonable(row), ensure_ascii=False) + "\n" for row in rows).encode()
        _write(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    record = {**loaded.record, "written": len(rows), "format": form}
    if form != "jsonl":
        record |= {"template": template.name, "scorer": loaded.task.scorer_for(template)}
    write_json(path.with_name(path.name + ".source.json"), {**record, **(notes or {})})
    return len(rows)


def _flat(message: dict[str, Any]) -> dict[str, str]:
    """A message whose content is a text: parts are joined, an image becomes verl's mark."""
    content = message["content"]
    if not isinstance(content, str):
        content = "".join("<image>" if part["type"] == "image" else part["text"] for part in content)
    return {"role": message["role"], "content": content}


def _embedded(image: Any) -> dict[str, Any]:
    """An image as bytes, so that the file can be moved."""
    if isinstance(image, dict):
        return {"bytes": image["bytes"], "path": image.get("path")}
    if isinstance(image, str):
        return {"bytes": Path(image).read_bytes(), "path": Path(image).name}
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    if "image" not in row:
        return row
    if not isinstance(row["image"], str):
        raise DataError("images that are not files cannot be written as text: export to *.parquet.")
    return {**row, "image": str(Path(row["image"]).resolve())}


def parquet_of(rows: Rows) -> bytes:
    """The rows as a parquet file, images in it."""
    from datasets import Dataset, Image, List

    embedded = [{**row, "image": _embedded(row["image"])} if "image" in row else row for row in rows]
    dataset = Dataset.from_list(embedded)
    for column, feature in (("image", Image()), ("images", List(Image()))):
        if column in dataset.column_names:
            dataset = dataset.cast_column(column, feature)
    buffer = io.BytesIO()
    dataset.to_parquet(buffer)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    os.replace(scratch, path)
