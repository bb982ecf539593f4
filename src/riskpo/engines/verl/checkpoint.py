"""What a checkpoint of verl holds beyond verl's: `riskpo.json` with tracked quantiles, pass rates and generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from riskpo import __version__
from riskpo.atomic import read_json, write_json
from riskpo.engines.saved_state import restore_state, state_to_save
from riskpo.errors import ResumeError
from riskpo.risk.state import RiskState

FILE = "riskpo.json"


def save(folder: Path, state: RiskState, generator: torch.Generator, places: Mapping[str, int]) -> None:
    """Writes the file; verl names a checkpoint the latest only after that.

    Args:
        folder: the checkpoint's, `global_step_N`.
        state, generator: to be restored exactly.
        places: of prompts that were handed out and are not scored yet (asynchronous modes).
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = {"riskpo": __version__, **state_to_save(state, generator), "places": dict(places)}
    write_json(folder / FILE, values)


def load(folder: Path, tracked: str | None, generator: torch.Generator) -> tuple[RiskState, dict[str, int]] | None:
    """State and places of a checkpoint, `generator` set; None where the checkpoint has none.

    Raises:
        ResumeError: a file that does not hold them, or a state of other options.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = read_json(path)
        return restore_state(saved, tracked, generator), {uid: int(place) for uid, place in saved["places"].items()}
    except ResumeError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResumeError(
            f"{path} does not hold riskpo's state ({type(error).__name__}: {error}): resume from another checkpoint "
            "(trainer.resume_mode=resume_path trainer.resume_from_path=...)."
        ) from error
