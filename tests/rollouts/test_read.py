"""Rollouts from files: every format, and every way in which a row can be none."""

import gzip
import json
import math

import pandas
import pytest

from riskpo.errors import DataError
from riskpo.rollouts.files import find_files
from riskpo.rollouts.read import read_rollouts

NAN = math.nan


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rewards(step):
    """As lists, None for NaN."""
    return [[None if math.isnan(value) else value for value in row] for row in step.rewards_PG.tolist()]


# --- completions: this package's and TRL's ---


def completions(step, **columns):
    table = {
        "step": [step] * 4,
        "prompt": ["a", "a", "b", "b"],
        "completion": [f"{step}-{row}" for row in range(4)],
        "accuracy": [1.0, 0.0, 0.0, 0.0],
        "format": [0.5, 0.5, None, 0.5],
        "note": ["x", "y", "z", "w"],
        "advantage": [0.1, -0.1, 0.0, 0.0],
    }
    return pandas.DataFrame(table | columns)


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "a run=1" / "completions"
    folder.mkdir(parents=True)
    for step in (2, 10, 1):
        completions(step).to_parquet(folder / f"completions_{step:05d}.parquet")
    return folder.parent


def test_a_runs_folder(run_folder):
    """Steps in order of their numbers; numeric columns are rewards and add up, text is not, null adds nothing."""
    log = read_rollouts([run_folder])
    assert (log.format, log.files, [step.step for step in log.steps]) == ("completions", 3, [1, 2, 10])
    assert rewards(log.steps[0]) == [[1.5, 0.5], [0.0, 0.5]]
    assert log.steps[0].prompt_ids == ("a", "b")
    assert log.steps[0].logps_PG is None
    assert log.reward_bounds == (0.0, 1.5)
    assert log.notes == ["the reward is the sum of 2 columns: accuracy, format (--reward picks or weighs them)"]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"accuracy": 1.0}, [[1.0, 0.0], [0.0, 0.0]]),
        ({"format": 1.0}, [[0.5, 0.5], [None, 0.5]]),
        ({"accuracy": 2.0, "format": -1.0}, [[1.5, -0.5], [0.0, -0.5]]),
    ],
)
def test_chosen_rewards(run_folder, weights, expected):
    log = read_rollouts([run_folder / "completions" / "completions_00001.parquet"], weights)
    assert rewards(log.steps[0]) == expected
    assert not any("sum" in note for note in log.notes)


def test_conversations_are_prompts(tmp_path):
    """TRL logs chat prompts as lists of messages; equal ones are one prompt."""
    chat = [[{"role": "user", "content": text}] for text in "aabb"]
    completions(1, prompt=chat, completion=chat).to_parquet(tmp_path / "c.parquet")
    (step,) = read_rollouts([tmp_path]).steps
    assert step.rewards_PG.shape == (2, 2)
    assert json.loads(step.prompt_ids[0]) == chat[0]


def test_a_generation_that_is_logged_twice_counts_once(tmp_path):
    """TRL logs at every optimiser step, also where several of them share one generation."""
    for step, text in ((1, "x"), (2, "x"), (3, "y")):
        completions(step, completion=[text] * 4).to_parquet(tmp_path / f"completions_{step}.parquet")
    log = read_rollouts([tmp_path])
    assert [step.step for step in log.steps] == [1, 3]
    assert "1 steps repeat the generation of the step before them, and count once" in log.notes


def test_log_probabilities(tmp_path):
    completions(1, logprob=[-1.0, -2.0, None, -3.0]).to_parquet(tmp_path / "c.parquet")
    (step,) = read_rollouts([tmp_path]).steps
    assert step.logps_PG[0].tolist() == [-1.0, -2.0]
    assert step.logps_PG[1].isnan().tolist() == [True, False]
    assert rewards(step) == [[1.5, 0.5], [0.0, 0.5]]  # no reward


