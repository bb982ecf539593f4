"""Where built models are kept, and how they get there: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_root() -> Path:
    """`$RISKPO_CACHE`, or `riskpo` in `$XDG_CACHE_HOME`, or `~/.cache/riskpo`."""
    if chosen := os.environ.get("RISKPO_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "riskpo"


def cached_model(name: str, build: Callable[[Path], None]) -> Path:
    """The folder of a model, built on first use.

    Args:
        name: names the model and everything its weights depend on.
        build: writes the model into an empty folder. A build that fails or is killed leaves nothing behind under
            `name`; of two that run at once, the first to finish is kept.
    """
    final = cache_root() / "models" / name
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=final.parent) as scratch:
        built = Path(scratch) / "model"
        built.mkdir()
        build(built)
        try:
            os.rename(built, final)
        except OSError:
            if not final.is_dir():
                raise
            shutil.rmtree(built)
    return final
