"""The kit itself: what it starts it also ends. Its runs are those of test_verl_runs.py and test_verl_async.py."""

from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil", reason="psutil is not installed (an environment with verl is needed)")

from tests.verl_kit.launch import Process, TinyRun, missing  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def test_a_killed_run_leaves_nothing_behind(tmp_path):
    run = TinyRun(tmp_path / "run")
    with Process(run) as process:
        folder = Path(process.ray_folder)
        process.wait_for(folder / "session_latest", timeout=300)
        process.kill()
        assert not process._ours()
        assert not folder.exists()
