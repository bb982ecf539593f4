"""Optional dependencies: whether one is there, found without importing it."""

from __future__ import annotations

import importlib.util

from riskpo.errors import MissingExtraError


def is_installed(module: str) -> bool:
    """Whether a top-level module can be imported, as far as can be told without doing so."""
    return importlib.util.find_spec(module) is not None


def require(module: str, package: str, extra: str) -> None:
    """Raises MissingExtraError, with the command that installs it, unless the module is there."""
    if not is_installed(module):
        raise MissingExtraError(package, extra)


def require_vllm() -> None:
    """Raises MissingExtraError unless vLLM is there."""
    require("vllm", "vllm", "vllm")


def missing_engine(error: ImportError) -> MissingExtraError | None:
    """The error to raise instead, where an import failed for want of a training engine; None for any other import."""
    engine = (error.name or "").partition(".")[0]
    return MissingExtraError(engine, engine) if engine in ("trl", "verl") else None
