"""What verl's environment must not hold. Imports no verl: the command line asks before a cluster is started."""

from __future__ import annotations

from importlib import metadata

from packaging.version import Version

from riskpo.errors import EngineError


def check_environment() -> None:
    """Raises EngineError where TRL >= 1 is installed beside verl, whose model loading then fails."""
    try:
        found = metadata.version("trl")
    except metadata.PackageNotFoundError:
        return
    if Version(found) >= Version("1.0"):
        raise EngineError(
            f"trl {found} is installed beside verl: verl imports a class from it that no longer exists, and fails when "
            'it loads a model. Use an environment of its own for each engine: pip install "riskpo[verl]" in a fresh '
            "one, or pip uninstall trl here."
        )