@pytest.mark.slow
def test_what_trl_writes(tmp_path, chain_model):
    """Two real steps of TRL's own trainer, read back: its rewards, in groups of its size."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    given = []

    def lengths(completions, **_):
        given.extend(float(len(text) % 2) for text in completions)
        return given[-len(completions) :]

    args = GRPOConfig(
        str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=4,
        log_completions=True,
        logging_steps=1,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
    )
    data = Dataset.from_dict({"prompt": [f"1+{digit}=" for digit in range(8)]})
    GRPOTrainer(chain_model, lengths, args=args, train_dataset=data).train()
    log = read_rollouts([tmp_path / "out"])
    assert (log.format, [step.step for step in log.steps]) == ("completions", [1, 2])
    assert [value for step in log.steps for value in step.rewards_PG.flatten().tolist()] == given
    assert all(step.rewards_PG.shape == (2, 4) for step in log.steps)


# --- verl ---


def test_verl_dumps(tmp_path):
    """One file a step, named by it; rows of a prompt need not be neighbours; other keys are nobody's rewards."""
    for step in (10, 2):
        rows = [
            {"input": text, "output": f"{step}{n}", "gts": "4", "score": score, "step": step, "acc": 0.0}
            for n, (text, score) in enumerate([("b", 0.0), ("a", 1.0), ("b", 1.0), ("a", -1.0)])
        ]
        lines(tmp_path / f"{step}.jsonl", rows)
    log = read_rollouts([tmp_path])
    assert (log.format, [step.step for step in log.steps]) == ("verl", [2, 10])
    assert log.steps[0].prompt_ids == ("b", "a")
    assert rewards(log.steps[0]) == [[0.0, 1.0], [1.0, -1.0]]
    assert rewards(read_rollouts([tmp_path], {"acc": 1.0}).steps[0]) == [[0.0, 0.0]] * 2


def test_verl_dumps_without_a_step_are_named_by_it(tmp_path):
    for step in (3, 12):
        lines(tmp_path / f"{step}.jsonl", [{"input": "a", "output": str(step), "score": 1}])
    assert [step.step for step in read_rollouts([tmp_path]).steps] == [3, 12]


# --- plain rows ---


def test_plain_rows(tmp_path):
    """Without a step all are one; uneven groups are filled up, null is unscorable, true and false are 1 and 0."""
    rows = [
        {"prompt_id": "a", "prompt": "same", "reward": 1, "logprob": -1.5},
        {"prompt_id": "b", "prompt": "same", "reward": False, "logprob": -2},
        {"prompt_id": "a", "prompt": "same", "reward": None, "logprob": None},
        {"prompt_id": "a", "prompt": "same", "reward": True, "logprob": -3},
    ]
    log = read_rollouts([lines(tmp_path / "rows.jsonl", rows)])
    (step,) = log.steps
    assert (log.format, step.step, step.prompt_ids) == ("plain", 0, ("a", "b"))
    assert rewards(step) == [[1.0, None, 1.0], [0.0, None, None]]
    assert step.logps_PG[0, [0, 2]].tolist() == [-1.5, -3.0]
    assert log.notes == ["1 of 1 steps have unscorable responses or groups of uneven size"]


def test_plain_rows_of_several_files_packed_or_not(tmp_path):
    lines(tmp_path / "a.jsonl", [{"prompt": "x", "reward": 1, "step": 2}, {"prompt": "x", "reward": 0, "step": 1.0}])
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write('\ufeff{"prompt": "x", "reward": NaN, "step": 1}\n\n')
    pandas.DataFrame({"prompt": ["y"], "reward": [0.5], "step": [1]}).to_parquet(tmp_path / "c.parquet")
    log = read_rollouts([tmp_path])
    assert [rewards(step) for step in log.steps] == [[[0.0, None], [0.5, None]], [[1.0]]]


# --- what is no rollout ---

