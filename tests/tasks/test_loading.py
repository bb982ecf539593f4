"""Every loader on rows of the documented shapes and on the real files, and every kind of malformed row by its place."""

import base64
import gzip
import io
import json
import pickle
import zlib
from types import SimpleNamespace

import pytest
from datasets import Dataset
from PIL import Image

from riskpo.errors import DataError
from riskpo.tasks.base import RowError
from riskpo.tasks.loading import load
from riskpo.tasks.programs import cases_of, longest, unpacked
from riskpo.tasks.registry import DATA_TASKS
from riskpo.tasks.source import checksum, locate, resolve_commit

# --- rows as the hub has them, one of each data set; not downloaded: written after its documented columns ---

STDIN = {"input": "1\n", "output": "2\n", "testtype": "stdin", "fn_name": ""}
CALL = {"input": '[1, 2]\n"a"', "output": "3", "testtype": "functional", "fn_name": "f"}
PUBLIC = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]
PRIVATE = [{"input": "3\n", "output": "4\n", "testtype": "stdin"}]
PACKED = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(PRIVATE)))).decode()
FRAMED = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\nWhat is $1+1$?\n\nRemember to put your "
    'answer on its own line after "Answer:".'
)


def dapo(question=FRAMED, gold="2", index="a"):
    return {
        "data_source": "math_dapo",
        "prompt": [{"role": "user", "content": question}],
        "ability": "MATH",
        "reward_model": {"ground_truth": gold, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": index},
    }


HUB = {
    "gsm8k": ({"question": "q", "answer": "1 + 1 = 2\n#### 1,002"}, ("q", "1,002")),
    "math": (
        {"problem": "q", "level": "Level 1", "type": "Algebra", "solution": r"so $\boxed{\frac{1}{2}}$."},
        ("q", r"\frac{1}{2}"),
    ),
    "math500": (
        {
            "problem": "q",
            "solution": "s",
            "answer": "2",
            "subject": "Algebra",
            "level": 2,
            "unique_id": "test/a/1.json",
        },
        ("q", "2"),
    ),
    "dapo-math-17k": (dapo(), ("What is $1+1$?", "2")),
    "aime24": (
        {"id": 60, "problem": "q", "solution": "s", "answer": "025", "url": "u", "year": "2024"},
        ("q", "025"),
    ),
    "aime25": ({"problem": "q", "answer": "70", "id": "0"}, ("q", "70")),
    "amc": ({"id": 0, "problem": "q", "answer": 142.0, "url": "u"}, ("q", "142")),
    "minerva": ({"question": "q", "answer": "4.5e33"}, ("q", "4.5e33")),
    "olympiadbench": (
        {
            "id": 1606,
            "question": "q",
            "solution": ["s"],
            "final_answer": ["2"],
            "context": "Let $x=1$.",
            "image_1": None,
            "is_multiple_answer": False,
            "unit": None,
            "answer_type": "Numerical",
            "error": "1e-1",
        },
        ("Let $x=1$.\n\nq", "2"),
    ),
    "humaneval": (
        {
            "task_id": "HumanEval/0",
            "prompt": "def f():\n",
            "canonical_solution": "    return 1\n",
            "test": "def check(c):\n    assert c() == 1\n",
            "entry_point": "f",
        },
        ("def f():\n", "    return 1\n"),
    ),
    "mbpp": (
        {
            "source_file": "a.ipynb",
            "task_id": 11,
            "prompt": "Write f.",
            "code": "def f(): ...",
            "test_imports": [],
            "test_list": ["assert f() is None"],
        },
        ("Write f.", "def f(): ..."),
    ),
    "livecodebench": (
        {
            "question_title": "t",
            "question_content": "q",
            "platform": "atcoder",
            "question_id": "abc301_a",
            "contest_id": "abc301",
            "contest_date": "2023-05-13T00:00:00",
            "starter_code": "",
            "difficulty": "easy",
            "public_test_cases": json.dumps(PUBLIC),
            "private_test_cases": PACKED,
            "metadata": "{}",
        },
        ("q", None),
    ),
    "deepcoder": (
        {
            "problem": "q",
            "solutions": ["x"],
            "tests": json.dumps([{"type": "stdin_stdout", "input": "1\n", "output": "2\n"}]),
        },
        ("q", None),
    ),
}


def written(tmp_path, *rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", HUB)
def test_rows_as_the_hub_has_them(name, tmp_path):
    """In JSONL, packed JSONL and parquet alike."""
    row, expected = HUB[name]
    text = written(tmp_path, row)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(text.read_bytes(), mtime=0))
    Dataset.from_list([row]).to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    for path in ("rows.jsonl", "packed.jsonl.gz", "rows.parquet", "rows.json"):
        loaded = load(DATA_TASKS[name], data_file=tmp_path / path)
        (item,) = loaded.items
        assert (item.question, item.answer) == expected, path
        assert loaded.record["sha256"] == checksum(tmp_path / path)


def test_what_the_scorer_gets(tmp_path):
    def fields(name):
        return dict(load(DATA_TASKS[name], data_file=written(tmp_path, HUB[name][0])).items[0].fields)

    assert fields("livecodebench") == {"tests": [STDIN, {**STDIN, "input": "3\n", "output": "4\n"}], "starter_code": ""}
    assert fields("deepcoder") == {"tests": [STDIN], "starter_code": ""}
    assert fields("humaneval")["question"] == "def f():\n"
    assert fields("mbpp") == {"test_list": ["assert f() is None"], "test_imports": []}
    assert fields("olympiadbench") == {"is_multiple_answer": False, "answer_type": "Numerical", "error": "1e-1"}


def test_an_image_as_the_hub_has_it(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, format="PNG")
    row = {"images": [{"bytes": buffer.getvalue(), "path": None}], "problem": "<image>Find x.", "answer": "3"}
    Dataset.from_list([row]).to_parquet(tmp_path / "rows.parquet")
    (item,) = load(DATA_TASKS["geometry3k"], data_file=tmp_path / "rows.parquet").items
    assert (item.question, item.answer, item.image["bytes"]) == ("Find x.", "3", buffer.getvalue())


def test_repeated_rows_of_dapo_are_read_once(tmp_path):
    rows = [dapo(index="a"), dapo("What?", "3", "b")] * 100
    Dataset.from_list(rows).to_parquet(tmp_path / "rows.parquet")
    for path in (written(tmp_path, *rows), tmp_path / "rows.parquet"):
        items = load(DATA_TASKS["dapo-math-17k"], data_file=path).items
        assert [(item.question, item.answer, item.source_id) for item in items] == [
            ("What is $1+1$?", "2", "a"),
            ("What?", "3", "b"),
        ]


# --- the real files ---

REAL = {
    ("gsm8k", "train"): (7473, "8f228ef3d4c3c72886d169722b8d76ed20ddd38ac3c4cb07e990b18d20558cdf"),
    ("gsm8k", "test"): (1319, "09cc14d332b1b1afa389d8cace09bec1662d62004072d2da042da186216cae5e"),
    ("math", "train"): (7498, "9094a7fcb63761f5e6bb5a9806ebceaa42fbbd9c9472ee04197c33e54bf1033d"),
    ("math", "test"): (5000, "2e1b875a3cf7290a30e478534fdfa1005ec6ddeddd62ada9e24a9de001923a95"),
    ("math500", "test"): (500, "7ee3870e89aadf01d0c9427d1d7efab9cf5df7ee78d19a918a31e8b4e8537a9d"),
    ("aime24", "test"): (30, "5415112418510ed857917c48b7b795834541787dc58640a73655b16ef3c79380"),
    ("aime25", "test"): (30, "cb6c3feb84e6748154b3d491dacdbc6a896a6e1c33a354ca8658313cc2722a0b"),
    ("amc", "test"): (83, "bd7b5067d7d1c317f72d539d27876c88de5ad41c33478786fa21d70cfa1c871d"),
    ("olympiadbench", "half"): (338, "7fe6d47598d496b766a054dd73949b86efb5460e45ae0ef021757f62b299000b"),
    ("dapo-math-17k", "train"): (17917, "e87c94834bac2650293a682f4433636a1cf624f822b32d0cfa23efeaf47c9eb6"),
    ("humaneval", "test"): (164, "a3715475d490c833d4c66267f099ae911cf3692c31e92ff871f9ebbcf0aab0a9"),
    ("mbpp", "all"): (427, "5db3a4c63c3d6a8fe692091d1a2cca47f06dad483e01af63c7e50460fce1a8af"),
    ("mbpp", "test"): (257, "5db3a4c63c3d6a8fe692091d1a2cca47f06dad483e01af63c7e50460fce1a8af"),
    ("mbpp", "train"): (120, "5db3a4c63c3d6a8fe692091d1a2cca47f06dad483e01af63c7e50460fce1a8af"),
    ("code-sample", "sample"): (12, "003f07610edab73f66d6516da3eab1c2a2fbdffa572639be20d030bef550a8cd"),
    ("geometry3k", "sample"): (10, "2114186951da1e88fb9e99114950fc11c659cb173697eed34a3ad5d8bae8e233"),
    ("mathvision-sample", "sample"): (160, "ee084e96fcf8ab7d3e7e73752e7f215b5ac100a25f84b4a45c7559cc52c0a71e"),
}


@pytest.mark.parametrize(("name", "split"), REAL)
def test_the_real_files(name, split, data):
    loaded = load(DATA_TASKS[name], split, data_dir=data)
    assert (len(loaded.items), loaded.record["sha256"]) == REAL[name, split]
    assert len({item.source_id for item in loaded.items}) == len(loaded.items)
    rows = DATA_TASKS[name].splits[split].rows
    assert loaded.notes == (
        () if rows == len(loaded.items) else (f"{len(loaded.items)} rows; its source states {rows}",)
    )


def test_the_golds_of_maths_solutions(data):
    """The hub's copy makes a loader read the box. One solution of 5 000 boxes something else."""
    from riskpo.tasks.competition_math import boxed_gold

    with gzip.open(data / "math_test.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    wrong = [
        row["id"] for row in rows if boxed_gold({**row, "problem": row["question"]}).answer != row["answer"].strip()
    ]
    assert wrong == ["math-test-04060"]


def test_a_solution_that_boxes_something_else(data, tmp_path):
    with gzip.open(data / "math_test.jsonl.gz", "rt") as lines:
        (row,) = [row for row in map(json.loads, lines) if row["id"] == "math-test-04060"]
    path = written(tmp_path, {"problem": row["question"], "solution": row["solution"]})
    loaded = load(DATA_TASKS["math"], "test", data_file=path)
    assert loaded.items[0].answer == "6"
    assert loaded.notes[0].startswith("math-test-04060 has the gold 6: a question about boxes")


def test_known_rows_without_a_gold_are_left_out(data, tmp_path):
    lines = (data / "math_train_empty_gold.jsonl").read_text() + '{"question": "q", "answer": "1"}\n'
    (tmp_path / "rows.jsonl").write_text(lines)
    loaded = load(DATA_TASKS["math"], data_file=tmp_path / "rows.jsonl")
    assert len(loaded.items) == 1
    assert [note.split(" ")[0] for note in loaded.notes[:2]] == ["math-train-07036", "math-train-07436"]


# --- malformed rows ---

GOOD = '{"question": "q", "answer": "1", "id": "a"}\n'


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("math", GOOD + "{oops\n", r"line 2: not JSON \(Expecting property name"),
        ("math", GOOD + "\n[1]\n", r"line 3: expected an object, got list"),
        ("math", GOOD + '{"question": "q", "id": "b"}\n', r"line 2: lacks the column\(s\) \['answer'\] of the shape"),
        ("math", '{"question": "q", "answer": null}\n', r"line 1: answer must be a text or a number, got null"),
        ("math", '{"question": "q", "answer": " "}\n', r"line 1: the gold answer is empty"),
        ("math", '{"question": "q", "answer": true}\n', r"line 1: answer must be a text or a number, got bool"),
        ("math", '{"question": " \\n", "answer": "1"}\n', r"line 1: the question is empty"),
        ("math", '{"question": 5, "answer": "1"}\n', r"line 1: question must be a text, got int"),
        ("math", '{"question": ["q"], "answer": "1"}\n', r"line 1: question must be a text, got list"),
        ("math", GOOD + GOOD, r"line 2: the id a repeats that of an earlier row"),
        ("math", '{"prompt": "q"}\n', r"line 1: has the columns \['prompt'\], which is no shape of task math. Known: "),
        ("math", "", r"holds no rows of split train"),
        ("math", '{"problem": "q", "solution": "no box"}\n', r"line 1: the gold answer is empty"),
        ("gsm8k", '{"question": "q", "answer": "72"}\n', r"line 1: answer has no #### before its number"),
        ("geometry3k", '{"image": null, "question": "q", "answer": "1"}\n', r"line 1: the image is missing"),
        (
            "geometry3k",
            '{"image": "a.png", "question": "q", "answer": "1"}\n',
            r"line 1: the image .*a\.png is missing",
        ),
        (
            "geometry3k",
            '{"image": "rows.jsonl", "question": "q", "answer": "1"}\n',
            r"line 1: the image cannot be opened",
        ),
        ("deepcoder", '{"problem": "q", "tests": "[]"}\n', r"line 1: tests must be a list that is not empty"),
        ("deepcoder", '{"problem": "q", "tests": "{"}\n', r"line 1: tests is a text that is no JSON"),
        ("deepcoder", '{"problem": "q", "tests": [{"input": "1"}]}\n', r"line 1: test 0 has no input and output"),
        (
            "dapo-math-17k",
            json.dumps({**dapo(), "prompt": "q"}) + "\n",
            r"line 1: prompt must be a list of messages, got str",
        ),
        ("mbpp", json.dumps({**HUB["mbpp"][0], "test_list": []}) + "\n", r"line 1: test_list is empty"),
    ],
)
def test_malformed_rows(name, lines, message, tmp_path):
    (tmp_path / "rows.jsonl").write_text(lines)
    with pytest.raises(DataError, match=message) as caught:
        load(DATA_TASKS[name], data_file=tmp_path / "rows.jsonl")
    assert str(tmp_path / "rows.jsonl") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"question": "\xe9"}', "could not be read: 'utf-8' codec"),
        ("a.jsonl.gz", b"plain text", "could not be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(GOOD.encode() * 99, mtime=0)[:40], "could not be read: Compressed file ended"),
        ("a.parquet", b"PAR1????", "could not be read: "),
        ("a.json", b"{}", "must hold a list of rows, got dict"),
        ("a.csv", b"question,answer", r"cannot tell the format of .*a\.csv"),
    ],
)
def test_broken_files(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(DATA_TASKS["math"], data_file=tmp_path / name)


def test_a_pickle_that_is_no_text():
    """The private tests of LiveCodeBench are pickled: nothing that a pickle names is looked up, let alone called."""
    hostile = base64.b64encode(zlib.compress(pickle.dumps(print))).decode()
    with pytest.raises(RowError, match=r"a pickle of builtins.print, not of a text"):
        unpacked(hostile)
    assert unpacked(PACKED) == PRIVATE == unpacked(json.dumps(PRIVATE))


def test_shapes_of_tests():
    columns = {"inputs": [[[1, 2], "a"]], "outputs": [[3]], "fn_name": "f"}
    assert cases_of(columns) == [CALL]
    assert cases_of({"inputs": ["1\n"], "outputs": ["2\n"]}) == [STDIN]
    assert cases_of([{"type": "function_call", "fn_name": "f", "input": [[1, 2], "a"], "output": 3}]) == [CALL]
    lcb = {"input": '[1, 2]\n"a"', "output": "3", "testtype": "functional", "metadata": {"func_name": "f"}}
    assert cases_of([lcb]) == [CALL] == cases_of([{**lcb, "metadata": {}}], "f")
    with pytest.raises(RowError, match="calls a function that it does not name"):
        cases_of([{**lcb, "metadata": {}}])
    cases = [{**STDIN, "input": "x" * size} for size in (1, 5, 2, 9)]
    assert [len(case["input"]) for case in longest(cases, 2)] == [5, 9]


# --- where rows are looked for ---


def test_the_folder_wins_and_is_no_door_to_the_hub(tmp_path, monkeypatch):
    written(tmp_path, {"problem": "q", "answer": "1"}, name="aime24.jsonl")
    monkeypatch.setenv("RISKPO_DATA_DIR", str(tmp_path))
    assert len(load(DATA_TASKS["aime24"]).items) == 1
    with pytest.raises(DataError, match=r"split test of task aime25 needs a file aime25\.\* .* and there is none"):
        load(DATA_TASKS["aime25"])
    (tmp_path / "aime24.json").write_text("[]")
    with pytest.raises(DataError, match=r"holds aime24\.jsonl and aime24\.json: which is meant"):
        load(DATA_TASKS["aime24"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_file": "nowhere.jsonl"}, r"nowhere\.jsonl does not exist"),
        ({"data_dir": "nowhere"}, "--data-dir nowhere is not a folder"),
        ({"split": "tset"}, "task gsm8k: unknown split 'tset'. Did you mean 'test'"),
    ],
)
def test_nothing_there(options, message):
    with pytest.raises(DataError, match=message):
        load(DATA_TASKS["gsm8k"], **options)


def test_a_local_task_has_no_hub():
    with pytest.raises(DataError, match="split sample of task mathvision-sample is not on the hub: give its file"):
        locate(DATA_TASKS["mathvision-sample"], "sample")


# --- the hub's side, with the network taken away or faked: not run against the hub ---


def test_without_a_network(monkeypatch):
    def fails(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fails)
    with pytest.raises(
        DataError, match="openai/gsm8k could not be loaded: no route to host Without the hub, give its rows"
    ):
        load(DATA_TASKS["gsm8k"])


@pytest.fixture
def hub(monkeypatch):
    """A hub that knows one commit and serves what a test puts into it; records what was asked."""
    asked, served = [], {}

    def info(self, repo, revision=None):
        asked.append((repo, revision))
        return SimpleNamespace(sha="c0ffee")

    def load_dataset(repo, config, *, split, revision):
        asked.append((repo, config, split, revision))
        return Dataset.from_list(served[config, split])

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", info)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    return asked, served


def test_the_commit_that_is_resolved_is_the_one_that_is_loaded(hub):
    asked, served = hub
    served["main", "test"] = [HUB["gsm8k"][0]]
    loaded = load(DATA_TASKS["gsm8k"], "test", revision="main")
    assert asked == [("openai/gsm8k", "main"), ("openai/gsm8k", "main", "test", "c0ffee")]
    assert {key: loaded.record[key] for key in ("hub", "commit", "revision")} == {
        "hub": "openai/gsm8k",
        "commit": "c0ffee",
        "revision": "main",
    }
    assert resolve_commit("openai/gsm8k") == "c0ffee"


def test_parts_follow_one_another_and_places_are_named(hub):
    served = hub[1]
    for subject in DATA_TASKS["math"].splits["test"].hub:
        served[subject.config, "test"] = [{"problem": f"{subject.config}?", "solution": r"\boxed{1}"}]
    served["precalculus", "test"].append({"problem": "", "solution": r"\boxed{1}"})
    with pytest.raises(
        DataError, match=r"^EleutherAI/hendrycks_math@c0ffee, precalculus, test, row 2: the question is em"
    ):
        load(DATA_TASKS["math"], "test")
    served["precalculus", "test"].pop()
    assert [item.question for item in load(DATA_TASKS["math"], "test").items][:2] == [
        "algebra?",
        "counting_and_probability?",
    ]


def test_files_of_a_repository_that_has_a_script(hub, tmp_path, monkeypatch):
    def download(repo, name, *, repo_type, revision):
        assert (repo, repo_type, revision) == ("livecodebench/code_generation_lite", "dataset", "c0ffee")
        row = {**HUB["livecodebench"][0], "question_id": name}
        return written(tmp_path, row, name=name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    items = load(DATA_TASKS["livecodebench"]).items
    assert [item.source_id for item in items] == ["test.jsonl", *(f"test{number}.jsonl" for number in range(2, 7))]
