"""The completions inside the page: columns as JSON, compressed, in base64. No text of a model stands there as text."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Sequence
from typing import Any

from riskpo.reports.page.rows import Rows

_NUMBERS = ("reward", "advantage", "logprob")
_DIGITS = 6  # significant ones of a number in the table


def pack(rows: Rows, runs: Sequence[str]) -> str:
    """Rows as base64 of gzip of JSON, in ASCII: lone surrogates and NUL survive as escapes.

    A text column with repeated values is a dictionary and an index a row; of a number NaN is null.
    """
    columns: dict[str, Any] = {}
    for name, values in vars(rows).items():
        if name in _NUMBERS:
            columns[name] = {"v": [_number(value) for value in values]}
        elif name in ("run", "step"):
            columns[name] = {"v": values}
        else:
            columns[name] = _texts(values)
    text = json.dumps({"n": len(rows), "runs": list(runs), "columns": columns}, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def _texts(values: list[str]) -> dict[str, Any]:
    different = list(dict.fromkeys(values))
    if len(different) > len(values) / 2:
        return {"v": values}
    place = {value: number for number, value in enumerate(different)}
    return {"d": different, "i": [place[value] for value in values]}


def _number(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
