"""`riskpo eval` end to end on a tiny model: a complete folder, killed and started again, errors before any loading."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from riskpo.cli.main import main

ASKED = ["--tasks", "chain", "--samples", "4", "--max_new_tokens", "16", "--limit", "12"]


def evaluate(model, *flags):
    return main(["eval", str(model), *map(str, flags)])


def scores(folder):
    results = json.loads((Path(folder) / "results.json").read_text())
    return {k: score["mean"] for k, score in results["tasks"]["chain"]["pass"].items()}


def samples(folder):
    lines = (Path(folder) / "samples" / "chain.jsonl").read_text().splitlines()
    return sorted((row["question"], row["sample"], row["completion"]) for row in map(json.loads, lines))


def test_a_folder_with_everything(chain_model, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(chain_model, *ASKED, "--output_dir", out) == 0
    assert {path.name for path in out.iterdir()} == {
        ".lock",
        "config.json",
        "environment.json",
        "results.json",
        "samples",
    }
    assert set(scores(out)) == {"1", "2", "4"}
    assert len(samples(out)) == 48
    said = capsys.readouterr().out
    assert "pass@4" in said
    assert "12 questions x 4, scorer chain, split test" in said
    # Again, with other ks: nothing is sampled.
    before = (out / "samples" / "chain.jsonl").stat().st_mtime_ns
    assert evaluate(chain_model, *ASKED, "--output_dir", out, "--ks", 1, 3) == 0
    assert "is complete: nothing is sampled" in capsys.readouterr().out
    assert set(scores(out)) == {"1", "3"}
    assert (out / "samples" / "chain.jsonl").stat().st_mtime_ns == before


def test_the_same_command_the_same_folder(chain_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 0, 1):
        assert evaluate(chain_model, *ASKED, "--seed", seed) == 0
    first, second = sorted((tmp_path / "evals").iterdir())
    assert samples(first) != samples(second)


def test_another_evaluation_is_kept_out(chain_model, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(chain_model, *ASKED, "--output_dir", out) == 0
    assert evaluate(chain_model, *ASKED, "--output_dir", out, "--temperature", 0.5) == 2
    assert "holds another evaluation: sampling differ" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_killed_and_started_again(chain_model, tmp_path):
    """kill -9 in the midst of it; the samples are those of an evaluation that was left alone."""
    asked = [*ASKED, "--limit", "60", "--batch_size", "4"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert evaluate(chain_model, *asked, "--output_dir", whole) == 0
    command = [sys.executable, "-m", "riskpo.cli", "eval", chain_model, *asked, "--output_dir", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    records = killed / "samples" / "chain.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (records.is_file() and len(records.read_text().splitlines()) > 20):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "results.json").exists()
    assert evaluate(chain_model, *asked, "--output_dir", killed) == 0
    assert samples(killed) == samples(whole)
    assert scores(killed) == scores(whole)


def test_own_questions(chain_model, tmp_path, capsys):
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{n}+1=", "answer": str(n + 1)}) + "\n" for n in range(6)))
    flags = ["--dataset", data, "--reward", "numeric", "--max_new_tokens", 8, "--output_dir", tmp_path / "out"]
    assert evaluate(chain_model, *flags) == 0
    assert "mine: 6 questions x 1, scorer numeric" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "give either --tasks"),
        (["--tasks", "chain", "--dataset", "x.jsonl"], "give either --tasks"),
        (["--dataset", "x.jsonl"], "--dataset and --reward go together"),
        (["--dataset", "x.jsonl", "--reward", "math", "--template", "boxed"], "--template is of --tasks"),
        (["--dataset", "x.jsonl", "--reward", "math", "--split", "dev"], "--split is of --tasks"),
        (["--tasks", "chain", "--template", "boxed"], "template: only for tasks that are data sets"),
        (["--tasks", "chian"], "Did you mean 'chain'"),
        (["--tasks", "chain,chain"], "one or more different tasks"),
        (["--tasks", "chain", "--samples", "0"], "samples must be at least 1"),
        (["--tasks", "chain", "--samples", "4", "--ks", "5"], "k = [5] cannot be had from 4"),
        (["--tasks", "chain", "--samples", "4", "--temperature", "0"], "at temperature 0 all 4 samples"),
        (["--tasks", "chain", "--chat_template_kwargs", "{"], "is not JSON"),
        (["--tasks", "chain", "--chat_template_kwargs", "[]"], "takes a JSON object"),
        (["--tasks", "chain", "--limit", "-5"], "--limit must be at least 0"),
        (["--tasks", "chain", "--smaples", "4"], "Did you mean '--samples'"),
        (["--tasks", "chain", "--vllm_options", "[]"], "--vllm_options takes a JSON object"),
        (["--tasks", "chain", "--vllm_options", '{"a": 1}'], "--vllm_options are of --backend vllm"),
        (["--tasks", "chain", "--backend", "vllm", "--device", "cpu"], "--device is of the transformers backend"),
    ],
)
def test_errors_before_anything_is_loaded(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert evaluate("builtin:chain-base", *flags) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tasks", "chain", "--dtype", "float99"], "cannot be loaded (dtype float99, device cpu)"),
        (["--dataset", "chat.jsonl", "--reward", "numeric"], "has no chat template: for a base model ask with"),
    ],
)
def test_models_that_cannot_be_asked(chain_model, flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    row = {"prompt": [{"role": "user", "content": "1+1?"}], "answer": "2"}
    (tmp_path / "chat.jsonl").write_text(json.dumps(row) + "\n")
    assert evaluate(chain_model, *flags, "--max_new_tokens", 4, "--device", "cpu") == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("flag", [["--samples", "9"], ["--limit", "3"], ["--template", "boxed"], ["--backend", "vllm"]])
def test_compare_refuses_what_it_would_ignore(flag, tmp_path, capsys):
    assert main(["eval", "--compare", str(tmp_path), str(tmp_path), *flag]) == 2
    assert f"{flag[0]} says how a model is evaluated" in capsys.readouterr().err


def test_what_the_machine_lacks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert evaluate("builtin:chain-base", "--tasks", "chain", "--backend", "vllm") == 2
    assert 'pip install "riskpo[vllm]"' in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert evaluate("builtin:chain-base", "--tasks", "chain", "--device", "cuda:0") == 2
    assert "torch sees no CUDA device here" in capsys.readouterr().err
    assert evaluate("runs/no/model", "--tasks", "chain") == 2
    assert "neither a folder with a config.json nor a hub id" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_no_such_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert evaluate("./nowhere", *ASKED) == 2
    assert "not the folder of a Transformers model" in capsys.readouterr().err


def test_compare(chain_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, flags in (
        ("hot", ["--temperature", 1.5]),
        ("cold", ["--temperature", 0.7]),
        ("again", ["--temperature", 0.7]),
    ):
        assert evaluate(chain_model, *ASKED, *flags, "--seed", len(name), "--output_dir", name) == 0
    capsys.readouterr()
    assert main(["eval", "--compare", "cold", "again", "--ks", "1", "4", "--json", "compared.json"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "pass@1: cold and again are not distinguishable on chain" in said
    assert "sampled differently" not in said
    written = json.loads((tmp_path / "compared.json").read_text())
    assert written["pass@4"]["tasks"]["chain"]["questions"] == 12
    assert main(["eval", "--compare", "cold", "hot"]) == 0
    assert "note: they sampled differently" in " ".join(capsys.readouterr().out.split())


def test_compare_the_same_questions_with_other_golds(chain_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, plus in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        rows = [{"prompt": f"{n}+1=", "answer": str(n + plus)} for n in range(6)]
        (tmp_path / name / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        flags = ["--dataset", f"{name}/q.jsonl", "--reward", "numeric", "--max_new_tokens", 4]
        assert evaluate(chain_model, *flags, "--output_dir", f"e{name}") == 0
    capsys.readouterr()
    assert main(["eval", "--compare", "ea", "eb"]) == 0
    assert "gold answers or other columns differ" in " ".join(capsys.readouterr().out.split())
    assert main(["eval", "model", "--compare", "ea", "eb"]) == 2
    assert "and no model, tasks or data set" in " ".join(capsys.readouterr().err.split())


def test_compare_what_is_not_there(tmp_path, capsys):
    assert main(["eval", "--compare", str(tmp_path), str(tmp_path)]) == 2
    assert "holds no results: it is no evaluation" in " ".join(capsys.readouterr().err.split())
