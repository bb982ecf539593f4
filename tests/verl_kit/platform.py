"""The CPU as a verl platform. Loaded by `import verl` in every process (VERL_USE_EXTERNAL_MODULES), so kept light."""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry


def _device_module() -> types.ModuleType:
    """`torch.cpu` and the functions of `torch.cuda` that verl calls on a device, for a device without own memory."""
    module = types.ModuleType("tests.verl_kit.platform.cpu_device")
    for name in ("current_stream", "device_count", "set_device", "stream", "synchronize", "Stream"):
        setattr(module, name, getattr(torch.cpu, name))
    for name in ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved"):
        setattr(module, name, lambda *_args: 0)
    module.mem_get_info = lambda *_args: (0, 0)  # type: ignore[attr-defined]
    module.empty_cache = module.ipc_collect = lambda: None  # type: ignore[attr-defined]
    module.is_available = lambda: False  # type: ignore[attr-defined]  # asked before device memory is cleaned up
    module.get_device_name = lambda *_args: "CPU"  # type: ignore[attr-defined]  # a key of verl's table of FLOPS
    module.get_rng_state = torch.get_rng_state  # type: ignore[attr-defined]
    module.set_rng_state = torch.set_rng_state  # type: ignore[attr-defined]
    return module


_DEVICE = _device_module()


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """One rank a process, gloo between them, Ray's logical GPUs as places for ranks."""

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> types.ModuleType:
        return _DEVICE

    def is_available(self) -> bool:
        return True

    def current_device(self) -> Any:
        # verl hands this to `Tensor.to` and `torch.device`, where an index would mean a CUDA device.
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        pass

    def synchronize(self, device_index: int | None = None) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        pass

    def empty_cache(self) -> None:
        pass

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        # Ray counts them without looking for hardware; verl checks for enough of "GPU" or "NPU" and nothing else.
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        pass

    def profiler_stop(self) -> None:
        pass

    def cudart(self) -> Any:
        return None
