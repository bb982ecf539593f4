"""The GPUs of this machine, and a share of them for each of several runs at once, by CUDA_VISIBLE_DEVICES.

Torch is not asked: it need not be there to share out what the driver names, and a process that starts others should
hold no GPU itself.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riskpo.errors import ConfigError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_SECONDS = 60  # nvidia-smi may wake a driver first
_DEVICES = Path("/dev")


@dataclass(frozen=True)
class Shares:
    """What each of the runs at once sees.

    Args:
        slots: a value of CUDA_VISIBLE_DEVICES for each; None: the variable stays as it is.
        note: a line to say; "" where there is nothing to share out.
    """

    slots: tuple[str | None, ...]
    note: str = ""


def driver_gpus() -> list[str]:
    """Numbers of the NVIDIA GPUs that the driver shows to this process; empty where there is none."""
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # a container may have the GPUs and not the tool
        nodes = [path for path in _DEVICES.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
        return [str(number) for number in range(len(nodes))]
    return [line.strip() for line in said.splitlines() if line.strip().isdigit()]


def visible_gpus(environment: Mapping[str, str], ask: Callable[[], list[str]] = driver_gpus) -> list[str]:
    """The GPUs that a run would see, as CUDA_VISIBLE_DEVICES names them (numbers, UUIDs, MIG instances).

    Args:
        environment: where the variable is kept if it is set; CUDA reads it up to the first that is none.
        ask: for all GPUs, where it is not set.
    """
    if VISIBLE not in environment:
        return ask()
    found: list[str] = []
    for name in (part.strip() for part in environment[VISIBLE].split(",")):
        if not name or name.startswith("-") or name == "NoDevFiles":
            break
        found.append(name)
    return found


def share_out(gpus: Sequence[str], jobs: int, processes: int) -> Shares:
    """A GPU for each process of a run: one that saw more would split its batches over them, and train in another way.

    Args:
        gpus: their names; those that no run needs are left idle.
        jobs: runs at once, at least 1; where there are more than GPUs, several share one.
        processes: of a run; each needs a GPU of its own where there are several.

    Raises:
        ConfigError: a share would hold fewer GPUs than a run has processes.
    """
    wanted = max(processes, 1)
    if not gpus or (jobs == 1 and len(gpus) == wanted):
        return Shares((None,) * jobs)
    each, most = min(len(gpus) // jobs, wanted), len(gpus) // wanted
    if processes > 1 and each < processes:
        raise ConfigError(
            f"--jobs {jobs} leaves each run {len(gpus) // jobs} of the {len(gpus)} GPUs here ({','.join(gpus)}), and a "
            f"run has {processes} processes, each on a GPU of its own: "
            + (f"--jobs {most} at most." if most else "there are too few GPUs for a single run.")
        )
    if not each:
        slots = tuple(gpus[slot % len(gpus)] if len(gpus) > 1 else None for slot in range(jobs))
        share = "GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs"
        return Shares(slots, f"{jobs} runs at once share {share} {','.join(gpus)}: each must fit beside the others.")
    slots = tuple(",".join(gpus[slot * each : (slot + 1) * each]) for slot in range(jobs))
    idle = gpus[jobs * each :]
    several = f"the {jobs} runs at once" if jobs > 1 else "a run"
    note = f"GPUs of {several}: {' | '.join(str(slot) for slot in slots)}"
    return Shares(slots, note + (f"; left idle: {','.join(idle)}" if idle else ""))
