"""What a run knows of its training set: that its gold answers can be compared, and that a resume sees the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json, write_json
from riskpo.errors import DataError, ResumeError
from riskpo.rewards.adapters import VerifierReward
from riskpo.rewards.match import gold_number

# The built-in rewards: whether a gold answer can be compared with, and what it should be.
_GOLD: dict[str, tuple[Callable[[Any], bool], str]] = {
    "exact": (lambda gold: gold is not None, "a text"),
    "numeric": (lambda gold: gold_number(gold) is not None, "a single number such as 42 or 1,234.5, without any text"),
}


def check_gold(train: Any, name: str | None, judge: Callable[..., Any]) -> str | None:
    """Whether a built-in reward can use the gold answers. Returns a line to say where it cannot use some.

    Args:
        train: the training set, a `datasets.Dataset`.
        name: the reward's name; None: the task's own.
        judge: the reward; any but a built-in one passes.

    Raises:
        DataError: it can use none of them.
    """
    if isinstance(judge, VerifierReward):
        used = [*judge.verifier.columns, *judge.verifier.optional_columns]
        rows = train.select_columns([column for column in used if column in train.column_names]).to_list()
        problems = judge.verifier.check_gold(rows)
        shown = judge.verifier.columns[0] if judge.verifier.columns else "answer"
        golds = [row.get(shown) for row in rows]
    elif name in _GOLD and len(train):
        usable, expected = _GOLD[str(name)]
        golds = train["answer"][:]
        problems = [None if usable(gold) else f"expected is {expected}" for gold in golds]
    else:
        return None
    bad = [row for row, problem in enumerate(problems, 1) if problem is not None]
    if not bad:
        return None
    said = name or _scorer(judge)
    first = f"row {bad[0]}" if "prompt_id" not in train.column_names else str(train[bad[0] - 1]["prompt_id"])
    reason = str(problems[bad[0] - 1]).rstrip(".")
    if len(bad) == len(golds):
        raise DataError(
            f"reward {said} can use none of the {len(golds)} gold answers: the first, in row 1, is "
            f"{_end_of(golds[0])}; {reason}."
        )
    return (
        f"{len(bad)} of {len(golds)} gold answers cannot be used by reward {said} (the first: {first}, "
        f"{_end_of(golds[bad[0] - 1])}): their responses count for nothing."
    )


def _scorer(judge: Callable[..., Any]) -> str:
    """The name by which a verifier is asked for, e.g. math:boxed."""
    verifier = getattr(judge, "verifier", None)
    convention = getattr(verifier, "convention", "auto")
    name = getattr(judge, "__name__", "of the task")
    return name if convention == "auto" else f"{name}:{convention}"


def describe_data(train: Any) -> dict[str, Any]:
    """The number of rows and a fingerprint of prompts and answers in their order; `train` is a `datasets.Dataset`."""
    digest = hashlib.blake2b(digest_size=16)
    prompts = train["prompt"][:]
    answers = train["answer"][:] if "answer" in train.column_names else [None] * len(prompts)
    for row in zip(prompts, answers, strict=True):
        digest.update(json.dumps(row, sort_keys=True, default=lambda value: type(value).__name__).encode() + b"\n")
    return {"rows": len(prompts), "fingerprint": digest.hexdigest()}


def keep_data(run_dir: Path, train: Any) -> None:
    """Writes the description of the training set into a new run's folder."""
    write_json(run_dir / "data.json", describe_data(train))


def check_same_data(run_dir: Path, train: Any) -> None:
    """Raises ResumeError when the training set is not the one the run was started with, as far as that was kept."""
    path = run_dir / "data.json"
    if not path.is_file():
        return
    kept, found = read_json(path), describe_data(train)
    if kept == found:
        return
    what = f"it had {kept['rows']} rows at the start and has {found['rows']} now"
    if kept["rows"] == found["rows"]:
        what += ", with other prompts or answers, or in another order"
    raise ResumeError(
        f"the training set of {run_dir} has changed: {what}. A resumed run goes on with the same data: restore them, "
        "or start a new run from the saved model."
    )


def _end_of(value: Any, longest: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= longest else "..." + text[-longest:]
