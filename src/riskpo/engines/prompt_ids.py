"""A stable name for each prompt, by which its running pass rate is found again in later epochs and resumed runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from riskpo.errors import ConfigError

COLUMN = "prompt_id"
_IMAGES = ("image", "images")


def prompt_id(row: Mapping[str, Any]) -> str:
    """The row's `prompt_id`, or 16 hexadecimal digits of a hash of its prompt (text or conversation)."""
    if row.get(COLUMN) is not None:
        return str(row[COLUMN])
    prompt = row["prompt"]
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def check_prompt_ids(columns: Iterable[str]) -> None:
    """Raises ConfigError where prompts could not be told apart: rows with images may share their text."""
    columns = set(columns)
    if columns & set(_IMAGES) and COLUMN not in columns:
        raise ConfigError(
            f"composition by difficulty has to tell prompts apart, and rows with images may share their text: "
            f"add a column `{COLUMN}` with a name of its own for each row."
        )
