"""What is installed, asked in one place."""

import pytest

from riskpo.errors import MissingExtraError
from riskpo.extras import is_installed, require, require_vllm


def test_installed():
    assert is_installed("json")
    assert not is_installed("no_such_module_anywhere")


def test_required(monkeypatch):
    require("json", "json", "extra")
    with pytest.raises(MissingExtraError, match=r'`no-such` is not installed.*pip install "riskpo\[some\]"'):
        require("no_such_module_anywhere", "no-such", "some")
    monkeypatch.setattr("riskpo.extras.is_installed", lambda module: module == "vllm")
    require_vllm()
    monkeypatch.setattr("riskpo.extras.is_installed", lambda module: module != "vllm")
    with pytest.raises(MissingExtraError, match=r"riskpo\[vllm\]"):
        require_vllm()
