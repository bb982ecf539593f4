"""verl's FSDP engine, unchanged, for device `cpu`."""

from datetime import timedelta
from typing import Any

import torch.distributed
from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers import engine_workers
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

# A rank whose peer has died must not wait for gloo's half hour.
COLLECTIVE_TIMEOUT = timedelta(seconds=300)


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device="cpu")
class CPUEngineWithLMHead(FSDPEngineWithLMHead):
    """FSDP2 over gloo. Nothing to override: the platform answers every question about the device."""


def _gloo_group(timeout_second: int | None = None, backend: str | None = None) -> Any:
    seconds = int(COLLECTIVE_TIMEOUT.total_seconds()) if timeout_second is None else timeout_second
    return initialize_global_process_group_ray(timeout_second=seconds, backend=backend or "cpu:gloo")


# A patch, since nothing is registered here: verl asks for the backend "cpu:gloo,<device>:<backend>", which torch
# refuses when the device is the CPU as well ("Duplicate device type cpu").
engine_workers.initialize_global_process_group_ray = _gloo_group
torch.set_num_threads(1)
