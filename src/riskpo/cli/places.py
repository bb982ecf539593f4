"""Places that a verb writes to, tried out before anything is read or computed."""

from __future__ import annotations

import os
from pathlib import Path

from riskpo.errors import ConfigError


def check_file(option: str, path: Path) -> None:
    """Whether a file can be written there.

    Raises:
        ConfigError: a folder, or one in a folder that does not exist or cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder: name a file in it.")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: the folder {path.parent} does not exist.")
    _try_out(option, path, path.parent)


def check_folder(option: str, path: Path) -> None:
    """Whether a folder is there, or can be made, and files can be written in it.

    Raises:
        ConfigError: a file, or a place that cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{option} {path} is a file: name a folder.")
    _try_out(option, path, next(folder for folder in (path, *path.absolute().parents) if folder.exists()))


def _try_out(option: str, path: Path, folder: Path) -> None:
    """Makes a file and removes it: rights alone do not say what a file system can do."""
    scratch = folder / f".riskpo.{os.getpid()}"
    try:
        os.close(os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        scratch.unlink()
    except OSError as error:
        raise ConfigError(f"{option} {path}: {folder} cannot be written ({error.strerror}).") from error
