"""What a machine offers to a run: packages, accelerators, disk, sandbox, hub, threads, shared memory.

`look` looks, without asking the network; the checks judge what it saw and can be tried on any machine that is made up.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from riskpo.diagnosis.finding import Diagnosis, Finding, Outcome, Skipped, diagnosis
from riskpo.errors import SandboxError

PAGE = "docs/doctor.md"
GIB = float(1 << 30)

# Every threshold, with the reason. In GiB.
THRESHOLDS: dict[str, tuple[float, str]] = {
    "disk": (2.0, "a checkpoint of a model of 100 million parameters, weights and optimiser, takes 1.2"),
    "shm": (1.0, "processes on several accelerators exchange data there; containers start with 1/16"),
}


@dataclass(frozen=True)
class Accelerator:
    """A GPU.

    Args:
        name: as its driver calls it.
        total, free: its memory in GiB.
        bf16: whether it computes in bfloat16.
    """

    name: str
    total: float
    free: float
    bf16: bool


@dataclass(frozen=True)
class Machine:
    """What was seen.

    Args:
        python: its version; python_bounds: what the package's metadata ask for, None where it is not installed.
        requirements: the package's own, as its metadata state them, extras included.
        installed: version of each package that they name, None where it is absent.
        accelerators: the GPUs that torch sees.
        devices: whether the system has an NVIDIA device, seen by torch or not.
        disk: free space in GiB where runs go; None where that folder cannot be written.
        runs: that folder.
        unwritable: cache folders that cannot be written, by what they are for.
        sandbox: how the sandbox describes itself, "" where it does not work.
        sandbox_error: why not; "" where it works or was not tried.
        offline: whether the hub is never asked (HF_HUB_OFFLINE).
        cores: that this process may use; threads: OMP_NUM_THREADS, None where it is not set to a number.
        shm: size of /dev/shm in GiB; None where there is none.
    """

    python: str
    python_bounds: str | None = None
    requirements: tuple[str, ...] = ()
    installed: dict[str, str | None] = field(default_factory=dict)
    accelerators: tuple[Accelerator, ...] = ()
    devices: bool = False
    disk: float | None = None
    runs: str = "runs"
    unwritable: dict[str, str] = field(default_factory=dict)
    sandbox: str = ""
    sandbox_error: str = ""
    offline: bool = False
    cores: int = 1
    threads: int | None = None
    shm: float | None = None


def look(runs: Path) -> Machine:
    """Looks at this machine; takes some seconds, most of them for the sandbox.

    Args:
        runs: the folder where runs go, which need not exist yet.
    """
    from riskpo.models.cache import cache_root

    bounds, requirements = _own_metadata()
    sandbox, problem = _try_sandbox()
    caches = {"the hub's cache (HF_HOME)": _hub_cache(), "built models (RISKPO_CACHE)": cache_root()}
    folder = _existing(runs)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    shm = Path("/dev/shm")
    return Machine(
        platform.python_version(),
        bounds,
        requirements,
        {name: _version(name) for name in _names(requirements)},
        _accelerators(),
        Path("/dev/nvidiactl").exists(),
        shutil.disk_usage(folder).free / GIB if folder.is_dir() and os.access(folder, os.W_OK) else None,
        str(runs),
        {what: str(path) for what, path in caches.items() if not os.access(_existing(path), os.W_OK)},
        sandbox,
        problem,
        _is_offline(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        int(threads) if threads.isdecimal() else None,
        shutil.disk_usage(shm).total / GIB if shm.is_dir() else None,
    )


def check_env(machine: Machine) -> Diagnosis:
    """Every check on a machine."""
    return diagnosis("env", "this machine", [(code, check(machine)) for code, check in CHECKS.items()], _facts(machine))


def packages(machine: Machine) -> Outcome:
    """Versions against the bounds that the package declares."""
    if machine.python_bounds is None:
        return Skipped("packages", "the metadata of an installed riskpo (pip install .)")
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    bad: list[str] = []
    missing: list[str] = []
    if not SpecifierSet(machine.python_bounds).contains(machine.python, prereleases=True):
        bad.append(f"python {machine.python} (wanted {machine.python_bounds})")
    for text in machine.requirements:
        wanted = Requirement(text)
        needed = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        version = machine.installed.get(wanted.name)
        if version is None:
            missing += [wanted.name] * needed
        elif wanted.name == "trl" and machine.installed.get("verl") is not None:
            continue  # verl has bounds of its own for it, and `engines` looks at both
        elif not wanted.specifier.contains(version, prereleases=True):
            bad.append(f"{wanted.name} {version} (wanted {wanted.specifier})")
    if not bad and not missing:
        return None
    parts = [f"outside the declared bounds: {', '.join(dict.fromkeys(bad))}"] if bad else []
    parts += [f"not installed: {', '.join(missing)}"] if missing else []
    return Finding(
        "error",
        "packages",
        f"Packages {'; '.join(parts)}.",
        "pip install riskpo again, into an environment of its own: the tests passed within these bounds only.",
        f"{PAGE}#packages",
    )


def engines(machine: Machine) -> Outcome:
    """An engine, and not both: verl fails to load models where TRL >= 1 is installed."""
    from packaging.version import Version

    trl, verl = machine.installed.get("trl"), machine.installed.get("verl")
    if trl is None and verl is None:
        return Finding(
            "warning",
            "engines",
            "No training engine is installed: training is not possible here, the rest is.",
            'pip install "riskpo[trl]", or pip install "riskpo[verl]" for a Ray cluster.',
            f"{PAGE}#engines",
        )
    if trl is not None and verl is not None and Version(trl) >= Version("1.0"):
        return Finding(
            "error",
            "engines",
            f"TRL {trl} and verl {verl} share this environment: verl imports a class that TRL no longer has, and fails "
            "when it loads a model.",
            "An environment of its own for each; pip uninstall the one that is not used here.",
            f"{PAGE}#engines",
        )
    return None


def accelerators(machine: Machine) -> Outcome:
    """A GPU that torch does not see, or that does not compute in bfloat16."""
    if machine.devices and not machine.accelerators:
        return Finding(
            "warning",
            "accelerators",
            "The system has an NVIDIA device, but torch sees none.",
            "Install the build of torch for its driver (pytorch.org), and look at CUDA_VISIBLE_DEVICES.",
            f"{PAGE}#accelerators",
        )
    old = [one.name for one in machine.accelerators if not one.bf16]
    if not old:
        return None
    return Finding(
        "warning",
        "accelerators",
        f"No bfloat16 on {', '.join(old)}, which TRL takes by default.",
        "Set --bf16 false --dtype float32 (float16 overflows more easily).",
        f"{PAGE}#accelerators",
    )


def disk(machine: Machine) -> Outcome:
    """Room for checkpoints where runs go."""
    if machine.disk is None:
        return Finding(
            "error",
            "disk",
            f"{machine.runs}, where runs go, is no folder, or cannot be written.",
            "Give another --runs_dir, or its rights.",
            f"{PAGE}#disk",
        )
    if machine.disk >= THRESHOLDS["disk"][0]:
        return None
    return Finding(
        "warning",
        "disk",
        f"{machine.disk:.1f} GiB are free where runs go ({machine.runs}).",
        "Make room or give another --runs_dir; fewer checkpoints: --save_total_limit.",
        f"{PAGE}#disk",
    )


def caches(machine: Machine) -> Outcome:
    """Folders where models and data are kept."""
    if not machine.unwritable:
        return None
    what = ", ".join(f"{path} ({name})" for name, path in machine.unwritable.items())
    return Finding(
        "warning",
        "caches",
        f"Cannot be written: {what}.",
        "Point the variable named to a folder that can.",
        f"{PAGE}#caches",
    )


def sandbox(machine: Machine) -> Outcome:
    """The sandbox for programs that a model wrote."""
    if not machine.sandbox_error:
        return None
    return Finding(
        "warning",
        "sandbox",
        f"Programs that a model wrote cannot be run safely here: {machine.sandbox_error}",
        "Only rewards that run programs need it.",
        "docs/security.md#how-to-check",
    )


def threads(machine: Machine) -> Outcome:
    """More threads than cores wait for each other."""
    if machine.threads is None or machine.threads <= machine.cores:
        return None
    return Finding(
        "warning",
        "threads",
        f"OMP_NUM_THREADS is {machine.threads}, and this process may use {machine.cores} core(s).",
        f"Set OMP_NUM_THREADS to at most {machine.cores}, divided by the processes on this machine.",
        f"{PAGE}#threads",
    )


def shared_memory(machine: Machine) -> Outcome:
    """Room for what processes on several accelerators exchange."""
    if machine.shm is None:
        return Skipped("shared_memory", "/dev/shm")
    if len(machine.accelerators) < 2 or machine.shm >= THRESHOLDS["shm"][0]:
        return None
    return Finding(
        "warning",
        "shared_memory",
        f"/dev/shm has {machine.shm:.2f} GiB for processes on {len(machine.accelerators)} accelerators.",
        "In a container: --shm-size 8g, or --ipc host.",
        f"{PAGE}#shared-memory",
    )


CHECKS: dict[str, Callable[[Machine], Outcome]] = {
    "packages": packages,
    "engines": engines,
    "accelerators": accelerators,
    "disk": disk,
    "caches": caches,
    "sandbox": sandbox,
    "threads": threads,
    "shared_memory": shared_memory,
}


def _facts(machine: Machine) -> dict[str, str]:
    shown = ("torch", "transformers", "trl", "verl", "accelerate", "datasets", "peft", "vllm")
    versions = [f"{name} {version}" for name in shown if (version := machine.installed.get(name))]
    gpus = [
        f"{one.name}, {one.free:.0f} of {one.total:.0f} GiB free{'' if one.bf16 else ', no bfloat16'}"
        for one in machine.accelerators
    ]
    space = "not writable" if machine.disk is None else f"{machine.disk:.0f} GiB free where runs go ({machine.runs})"
    return {
        "python": machine.python,
        "packages": ", ".join(versions) or "not known",
        "accelerators": "; ".join(gpus) or "none: training runs on the CPU",
        "disk": space,
        "sandbox": machine.sandbox or "does not work",
        "hub": "offline (HF_HUB_OFFLINE): only what is in the cache" if machine.offline else "is asked when needed",
        "cores": f"{machine.cores}, OMP_NUM_THREADS {'not set' if machine.threads is None else machine.threads}",
        "/dev/shm": "none" if machine.shm is None else f"{machine.shm:.2f} GiB",
    }


def _own_metadata() -> tuple[str | None, tuple[str, ...]]:
    try:
        own = metadata.metadata("riskpo")
        return own["Requires-Python"], tuple(metadata.requires("riskpo") or ())
    except metadata.PackageNotFoundError:
        return None, ()


def _names(requirements: Iterable[str]) -> list[str]:
    from packaging.requirements import Requirement

    return list(dict.fromkeys([*(Requirement(text).name for text in requirements), "vllm"]))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _accelerators() -> tuple[Accelerator, ...]:
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        with torch.cuda.device(index):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        found.append(Accelerator(torch.cuda.get_device_name(index), total / GIB, free / GIB, bf16))
    return tuple(found)


def _try_sandbox() -> tuple[str, str]:
    """How the sandbox describes itself, and why it does not work: one of the two is empty."""
    from riskpo.rewards.sandbox import open_sandbox

    try:
        return open_sandbox("bubblewrap").describe(), ""
    except SandboxError as error:
        return "", str(error)


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists: where it would be made."""
    path = path.expanduser().absolute()
    while not path.exists():
        path = path.parent
    return path