GOOD = '{"prompt": "a", "reward": 1, "step": 1, "logprob": -1}'


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("not json", "line 2: not JSON"),
        ("[" * 100_000, "line 2: not JSON"),
        ("[1, 2]", "line 2: expected an object, got list"),
        ('{"prompt": "a", "step": 1, "logprob": -1}', "line 2: `reward` must be a number or null, got nothing"),
        ('{"prompt": "a", "reward": "1", "step": 1}', "line 2: `reward` must be a number or null, got '1'"),
        ('{"prompt": "a", "reward": [1], "step": 1}', "line 2: `reward` must be a number or null"),
        ('{"prompt": "a", "reward": Infinity, "step": 1}', "line 2: `reward` is not finite"),
        ('{"prompt": "a", "reward": 1' + "0" * 400 + ', "step": 1}', "line 2: `reward` is not finite"),
        ('{"prompt": null, "reward": 1, "step": 1}', "line 2: `prompt` is None"),
        ('{"reward": 1, "step": 1}', "line 2: `prompt` is nothing"),
        ('{"prompt": "a", "reward": 1}', "line 2: `step` must be a whole number, got nothing"),
        ('{"prompt": "a", "reward": 1, "step": 1.5}', "line 2: `step` must be a whole number, got 1.5"),
        ('{"prompt": "a", "reward": 1, "step": true}', "line 2: `step` must be a whole number, got True"),
        ('{"prompt": "a", "reward": 1, "step": null}', "line 2: `step` must be a whole number, got None"),
        ('{"prompt": "a", "reward": 1, "step": 1, "logprob": 2}', "line 2: `logprob` is 2; .* at most 0"),
        ('{"prompt": "a", "reward": 1, "step": 1}', "line 2: `logprob` must be a number or null, got nothing"),
    ],
)
def test_malformed_rows(tmp_path, row, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD}\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_rollouts([path])
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "holds no rows"),
        ("a.jsonl", b"\n\n", "holds no rows"),
        ("a.jsonl", b"\xff\xfe\x00\x01", "could not be read as text after line 0"),
        ("a.jsonl.gz", b"not packed", "could not be read as text"),
        ("a.parquet", b"PAR1 is not all of it", "could not be read as parquet"),
        ("a.csv", b"prompt,reward", "cannot tell the format"),
        ("a.jsonl", b'{"question": "a", "answer": 1}', "has the columns 'answer', 'question'; known are"),
        ("a.jsonl", b'{"prompt": "a", "reward": null}', "every one is null"),
        ("a.jsonl", b'{"prompt": "a", "completion": "b", "advantage": 0}', "no column of numbers besides"),
    ],
)
def test_files_that_hold_no_rollouts(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rollouts([path])


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_rollouts([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="log_completions=True"):
        read_rollouts([tmp_path])


def test_unknown_reward_column(run_folder):
    with pytest.raises(DataError, match=r"unknown reward column 'acuracy'\. Did you mean 'accuracy'"):
        read_rollouts([run_folder], {"acuracy": 1.0})
    with pytest.raises(DataError, match="row 1: `note` must be a number or null, got 'x'"):
        read_rollouts([run_folder], {"note": 1.0})


def test_formats_do_not_mix(tmp_path, run_folder):
    plain = lines(tmp_path / "a.jsonl", [{"prompt": "a", "reward": 1}])
    with pytest.raises(DataError, match="of different formats: plain"):
        read_rollouts([plain, run_folder])


def test_two_runs_do_not_mix(tmp_path, run_folder):
    other = tmp_path / "other"
    other.mkdir()
    completions(2).to_parquet(other / "completions_00002.parquet")
    with pytest.raises(DataError, match=r"step 2 stands in .* these are several runs"):
        read_rollouts([run_folder, other])


def test_a_file_that_is_named_twice_counts_once(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"prompt": "a", "reward": 1}])
    assert find_files([path, tmp_path]) == [path]
