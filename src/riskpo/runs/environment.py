"""What a number depends on besides the configuration: versions, machine, commit, command."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from riskpo.atomic import read_json, write_json

_SECRET = re.compile(r"(^|_)(token|key)$|secret|passw(or)?d|credential")
_ENGINE = ("torch", "transformers", "trl")
PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy", "vllm", "verl", "ray")


def describe_environment() -> dict[str, Any]:
    """Versions, machine and command as plain JSON values; no host name, user name or variable of the environment."""
    import riskpo

    return {
        "riskpo": riskpo.__version__,
        "commit": commit_of(Path(riskpo.__file__).parent),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "machine": describe_machine(),
        "command": shlex.join(["riskpo", *without_secrets(sys.argv[1:])]),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def record_resume(path: Path, now: dict[str, Any]) -> str | None:
    """Adds the environment of a resume to a run's environment.json where it is not that of the part before.

    The first entry stays at the top, where it always was; the others are listed under `resumed`.

    Args:
        path: of environment.json.
        now: what `describe_environment` says.

    Returns:
        A line that says what has changed, or None.
    """
    kept = read_json(path)
    before = (kept.get("resumed") or [kept])[-1]
    old, new = ({"riskpo": part["riskpo"], "commit": part["commit"], **part["packages"]} for part in (before, now))
    names = ("riskpo", "commit", *_ENGINE)
    changed = [f"{name} {old.get(name)} -> {new.get(name)}" for name in names if old.get(name) != new.get(name)]
    if not changed:
        return None
    write_json(path, {**kept, "resumed": [*kept.get("resumed", []), now]})
    return f"resumed with other versions, so perhaps not with the same numbers: {', '.join(changed)}."


def is_secret(option: str) -> bool:
    """Whether an option's value must not be written down: access tokens, keys, secrets, passwords."""
    return _SECRET.search(option.lstrip("-").replace("-", "_").lower()) is not None


def masked(value: Any) -> Any:
    """A value with those of secret options anywhere in it masked."""
    if isinstance(value, dict):
        return {key: "***" if is_secret(str(key)) else masked(part) for key, part in value.items()}
    return [masked(part) for part in value] if isinstance(value, list) else value


def masked_command(command: str) -> str:
    """A command line with the values of secret options masked."""
    try:
        words = shlex.split(command)
    except ValueError:  # no command of a shell
        return re.sub(r"(--[\w-]+)(=|\s+)(\S+)", lambda m: f"{m[1]}{m[2]}***" if is_secret(m[1]) else m[0], command)
    hidden = without_secrets(words)
    return command if hidden == words else shlex.join(hidden)


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments with the values of secret options masked."""
    masked = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, given, _ = argument.partition("=")
        if given and is_secret(name):
            argument = f"{name}=***"
        masked.append("***" if before.startswith("--") and "=" not in before and is_secret(before) else argument)
    return masked


def describe_machine() -> dict[str, Any]:
    """Processor, cores and accelerators."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
        "accelerators": gpus,
    }


def commit_of(folder: Path) -> str | None:
    """The git commit of a checkout, with `-dirty` when it has uncommitted changes; None outside one."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
