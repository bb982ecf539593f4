"""The folder of an evaluation: what it was asked, its samples, its results. Two evaluations never share one.

The same command names the same folder, so that one that was killed goes on where it was; another command gets another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json, write_json
from riskpo.errors import ResumeError, RunExistsError

_BLOCK = 2**22  # bytes read at once


def default_folder(root: Path, model: str, config: Mapping[str, Any]) -> Path:
    """`root/MODEL-DIGEST`, the digest being that of everything that was asked."""
    digest = hashlib.blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=4).hexdigest()
    short = model.removeprefix("builtin:").rstrip("/").split("/")[-1] or "model"
    return root / f"{short}-{digest}"


def take_folder(folder: Path, config: Mapping[str, Any]) -> bool:
    """Makes the folder this evaluation's, or finds that it is already.

    Args:
        folder: where its files go.
        config: everything that its numbers depend on but the machine.

    Returns:
        Whether an earlier attempt has begun there.

    Raises:
        ResumeError: another evaluation is there; the message names what differs.
        RunExistsError: the folder holds something else.
    """
    path = folder / "config.json"
    # As JSON would give it back, so that tuples are lists.
    asked = json.loads(json.dumps(config))
    if path.is_file():
        kept = read_json(path)
        differing = [key for key in {**kept, **asked} if kept.get(key) != asked.get(key)]
        if differing:
            first = differing[0]
            raise ResumeError(
                f"{folder} holds another evaluation: {', '.join(differing)} differ (there {first} is "
                f"{kept.get(first)!r:.120}, now {asked.get(first)!r:.120}). Choose another --output_dir."
            )
        return True
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, asked)
    return False


def check_folder(folder: Path) -> None:
    """Raises RunExistsError where a folder holds something and it is no evaluation; writes nothing."""
    if folder.exists() and not folder.is_dir():
        raise RunExistsError(f"{folder} is a file: choose another --output_dir.")
    if (folder / "config.json").is_file() or not folder.exists():
        return
    if any(item.name != ".lock" for item in folder.iterdir()):
        raise RunExistsError(f"{folder} exists and is no evaluation: choose another --output_dir.")


@contextmanager
def locked(folder: Path, what: str = "evaluating into") -> Iterator[None]:
    """Keeps a second process out of the folder. The lock is gone when this one ends, however it ends.

    Args:
        folder: made where it is not there.
        what: the other process is doing, for the message.

    Raises:
        RunExistsError: another process has this folder.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunExistsError(f"another process is {what} {folder}: wait, or stop it.") from error
        yield


def fingerprint(model: Path) -> str:
    """A name for the contents of a model's folder: configuration, tokenizer and weights, every byte of them."""
    digest = hashlib.blake2b(digest_size=8)
    kinds = (".json", ".jinja", ".safetensors", ".bin", ".model", ".txt")
    for path in sorted(path for path in model.rglob("*") if path.is_file() and path.suffix in kinds):
        digest.update(f"{path.relative_to(model)} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
