"""One thread and the same random examples in every run: a test that fails once fails again."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
settings.register_profile("riskpo", deadline=None, derandomize=True)
settings.load_profile("riskpo")


@pytest.fixture(scope="session")
def chain_model(tmp_path_factory):
    """The folder of a base model that is hardly warmed up: one operation right in one sample of nine. Two seconds."""
    from riskpo.models.chain_base import WarmUp, chain_base

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISKPO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return str(chain_base(WarmUp(steps=30, batch_size=64)))
