"""The real data, where they are: the folder shared/data in one of the folders above, or RISKPO_TEST_DATA."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data():
    above = [parent / "shared" / "data" for parent in Path(__file__).parents]
    given = os.environ.get("RISKPO_TEST_DATA")
    folders = [folder for folder in [*map(Path, filter(None, [given])), *above] if folder.is_dir()]
    if not folders:
        pytest.skip("no folder shared/data beside the repository, and no RISKPO_TEST_DATA")
    return folders[0]


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    """Whoever runs the tests may have a data folder of their own."""
    monkeypatch.delenv("RISKPO_DATA_DIR", raising=False)
