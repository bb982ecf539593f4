"""A run says what it depends on, and nothing about whose machine it ran on."""

import getpass
import json
import platform
import socket
import subprocess
import sys

from riskpo.atomic import read_json, write_json
from riskpo.runs.environment import (
    PACKAGES,
    commit_of,
    describe_environment,
    is_secret,
    masked,
    masked_command,
    record_resume,
)


def test_keys(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/riskpo", "train", "my run", "--seed", "3"])
    values = describe_environment()
    assert list(values) == ["riskpo", "commit", "python", "packages", "machine", "command", "started"]
    assert list(values["machine"]) == ["system", "processor", "cores", "torch_threads", "accelerators"]
    assert values["command"] == "riskpo train 'my run' --seed 3"
    assert {"torch", "transformers", "trl"} <= set(values["packages"]) <= set(PACKAGES)
    assert values["machine"]["cores"] >= 1
    assert values["started"].endswith("+00:00")
    assert json.loads(json.dumps(values)) == values


def test_no_names(monkeypatch):
    """Variables, host and user stay out; the command line is the user's own and stays as it was given."""
    monkeypatch.setattr(sys, "argv", ["riskpo"])
    for name in ("USER", "LOGNAME", "HF_TOKEN", "HOSTNAME"):
        monkeypatch.setenv(name, "sesame")
    for module, name in ((platform, "node"), (socket, "gethostname"), (getpass, "getuser")):
        monkeypatch.setattr(module, name, lambda: "sesame")
    assert "sesame" not in json.dumps(describe_environment())


def test_a_resume_elsewhere_is_recorded(tmp_path):
    """The first entry stays at the top. The same versions leave no trace; others are compared with the last part."""
    path, first = tmp_path / "environment.json", describe_environment()
    write_json(path, first)
    assert record_resume(path, first) is None
    assert read_json(path) == first

    other = {**first, "commit": "abc", "packages": {**first["packages"], "trl": "9.9"}}
    said = record_resume(path, other)
    assert f"commit {first['commit']} -> abc, trl {first['packages']['trl']} -> 9.9." in said
    assert "\n" not in said
    assert read_json(path) == {**first, "resumed": [other]}

    assert record_resume(path, other) is None
    assert record_resume(path, first) is not None
    assert read_json(path) == {**first, "resumed": [other, first]}


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_commit(tmp_path):
    """None outside a checkout; untracked files do not make it dirty, changed ones do."""
    assert commit_of(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    (tmp_path / "b").touch()
    clean = commit_of(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == clean + "-dirty"
    assert commit_of(tmp_path / "nowhere") is None


def test_secrets():
    for name in (
        "hub_token",
        "--hub-token",
        "wandb_api_key",
        "aws_secret_access_key",
        "client_secret_id",
        "DB_PASSWORD",
        "passwd",
        "key",
        "token",
    ):
        assert is_secret(name), name
    for name in ("num_tokens", "keyword", "max_prompt_tokens", "monkey", "keys", "tokenizer"):
        assert not is_secret(name), name


def test_values_of_secrets_are_masked_wherever_they_stand():
    given = {"a": 1, "kwargs": {"token": "hf_x", "parts": [{"api_key": "y", "b": 2}]}}
    assert masked(given) == {"a": 1, "kwargs": {"token": "***", "parts": [{"api_key": "***", "b": 2}]}}
    assert (
        masked_command("riskpo train 'my run' --hub_token hf_x --seed 3")
        == "riskpo train 'my run' --hub_token '***' --seed 3"
    )
    assert masked_command("riskpo train 'my run' --seed 3") == "riskpo train 'my run' --seed 3"
    assert masked_command("riskpo train it's --api-key=hf_x") == "riskpo train it's --api-key=***"
