"""Rows for TRL and verl, and files of them that their readers take."""

import gzip
import json

import pytest
from datasets import Dataset, Image, load_dataset
from PIL import Image as Picture
from trl.data_utils import is_conversational, prepare_multimodal_messages

from riskpo.errors import DataError
from riskpo.rewards.adapters import ComputeScore, VerifierReward
from riskpo.rewards.code import CodeVerifier
from riskpo.rewards.math import MathVerifier
from riskpo.tasks.export import check_output, export, verl_rows
from riskpo.tasks.loading import load
from riskpo.tasks.registry import DATA_TASKS
from riskpo.tasks.rows import as_dataset, drawn, rows_of, with_open_image
from riskpo.tasks.templates import TEMPLATES


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def part(name, split, data, count=3):
    from dataclasses import replace

    loaded = load(DATA_TASKS[name], split, data_dir=data)
    return replace(loaded, items=loaded.items[:count])


def own(loaded):
    return loaded.task.find_template(None)


@pytest.fixture
def pictures(tmp_path):
    """Two geometry questions on drawn images."""
    rows = []
    for number, colour in enumerate(("red", "blue")):
        Picture.new("RGB", (30, 20), colour).save(tmp_path / f"{colour}.png")
        rows.append({"id": number, "question": f"Find x{number}.", "answer": str(number), "image": f"{colour}.png"})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load(DATA_TASKS["geometry3k"], data_file=tmp_path / "rows.jsonl")


# --- TRL ---


def test_rows_of_a_text_task(data):
    rows = rows_of(part("gsm8k", "test", data), TEMPLATES["gsm8k"])
    assert rows[0]["prompt"][0]["content"].startswith("Janet\u2019s ducks lay 16 eggs per day.")
    assert {key: rows[0][key] for key in rows[0] if key != "prompt"} == {
        "answer": "18",
        "prompt_id": "gsm8k/gsm8k-test-00000",
        "task": "gsm8k",
    }
    assert as_dataset(rows).to_list() == rows


@pytest.mark.parametrize(("name", "split"), [("code-sample", "sample"), ("humaneval", "test"), ("mbpp", "test")])
def test_the_code_scorer_can_use_the_tests(name, split, data):
    """Through a `datasets.Dataset`, which is what the trainer reads."""
    rows = as_dataset(rows_of(part(name, split, data, 12), own(part(name, split, data)))).to_list()
    verifier = CodeVerifier.__new__(CodeVerifier)  # reading tests needs no sandbox
    assert verifier.check_gold(rows) == [None] * len(rows)


def test_images_are_places_in_the_conversation_and_a_column(pictures):
    rows = rows_of(pictures, TEMPLATES["geo3k"], system="Look.")
    data = as_dataset(rows)
    assert isinstance(data.features["image"], Image)
    for row, size in zip(data, ((30, 20), (30, 20)), strict=True):
        assert row["image"].size == size
        assert is_conversational({"prompt": row["prompt"]})
        filled = prepare_multimodal_messages(row["prompt"], [row["image"]])
        assert filled[-1]["content"][0]["image"] is row["image"]
    assert with_open_image(rows[1])["image"].getpixel((0, 0)) == (0, 0, 255)


def test_the_choice_scorer_reads_mathvision(data):
    from riskpo.rewards.choice import ChoiceVerifier

    loaded = part("mathvision-sample", "sample", data, 160)
    rows = rows_of(loaded, own(loaded))
    assert ChoiceVerifier().check_gold(rows) == [None] * 160


def test_drawing_rows():
    rows = [{"n": n} for n in range(10)]
    assert drawn(rows, 4, 1) == drawn(rows, 7, 1)[:4] != drawn(rows, 4, 2)
    assert sorted(row["n"] for row in drawn(rows, 0, 1)) == list(range(10))
    with pytest.raises(ValueError, match="there are 10 rows, 11 wanted"):
        drawn(rows, 11, 1)


# --- verl ---


def test_rows_for_verl(data):
    (row, *_) = verl_rows(part("dapo-math-17k", "train", data), TEMPLATES["dapo"])
    assert row["data_source"] == "math_dapo"
    assert (row["ability"], row["reward_model"]) == ("math", {"style": "rule", "ground_truth": "34"})
    assert row["prompt"][0]["content"].startswith("Solve the following math problem step by step.")
    assert row["extra_info"] | {"question": ""} == {
        "split": "train",
        "index": 0,
        "prompt_id": "dapo-math-17k/dapo-00000",
        "question": "",
    }
    score = ComputeScore(MathVerifier("dapo"))(
        row["data_source"], "so\nAnswer: 34", row["reward_model"]["ground_truth"], row["extra_info"]
    )
    assert (score["score"], score["verdict"]) == (1.0, "correct")


def test_programs_for_verl(data):
    (row, *_) = verl_rows(part("code-sample", "sample", data), TEMPLATES["livecodebench"])
    assert json.loads(row["reward_model"]["ground_truth"])["tests"] == row["extra_info"]["tests"]
    assert CodeVerifier.check_gold(None, [row["extra_info"]]) == [None]


def test_images_for_verl(pictures):
    rows = verl_rows(pictures, TEMPLATES["geo3k"])
    assert rows[0]["prompt"][0]["content"].startswith("<image>Find x0. You FIRST think")
    assert rows[0]["images"][0]["bytes"].startswith(b"\x89PNG")


def test_verl_takes_no_texts(data):
    with pytest.raises(DataError, match="template boxed-text is a text, and verl's prompts are conversations"):
        verl_rows(part("math500", "test", data), TEMPLATES["boxed-text"])


# --- files ---


