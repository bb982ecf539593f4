"""Models that lie in shards over several processes: which ones, and their whole weights at the end of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def launched_sharding() -> str | None:
    """What the launcher that started this process asked to shard the model with: "FSDP", "DEEPSPEED", or None."""
    return next((kind for kind in ("FSDP", "DEEPSPEED") if os.environ.get(f"ACCELERATE_USE_{kind}") == "true"), None)


def save_whole_model(trainer: Any, folder: Path) -> None:
    """Saves the model so that `from_pretrained` can load it; to be called on every process.

    With FSDP and sharded checkpoints Transformers' `save_model` writes no weights and says nothing
    (huggingface/transformers#30491), so the whole weights are asked for first. Checkpoints to resume from stay as they
    were configured.

    Args:
        trainer: Transformers' or a subclass.
        folder: where the model goes.
    """
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is None:
        trainer.save_model(str(folder))
        return
    kept = plugin.state_dict_type
    plugin.set_state_dict_type("FULL_STATE_DICT")
    try:
        trainer.save_model(str(folder))
    finally:
        plugin.set_state_dict_type(kept)
