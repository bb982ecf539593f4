"""Data sets by name in `riskpo train`: rows, held-out rows, the scorer; all before a model is loaded."""

import json
from types import SimpleNamespace

import pytest
from datasets import Dataset

from riskpo.errors import ConfigError, DataError
from riskpo.runs.arguments import plan_new, plan_resumed
from riskpo.runs.session import check, kept_settings
from riskpo.runs.task_data import RECORD, task_inputs

OWN = ["--model_name_or_path", "some/model", "--num_generations", "4", "--per_device_train_batch_size", "20"]
OWN += ["--use_cpu", "--bf16", "false"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RISKPO_DATA_DIR", raising=False)
    (tmp_path / "mine.yaml").write_text("max_steps: 2\n")
    write("gsm8k_train.jsonl", [{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(12)])
    write("gsm8k_test.jsonl", [{"question": f"{n} + 2?", "answer": f"#### {n + 2}"} for n in range(4)])
    write("aime24.jsonl", [{"problem": f"{n} + 3?", "answer": f"0{n + 3}"} for n in range(3)])
    write("twice.jsonl", [{"question": f"{n % 10} + 1?", "answer": f"{n % 10 + 1}"} for n in range(12)])
    return tmp_path


def write(name, rows):
    with open(name, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def own(*flags):
    return plan_new(None, "mine.yaml", [*OWN, *flags])


def contents(rows):
    return [row["prompt"][-1]["content"] for row in rows]


def test_a_whole_data_set_in_its_words():
    plan = own("--task", "gsm8k", "--data_dir", ".", "--eval_prompts", "3", "--eval_samples", "32")
    inputs = check(plan)
    assert (len(inputs.train), len(inputs.held_out)) == (12, 3)
    assert sorted(inputs.train["answer"][:], key=int) == [str(n + 1) for n in range(12)]
    assert all(text.endswith('output the final answer after "####".') for text in contents(inputs.train))
    assert inputs.reward.train(completions=["#### 3", "3"], answer=["3", "3"]) == [1.0, 0.0]
    assert inputs.source["train"]["file"] == "gsm8k_train.jsonl"
    assert inputs.source["train"]["template"] == "gsm8k"
    assert inputs.notes[0] == "gsm8k/train: 12 rows; its source states 7473"
    assert kept_settings(plan, inputs)["task_prompts"] == 12


def test_the_first_prompts_do_not_depend_on_how_many():
    def prompts(*flags):
        return contents(check(own("--task", "gsm8k", "--data_dir", ".", *flags)).train)

    assert prompts("--task_prompts", "7") == prompts()[:7]
    assert prompts("--task_seed", "2") != prompts()


def test_another_template_and_a_benchmark_in_its_words():
    inputs = check(
        own("--task", "gsm8k", "--data_dir", ".", "--task_template", "dapo", "--task_system_prompt", "Be brief.")
    )
    assert inputs.train[0]["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert inputs.reward.train(completions=["Answer: 3", "#### 3"], answer=["3", "3"]) == [1.0, 0.0]
    asked = ["--eval_prompts", "3", "--eval_split", "aime24", "--eval_samples", "32"]
    inputs = check(own("--task", "gsm8k", "--data_dir", ".", "--task_template", "boxed", *asked))
    assert sorted(row["answer"] for row in inputs.held_out) == ["03", "04", "05"]
    assert all(r"\boxed{}" in text for text in contents(inputs.held_out))
    assert inputs.source["held_out"]["task"] == "aime24"


def test_two_data_sets_in_one_random_order():
    write("math_train.jsonl", [{"problem": f"{n} + 9?", "answer": f"{n + 9}"} for n in range(8)])
    flags = ["--task", "gsm8k, math", "--data_dir", ".", "--task_template", "boxed"]
    inputs = check(own(*flags))
    tasks = inputs.train["task"][:]
    assert (tasks.count("gsm8k"), tasks.count("math")) == (12, 8)
    assert tasks != sorted(tasks) != tasks[::-1]
    assert len(set(inputs.train["prompt_id"][:])) == 20
    assert inputs.reward.train(completions=[r"\\boxed{3}", "#### 3"], answer=["3", "3"]) == [1.0, 0.0]
    assert inputs.source["train gsm8k"]["file"] == "gsm8k_train.jsonl"
    assert inputs.source["train math"]["file"] == "math_train.jsonl"
    assert contents(check(own(*flags, "--task_prompts", "7")).train) == contents(inputs.train)[:7]
    asked = check(own(*flags, "--eval_prompts", "3", "--eval_split", "aime24", "--eval_samples", "32"))
    assert [row["task"] for row in asked.held_out] == ["aime24"] * 3


def test_what_cannot_be_mixed():
    def refused(error, message, *flags):
        with pytest.raises(error, match=message):
            check(own("--data_dir", ".", *flags))

    write("math_train.jsonl", [{"problem": f"{n} + 9?", "answer": f"{n + 9}"} for n in range(8)])
    asked = ["--task_template", "boxed", "--eval_prompts", "3", "--eval_samples", "32"]
    refused(ConfigError, r"gsm8k by math:gsm8k-strict, math by math:boxed\)", "--task", "gsm8k,math")
    refused(ConfigError, "names one task twice", "--task", "gsm8k,gsm8k")
    refused(ConfigError, "chain makes its rows", "--task", "gsm8k,chain")
    refused(ConfigError, "with and without images", "--task", "gsm8k,geometry3k")
    refused(ConfigError, "--data_file is of one task", "--task", "gsm8k,math", "--data_file", "twice.jsonl")
    refused(DataError, "--eval_split test could be of any of gsm8k,math", "--task", "gsm8k,math", *asked)
    refused(DataError, "there are 20 rows, 21 wanted", "--task", "gsm8k,math", *asked[:2], "--task_prompts", "21")


def test_repeats_are_refused_and_can_be_left_out():
    flags = ["--task", "math", "--data_file", "twice.jsonl"]
    with pytest.raises(DataError, match=r"task math: 2 of 12 prompts repeat an earlier one\. --task_clean true leaves"):
        check(own(*flags))
    inputs = check(own(*flags, "--task_clean", "true"))
    assert len(inputs.train) == 10
    assert "math: left out 2 of 12 rows: 2 that repeat another" in inputs.notes
    assert inputs.source["train"]["dropped"]["that repeat another"] == 2
    assert len(check(own(*flags, "--allow_duplicate_prompts", "true")).train) == 12


def test_decontamination():
    write("twice.jsonl", [{"question": f"{n} + {2 if n < 5 else 1}?", "answer": str(n)} for n in range(12)])
    inputs = check(
        own("--task", "math", "--data_file", "twice.jsonl", "--data_dir", ".", "--task_decontaminate", "true")
    )
    assert len(inputs.train) == 8
    assert any("not compared with, no file: math/test" in note for note in inputs.notes)


def test_an_own_reward_instead_of_the_task_s():
    inputs = check(own("--task", "gsm8k", "--data_dir", ".", "--reward", "numeric"))
    assert inputs.reward.judge.__name__ == "numeric_match"


def test_thinking_is_the_chat_template_s_business():
    plan = own("--task", "gsm8k", "--data_dir", ".", "--chat_template_kwargs", '{"enable_thinking": false}')
    assert plan.training.chat_template_kwargs == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        (["--task", "math", "--data_dir", "."], DataError, r"needs a file math_train\.\*"),
        (
            ["--task", "gsm8k", "--data_dir", ".", "--task_prompts", "13"],
            DataError,
            "gsm8k: there are 12 rows, 13 wanted",
        ),
        (["--task", "gsm8k", "--data_dir", ".", "--task_template", "boxd"], ConfigError, "unknown template 'boxd'"),
        (["--task", "gsm8k", "--task_template", "boxd"], ConfigError, "unknown template 'boxd'"),
        (["--task", "chain", "--task_template", "boxed"], ConfigError, "template: only for tasks that are data sets"),
        (["--task", "aime24", "--data_dir", "."], DataError, "task aime24: unknown split 'train'"),
        (
            [
                "--task",
                "math",
                "--data_file",
                "twice.jsonl",
                "--eval_prompts",
                "2",
                "--eval_samples",
                "32",
                "--eval_split",
                "dev",
            ],
            DataError,
            "--eval_split dev: task math has the splits train, test",
        ),
        (
            ["--task", "geometry3k", "--data_dir", ".", "--eval_prompts", "2", "--eval_samples", "32"],
            ConfigError,
            "--eval_prompts asks texts only, and this task has images",
        ),
        (["--dataset", "x.jsonl", "--reward", "exact", "--data_file", "y"], ConfigError, "data_file: only for tasks"),
    ],
)
def test_refused(flags, error, message):
    with pytest.raises(error, match=message):
        check(own(*flags))


def test_a_malformed_row_is_said_first():
    with open("gsm8k_train.jsonl", "a") as file:
        file.write('{"question": "q", "answer": ""}\n')
    with pytest.raises(DataError, match=r"gsm8k_train\.jsonl, line 13: answer has no ####"):
        check(own("--task", "gsm8k", "--data_dir", "."))


# --- the hub, faked: not run against it ---


@pytest.fixture
def hub(monkeypatch):
    asked = []

    def info(self, repo, revision=None):
        asked.append((repo, revision))
        return SimpleNamespace(sha=revision or "newest")

    def load_dataset(repo, config, *, split, revision):
        asked.append((repo, config, split, revision))
        return Dataset.from_list([{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(12)])

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", info)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    return asked


def test_a_check_downloads_nothing_and_the_run_does(hub):
    plan = own("--task", "gsm8k", "--dataset_revision", "v1")
    inputs = check(plan)
    assert inputs.train is None
    assert "the hub data set" in inputs.unchecked
    assert hub == []
    found = task_inputs(plan, 0, hub=True, reward=inputs.reward)
    assert len(found.train) == 12
    assert found.reward is inputs.reward
    assert found.record["train"]["commit"] == "v1"
    assert hub == [("openai/gsm8k", "v1"), ("openai/gsm8k", "main", "train", "v1")]


def test_two_data_sets_go_on_with_the_commits_they_began_with(hub, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoint-2").mkdir(parents=True)
    (run / "checkpoint-2" / "trainer_state.json").write_text("{}")
    (run / "config.yaml").write_text("task: gsm8k,math\ntask_template: boxed\nmodel_name_or_path: some/model\n")
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text() + "use_cpu: true\nbf16: false\nper_device_train_batch_size: 40\n"
    )
    (run / RECORD).write_text('{"train gsm8k": {"commit": "one"}, "train math": {"commit": "two"}}')
    plan = plan_resumed(run, [])
    plan.training.allow_duplicate_prompts = True  # the fake hub gives both the same rows
    task_inputs(plan, 0, hub=True)
    assert ("openai/gsm8k", "one") in hub
    assert ("EleutherAI/hendrycks_math", "two") in hub


def test_a_resumed_run_goes_on_with_its_commit(hub, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoint-2").mkdir(parents=True)
    (run / "checkpoint-2" / "trainer_state.json").write_text("{}")
    plan = own("--task", "gsm8k")
    (run / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in plan.settings.items()))
    (run / RECORD).write_text(json.dumps(task_inputs(plan, 0, hub=True).record))
    hub.clear()
    (run / RECORD).write_text((run / RECORD).read_text().replace("newest", "older"))
    task_inputs(plan_resumed(run, []), 0, hub=True)
    assert hub[0] == ("openai/gsm8k", "older")