def test_a_parquet_for_verl(tmp_path, data):
    loaded = part("gsm8k", "test", data)
    path = tmp_path / "gsm8k.parquet"
    assert export(loaded, "verl", path, own(loaded), notes={"dropped": {}}) == 3
    read = load_dataset("parquet", data_files=str(path), split="train")
    assert set(read.column_names) == {"data_source", "prompt", "ability", "reward_model", "extra_info"}
    assert read[0]["reward_model"] == {"ground_truth": "18", "style": "rule"}
    beside = json.loads((tmp_path / "gsm8k.parquet.source.json").read_text())
    assert beside == {
        "task": "gsm8k",
        "split": "test",
        "file": "gsm8k_test.jsonl",
        "sha256": "09cc14d332b1b1afa389d8cace09bec1662d62004072d2da042da186216cae5e",
        "shape": "plain: question, answer, solution",
        "rows": 1319,
        "written": 3,
        "format": "verl",
        "template": "gsm8k",
        "scorer": "math:gsm8k-strict",
        "dropped": {},
    }


def test_an_export_for_verl_is_read_as_the_task_again(tmp_path, data):
    """Its shape is DAPO's own."""
    loaded = part("dapo-math-17k", "train", data)
    export(loaded, "verl", tmp_path / "dapo.parquet", own(loaded))
    again = load(loaded.task, data_file=tmp_path / "dapo.parquet")
    assert [(item.question, item.answer) for item in again.items] == [
        (item.question.strip(), item.answer) for item in loaded.items
    ]


def test_images_travel_in_the_parquet(pictures, tmp_path):
    for form, column in (("trl", "image"), ("verl", "images")):
        path = tmp_path / f"{form}.parquet"
        export(pictures, form, path, TEMPLATES["geo3k"])
        (tmp_path / "red.png").rename(tmp_path / "away.png")
        value = Dataset.from_parquet(str(path))[0][column]
        assert (value[0] if form == "verl" else value).getpixel((0, 0)) == (255, 0, 0)
        (tmp_path / "away.png").rename(tmp_path / "red.png")


def test_text_files(tmp_path, data, pictures):
    loaded = part("math500", "test", data)
    export(loaded, "jsonl", tmp_path / "plain.jsonl.gz", own(loaded))
    with gzip.open(tmp_path / "plain.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    assert [set(row) for row in rows] == [{"id", "question", "answer"}] * 3
    assert load(loaded.task, data_file=tmp_path / "plain.jsonl.gz").items == loaded.items
    export(loaded, "trl", tmp_path / "rows.jsonl", own(loaded))
    assert json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])["prompt_id"] == "math500/math500-000"
    export(pictures, "jsonl", tmp_path / "pictures.jsonl", TEMPLATES["geo3k"])
    assert load(pictures.task, data_file=tmp_path / "pictures.jsonl").items == pictures.items


@pytest.mark.parametrize(
    ("form", "name", "message"),
    [
        ("verl", "a.jsonl", r"format verl is written to \*\.parquet, not a\.jsonl"),
        ("jsonl", "a.parquet", r"format jsonl is written to \*\.jsonl or \*\.jsonl\.gz"),
        ("trl", "nowhere/a.parquet", r"the folder .*nowhere does not exist"),
        ("trl", "there.jsonl", r"there\.jsonl is there already: choose another --output, or add --overwrite"),
        ("parquet", "a.parquet", "unknown format 'parquet'"),
    ],
)
def test_refused_files(form, name, message, tmp_path):
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(DataError, match=message):
        check_output(form, tmp_path / name, overwrite=False)
    check_output("trl", tmp_path / "there.jsonl", overwrite=True)


def test_the_reward_of_a_task_on_its_rows(data):
    """The published solutions of GSM8K are right by the task's own scorer; a corrupted one is not."""
    from riskpo.runs.rewards import load_reward

    loaded = part("gsm8k", "test", data, 200)
    with open(data / "gsm8k_test.jsonl") as lines:
        solutions = [json.loads(line)["solution"] for _, line in zip(range(200), lines, strict=False)]
    rows = rows_of(loaded, own(loaded))
    reward = load_reward(loaded.task.scorer_for(own(loaded)))
    assert isinstance(reward, VerifierReward)
    answers = [row["answer"] for row in rows]
    assert reward(completions=solutions, answer=answers) == [1.0] * 200
    assert reward(completions=[solutions[0] + "1"], answer=answers[:1]) == [0.0]


@pytest.mark.slow
def test_programs_in_the_form_that_their_template_asks_for(data):
    """HumanEval's and MBPP's own solutions: continued as text, fenced in a conversation; and a wrong one of each."""
    from riskpo.runs.rewards import load_reward

    loaded = part("humaneval", "test", data)
    for name, form in (("completion", "{}"), ("evalplus", "```python\n{}\n```")):
        rows = rows_of(loaded, TEMPLATES[name])
        reward = load_reward(loaded.task.scorer_for(TEMPLATES[name]))
        columns = {column: [row[column] for row in rows] for column in ("question", "test", "entry_point")}
        whole = [row["answer"] if name == "completion" else row["question"] + row["answer"] for row in rows]
        assert reward(completions=[form.format(text) for text in whole], **columns) == [1.0] * 3
        assert reward(completions=["    return None\n"] * 3, **columns) == [0.0] * 3
    loaded = part("mbpp", "test", data)
    rows = rows_of(loaded, own(loaded))
    columns = {column: [row[column] for row in rows] for column in ("test_list", "test_imports")}
    fenced = [f"```python\n{row['answer']}\n```" for row in rows]
    assert load_reward("code")(completions=fenced, **columns) == [1.0] * 3
