"""A cached model is there whole or not at all, whoever builds it and however the build ends."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from riskpo.models.cache import cache_root, cached_model


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RISKPO_CACHE", str(tmp_path))
    return tmp_path


def write(text):
    return lambda folder: (folder / "weights").write_text(text)


def names(cache):
    return sorted(path.name for path in (cache / "models").iterdir())


def test_built_once(cache):
    folder = cached_model("m", write("first"))
    assert folder == cache / "models" / "m"
    assert cached_model("m", lambda folder: pytest.fail("built twice")) == folder
    assert (folder / "weights").read_text() == "first"
    assert names(cache) == ["m"]


def test_a_failed_build_leaves_nothing(cache):
    def fail(folder):
        (folder / "weights").write_text("half")
        raise RuntimeError("out of disk")

    with pytest.raises(RuntimeError, match="out of disk"):
        cached_model("m", fail)
    assert names(cache) == []
    assert (cached_model("m", write("whole")) / "weights").read_text() == "whole"


def test_a_killed_build_is_built_anew(cache):
    code = (
        "import os, signal\nfrom riskpo.models.cache import cached_model\n"
        "cached_model('m', lambda folder: (folder / 'weights').touch() or os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert not (cache / "models" / "m").exists()
    assert (cached_model("m", write("whole")) / "weights").read_text() == "whole"


def test_of_two_builders_the_first_is_kept(cache):
    """The second finds the place taken when it has finished, throws its own away, and says where the first's is."""
    building = threading.Barrier(2, timeout=10)
    first_done = threading.Event()
    found = {}

    def slow(folder):
        building.wait()
        first_done.wait(10)
        write("slow")(folder)

    def fast(folder):
        building.wait()
        write("fast")(folder)

    def run(name, build):
        found[name] = cached_model("m", build)
        first_done.set()

    threads = [threading.Thread(target=run, args=item) for item in (("slow", slow), ("fast", fast))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == {"slow": cache / "models" / "m", "fast": cache / "models" / "m"}
    assert (cache / "models" / "m" / "weights").read_text() == "fast"
    assert names(cache) == ["m"]


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"RISKPO_CACHE": "~/mine", "XDG_CACHE_HOME": "/xdg"}, "/home/ada/mine"),
        ({"RISKPO_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/riskpo"),
        ({"XDG_CACHE_HOME": ""}, "/home/ada/.cache/riskpo"),
        ({}, "/home/ada/.cache/riskpo"),
    ],
)
def test_cache_root(monkeypatch, environment, root):
    for name in ("RISKPO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, "HOME": "/home/ada"}.items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(root)
